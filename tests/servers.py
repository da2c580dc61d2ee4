"""Real servers for tests: private ones, on free loopback ports, ended by their handle."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from runqy_notebook.broker.embedded import find_binary
from tests.waiting import wait_until


@dataclass(frozen=True)
class RunningServer:
    url: str
    port: int
    process: subprocess.Popen[bytes]


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def held_port() -> Iterator[int]:
    """A loopback port that nobody is given who asks for any, while the server is not yet there, or
    not there any more, that is to listen on it.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: it may join
        holder.bind(("127.0.0.1", 0))
        yield int(holder.getsockname()[1])


@contextmanager
def running_server(
    folder: Path, *options: str, binary: Path | None = None, password: str = ""
) -> Iterator[RunningServer]:
    """A server of its own with these command-line options (nothing is saved unless they say so)."""
    binary = binary or find_binary()
    assert binary is not None, "no Redis-compatible server is installed"
    with held_port() as port:
        command = [str(binary), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        if not any(option in ("--appendonly", "--save") for option in options):
            command += ["--save", ""]
        if password:
            command += ["--requirepass", password]
        process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        client = redis.Redis(port=port, password=password or None)
        try:
            wait_until(lambda: answers(client), "the server did not start")
            login = f":{password}@" if password else ""
            yield RunningServer(f"redis://{login}127.0.0.1:{port}/0", port, process)
        finally:
            client.close()
            process.kill()
            process.wait()


def answers(client: redis.Redis) -> bool:
    """Whether the server answers a PING."""
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
