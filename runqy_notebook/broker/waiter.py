"""Waiting for work without taking it.

`BLMOVE pending pending RIGHT RIGHT` blocks until the list is non-empty and moves its last id onto
its own place: nothing changes, so nothing can be lost with the reply. It watches one list, hence a
connection for each queue, all read by one thread.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

import redis

from runqy_notebook.broker.guard import explained
from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.wire.layout import DOCUMENTED, Layout

MOST_CONNECTIONS = 8
"""Queues watched by BLMOVE at a time; further ones are polled."""

POLL = 0.1
"""Seconds between looks at what cannot be watched."""

_BLOCK = 10  # seconds after which the server answers nil and we ask again


class Waiter:
    """Tells when one of some queues may have a pending task. One thread waits, any may wake it."""

    def __init__(self, client: redis.Redis, where: str, layout: Layout = DOCUMENTED) -> None:
        self._where = where
        self._pool = client.connection_pool
        self._layout = layout
        self._watched: dict[str, Any] = {}  # queue -> its connection
        self._asked: set[str] = set()  # queues whose BLMOVE is under way
        self._unwatchable = not isinstance(self._pool, redis.ConnectionPool) or "fake" in (
            type(client).__name__.lower()
        )
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._rung = threading.Event()

    def wait(self, queues: Sequence[str], seconds: float) -> str | None:
        """Waits until a queue may have a task and names it; None after `seconds` or a `wake`.

        Raises ConnectionFailedError when the connection breaks.
        """
        if self._unwatchable or not queues:
            return self._poll(queues, seconds)
        watched = list(queues[:MOST_CONNECTIONS])
        if len(queues) > len(watched):
            seconds = min(seconds, POLL)
        try:
            with explained(self._where):
                return self._watch_until(watched, seconds)
        except ConnectionFailedError:
            self.close_connections()
            raise

    def wake(self) -> None:
        """Makes the present `wait`, or else the next one, return at once."""
        self._rung.set()
        try:
            self._ringer.send(b"!")
        except OSError:
            return  # closed meanwhile

    def close(self) -> None:
        """Ends all connections. A thread still in `wait` is woken first."""
        self.close_connections()
        self._bell.close()
        self._ringer.close()

    def close_connections(self) -> None:
        """Ends the watching connections; the next `wait` opens new ones."""
        self._asked.clear()
        while self._watched:
            self._watched.popitem()[1].disconnect()

    def _watch_until(self, queues: Sequence[str], seconds: float) -> str | None:
        try:
            self._watch(queues)
            return self._first_ready(queues, seconds)
        except redis.ResponseError:
            # Refused: memory is full, a wrong type, an ACL without BLMOVE. Claims still work.
            self.close_connections()
            return self._poll(queues, seconds)

    def _poll(self, queues: Sequence[str], seconds: float) -> str | None:
        woken = self._rung.wait(min(seconds, POLL))
        self._silence()
        return None if woken or not queues else queues[0]

    def _watch(self, queues: Sequence[str]) -> None:
        for queue in set(self._watched) - set(queues):
            self._watched.pop(queue).disconnect()
            self._asked.discard(queue)
        for queue in queues:
            if queue not in self._watched:
                connection: Any = self._pool.make_connection()  # not pooled: it stays busy
                connection.connect()
                self._watched[queue] = connection
            if queue not in self._asked:
                self._ask(queue)

    def _ask(self, queue: str) -> None:
        pending = self._layout.queue(queue).pending
        self._watched[queue].send_command("BLMOVE", pending, pending, "RIGHT", "RIGHT", _BLOCK)
        self._asked.add(queue)

    def _has_task(self, queue: str) -> bool:
        """Reads the answer to a BLMOVE; the next is asked by the next `wait`, after the claim that
        follows this one: asked now, it would tell of the same task again.
        """
        self._asked.discard(queue)
        return self._watched[queue].read_response() is not None

    def _first_ready(self, queues: Sequence[str], seconds: float) -> str | None:
        """The most urgent queue whose BLMOVE was answered with an id."""
        ends = time.monotonic() + seconds
        sockets = {self._watched[queue]._sock: queue for queue in queues}
        while (left := ends - time.monotonic()) > 0:
            readable, _, _ = select.select([self._bell, *sockets], [], [], left)
            if self._bell in readable:
                self._silence()
                return None
            answered = sorted((sockets[sock] for sock in readable), key=queues.index)
            ready = [queue for queue in answered if self._has_task(queue)]
            if ready:
                return ready[0]
            self._watch(queues)
        return None

    def _silence(self) -> None:
        self._rung.clear()
        try:
            while self._bell.recv(4096):
                pass
        except OSError:
            return  # empty, or closed
