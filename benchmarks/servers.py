"""The private server that everything is measured against: nothing is saved, loopback only."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from benchmarks import places
from runqy_notebook.broker.embedded import find_binary


def binary(wanted: str | None = None) -> Path:
    """The server program: the one named, redis-server on PATH, else the embedded one."""
    found = shutil.which(wanted or "redis-server")
    path = Path(found) if found else None if wanted else find_binary()
    if path is None:
        raise SystemExit(f"No {wanted or 'Redis-compatible server'} is installed here.")
    return path


@contextmanager
def running(program: Path) -> Iterator[redis.Redis]:
    """A client of a server of our own, which ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        command = [str(program), "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        process = subprocess.Popen(
            [*command, "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL
        )
        client = redis.Redis(port=port)
        try:
            _wait_for(client)
            places.keep_server(process.pid)
            yield client
        finally:
            client.close()
            process.terminate()
            process.wait()


def url_of(client: redis.Redis, database: int = 0) -> str:
    return f"redis://127.0.0.1:{client.connection_pool.connection_kwargs['port']}/{database}"


def _wait_for(client: redis.Redis) -> None:
    for _ in range(500):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.01)
        else:
            return
    raise SystemExit("The private server did not start within 5 s.")
