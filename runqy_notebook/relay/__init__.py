"""A Jupyter Server extension: takes webhooks where the server is, passes them on to the kernel.

`jupyter-config/` enables it. Nothing of it is imported by a kernel.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "runqy_notebook.relay"}]


def _load_jupyter_server_extension(server_app: Any) -> None:
    from runqy_notebook.relay.routes import add_routes

    add_routes(server_app)
