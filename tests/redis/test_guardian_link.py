"""The guardian's connection, which speaks to Redis without redis-py."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis as redis_py

from runqy_notebook.broker.guardian import Link
from runqy_notebook.broker.guarding import server_of
from tests.servers import running_server


@contextmanager
def linked(url: str) -> Iterator[Link]:
    """A link by what the guardian is told of a client with this URL."""
    client = redis_py.Redis.from_url(url)
    link = Link(server_of(client.connection_pool))
    try:
        yield link
    finally:
        link.close()
        client.close()


def test_it_gives_every_kind_of_reply(url: str) -> None:
    with linked(url) as link:
        assert link.call("SET", "text", b"a\r\nb\x00" * 50_000) == b"OK"
        assert link.call("GET", "text") == b"a\r\nb\x00" * 50_000
        assert link.call("GET", "nothing") is None
        assert link.call("RPUSH", "list", 1, "two", b"\xff") == 3
        assert link.call("LRANGE", "list", 0, -1) == [b"1", b"two", b"\xff"]
        assert link.call("EVAL", "return {false, {1}}", 0) == [None, [1]]
        assert link.call("BLPOP", "empty", 0.01) is None


def test_an_error_is_raised_and_the_connection_goes_on(url: str) -> None:
    with linked(url) as link:
        with pytest.raises(RuntimeError, match="unknown command"):
            link.call("NONSENSE")

        assert link.call("PING") == b"PONG"


def test_a_broken_connection_is_opened_anew(url: str, redis: redis_py.Redis) -> None:
    with linked(url) as link:
        assert link.call("PING") == b"PONG"
        redis.client_kill_filter(_type="normal", skipme=True)

        with pytest.raises(OSError):  # noqa: PT011 - the server's end, or a reset
            link.call("PING")

        assert link.call("PING") == b"PONG"


def test_it_logs_in_and_finds_its_database_on_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with running_server(tmp_path, "--unixsocket", str(path), password="pw") as server:
        tcp = server.url.removesuffix("0") + "3"
        with linked(f"unix://:pw@{path}?db=3") as local, linked(tcp) as link:
            assert local.call("SET", "here", 1) == b"OK"
            assert link.call("GET", "here") == b"1"

        with redis_py.Redis.from_url(server.url) as admin:
            admin.execute_command("ACL", "SETUSER", "me", "on", ">secret", "~*", "+@all")
        with linked(server.url.replace(":pw@", "me:secret@")) as link:
            assert link.call("ACL", "WHOAMI") == b"me"


def test_who_was_refused_logs_in_anew(tmp_path: Path) -> None:
    with running_server(tmp_path, password="pw") as server, linked(server.url) as link:
        with redis_py.Redis.from_url(server.url) as admin:
            admin.config_set("requirepass", "another")
            with pytest.raises(RuntimeError, match="WRONGPASS"):
                link.call("PING")
            admin.config_set("requirepass", "pw")

        assert link.call("PING") == b"PONG"


def test_a_server_that_is_away_is_an_os_error(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        pass
    with linked(server.url) as link, pytest.raises(OSError, match="refused"):
        link.call("PING")
