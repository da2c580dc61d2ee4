"""`%runqy connect` and what servers have against it: one line each, never the password."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis as redis_py

from tests.notebook.kernels import Kernel
from tests.servers import RunningServer, free_port, running_server

PASSWORD = "s3kret-p4ss"


def refusal(kernel: Kernel, url: str, work: str = "") -> str:
    """The one line that connecting (and then this) fails with."""
    line = kernel.fail(f"%runqy connect {url}\n{work}")
    echoes = [m for m in kernel.said if m["msg_type"] == "execute_input"]
    assert all(PASSWORD not in str(m) for m in kernel.said if m not in echoes)
    assert line.startswith("ConnectionFailedError: ")
    return line


def test_a_password_is_masked_wherever_the_kernel_speaks(
    start_kernel: Callable[..., Kernel], tmp_path: Path
) -> None:
    with running_server(tmp_path, password=PASSWORD) as server:
        kernel = start_kernel(RUNQY_REDIS_URL=server.url)

        loaded = kernel.run("%load_ext runqy_notebook").stdout
        kernel.run("%runqy status")
        kernel.run("t = %runqy enqueue q {'n': 1}")
        kernel.run("from runqy_notebook import current\ncurrent.session()")
        kernel.run("current.session().server")
        kernel.run("import os\n%config Runqy.url = os.environ['RUNQY_REDIS_URL']")
        kernel.run("%config Runqy")
        kernel.run("%config Runqy.url")
        kernel.run("%runqy disconnect\n%runqy connect")
        server.process.kill()
        server.process.wait()
        lost = kernel.fail("%runqy pending")

    assert loaded == f"redis://:***@127.0.0.1:{server.port}/0\n"
    assert ":***@127.0.0.1" in lost
    assert PASSWORD not in kernel.everything_said()


def test_a_refused_connection(kernel: Kernel) -> None:
    line = refusal(kernel, f"redis://:{PASSWORD}@127.0.0.1:{free_port()}/0")

    assert "connection refused" in line
    assert "%runqy connect --embedded" in line


def test_a_password_missing_or_wrong(kernel: Kernel, tmp_path: Path) -> None:
    with running_server(tmp_path, password="the right one") as server:
        missing = refusal(kernel, f"redis://127.0.0.1:{server.port}/0")
        wrong = refusal(kernel, f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0")
        stranger = refusal(kernel, f"redis://ann:{PASSWORD}@127.0.0.1:{server.port}/0")

    assert "wants a password" in missing
    assert "password is wrong" in wrong
    assert "password is wrong" in stranger


def test_a_password_where_there_is_none(kernel: Kernel, server: RunningServer) -> None:
    line = refusal(kernel, f"redis://:{PASSWORD}@127.0.0.1:{server.port}/0")

    assert "has none" in line


def test_tls_where_there_is_none(kernel: Kernel, server: RunningServer) -> None:
    line = refusal(kernel, f"rediss://:{PASSWORD}@127.0.0.1:{server.port}/0")

    assert "does not speak TLS" in line


def test_a_server_that_takes_no_more_clients(kernel: Kernel, tmp_path: Path) -> None:
    with running_server(tmp_path) as server, redis_py.Redis(port=server.port) as client:
        client.config_set("maxclients", 1)
        line = refusal(kernel, server.url)

    assert "no more clients" in line


def test_a_read_only_replica(kernel: Kernel, server: RunningServer, tmp_path: Path) -> None:
    with running_server(tmp_path, "--replicaof", "127.0.0.1", str(server.port)) as replica:
        with redis_py.Redis(port=replica.port) as client:
            client.config_set("replica-serve-stale-data", "yes")
        line = refusal(kernel, replica.url, "%runqy enqueue q {'n': 1}")

    assert "read-only replica" in line


def test_a_server_that_is_still_loading(kernel: Kernel) -> None:
    with always_answering(b"-LOADING Redis is loading the dataset in memory\r\n") as port:
        line = refusal(kernel, f"redis://127.0.0.1:{port}/0")

    assert "still loading" in line


def test_a_sentinel_url_is_refused(kernel: Kernel) -> None:
    line = kernel.fail("%runqy connect sentinel://127.0.0.1:26379/mymaster/0")

    assert "sentinel" in line.lower()


def test_after_a_failed_connect_the_session_before_goes_on(kernel: Kernel) -> None:
    kernel.fail(f"%runqy connect redis://127.0.0.1:{free_port()}/0")

    kernel.run("t = %runqy enqueue q {'n': 1}")
    assert kernel.run("t.state").value == "'pending'"


def test_a_disconnected_session_reconnects_and_says_where(
    kernel: Kernel, server: RunningServer
) -> None:
    kernel.run("%config Runqy.concurrency = 2\n%runqy disconnect")

    asked = kernel.run("%runqy pending")
    started = kernel.run("%runqy worker start q").stdout

    assert asked.stdout == f"redis://127.0.0.1:{server.port}/0\n"
    assert len(asked.shown) == 1
    assert "2 tasks at a time" in started


def test_connect_takes_a_url_from_a_variable(kernel: Kernel, server: RunningServer) -> None:
    kernel.run(f"class my:\n    url = 'redis://127.0.0.1:{server.port}/1'")

    for form in ("$my.url", "{my.url}"):
        said = kernel.run(f"%runqy connect {form}").stdout
        assert said == f"redis://127.0.0.1:{server.port}/1\n"


@contextmanager
def always_answering(reply: bytes) -> Iterator[int]:
    """A server that says this to every command; gives its port."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                if line.startswith(b"*"):  # each command begins so
                    self.wfile.write(reply)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listening:
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        yield listening.server_address[1]
        listening.shutdown()
        thread.join()
