"""The worker's side of the guardian: starting it, keeping it, dismissing it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import redis

from runqy_notebook.broker import guardian, scripts
from runqy_notebook.broker.exchanges import Retention
from runqy_notebook.broker.impatient import is_in_process
from runqy_notebook.broker.ledger import Ledger
from runqy_notebook.wire.layout import DOCUMENTED, Layout


class Guarding:
    """Keeps one guardian process alive beside a worker.

    Without one (Windows, the fallback inside this process) leases alone protect the tasks, and they
    are redelivered when those end.
    """

    def __init__(
        self,
        client: redis.Redis,
        lease: float,
        retention: Retention,
        layout: Layout = DOCUMENTED,
        news: bytes = b"",
        worker_id: str = "",
    ) -> None:
        self.is_possible = sys.platform != "win32" and not is_in_process(client)
        self.ledger = Ledger()
        self._client = client
        self._lease = lease
        self._retention = retention
        self._layout = layout
        self._news = news
        self._worker_id = worker_id
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The guardian's process id, while it runs."""
        alive = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process and alive else None

    def look_after(self) -> None:
        """Starts a guardian where none runs."""
        if self.is_possible and self.pid is None:
            self._process = self._start()

    def stop(self) -> None:
        """Dismisses the guardian: whatever is still on the page is no business of its any more."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.kill()
            process.wait()
            process.stdin.close()
        self.ledger.close()

    def _start(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(guardian.__file__)), str(self.ledger.fd)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(self.ledger.fd,),
            start_new_session=True,  # Interrupt Kernel signals the kernel's whole group
        )
        assert process.stdin is not None  # noqa: S101 - asked for
        with contextlib.suppress(OSError):  # died at once: the next look starts another
            process.stdin.write(json.dumps(self._orders()).encode() + b"\n")
            process.stdin.flush()
        return process

    def _orders(self) -> dict[str, Any]:
        retention = self._retention
        return {
            "server": server_of(self._client.connection_pool),
            "lease": self._lease,
            "tasks": self._layout.tasks,
            "scripts": {"renew": scripts.RENEW.source, "lose": scripts.LOSE.source},
            "replies": f"{self._layout.reply(self._worker_id)}/",
            "lose_keys": [
                self._layout.ours + "trimmed",
                self._layout.ours + "killers",
                self._layout.outbox,
            ],
            "lose_args": [
                self._layout.tasks,
                *retention.of_archived,
                retention.crash_limit,
                self._news.decode(),
                retention.terms(self._layout).decode(),
            ],
        }


def server_of(pool: Any) -> dict[str, Any]:
    """How to reach the server, from the client's own settings; travels over a pipe, not argv."""
    options = pool.connection_kwargs
    tls = None
    if issubclass(pool.connection_class, redis.SSLConnection):
        tls = {
            "cafile": options.get("ssl_ca_certs"),
            "capath": options.get("ssl_ca_path"),
            "cert_reqs": "none" if str(options.get("ssl_cert_reqs")) in ("none", "0") else None,
            "check_hostname": options.get("ssl_check_hostname"),
            "certfile": options.get("ssl_certfile"),
            "keyfile": options.get("ssl_keyfile"),
            "password": options.get("ssl_password"),
        }
    return {
        "path": options.get("path"),
        "host": options.get("host", "localhost"),
        "port": options.get("port", 6379),
        "username": options.get("username"),
        "password": options.get("password"),
        "db": options.get("db", 0),
        "tls": tls,
    }
