"""What a kernel can tell of the Jupyter server that started it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from runqy_notebook.errors import one_line

HOOKS = "runqy/hooks"
"""The relay's path behind a Jupyter server's base URL."""


def runtime_folder() -> Path:
    """The folder that a Jupyter server and its kernels share."""
    from jupyter_core.paths import jupyter_runtime_dir  # ipykernel needs it too

    return Path(jupyter_runtime_dir())


def notebook_name() -> str:
    """The notebook of this kernel, as the server calls it, or ""."""
    return one_line(os.environ.get("JPY_SESSION_NAME", ""), 200)


def relay_url(token: str) -> str:
    """Where the relay takes webhooks for this token.

    JupyterHub tells the address that the world sees; other servers know only their own, behind
    whatever proxy they stand. Where neither is known it begins with "<Jupyter>/".
    """
    base = os.environ.get("JUPYTERHUB_PUBLIC_URL") or _server_url() or "<Jupyter>/"
    return f"{base.rstrip('/')}/{HOOKS}/{token}"


def _server_url() -> str | None:
    server = os.environ.get("JPY_PARENT_PID", "")
    if not server.isdigit():
        return None
    try:
        told = json.loads((runtime_folder() / f"jpserver-{server}.json").read_bytes())
        url = told["url"]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return one_line(url, 500) if isinstance(url, str) else None
