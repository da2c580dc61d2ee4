"""Waiting for work without taking it.

`BLMOVE pending pending RIGHT RIGHT` blocks until the list is non-empty and moves its last id onto
its own place: nothing changes, so nothing can be lost with the reply. It watches one list, hence a
connection for each queue, all read by one thread. A claim may stand behind it (see `ahead`).
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import redis
from hiredis import pack_command

from runqy_notebook.broker.ahead import Ahead
from runqy_notebook.broker.alertness import AWAKE, Alertness, poll_of
from runqy_notebook.broker.boundary import explained
from runqy_notebook.broker.impatient import is_in_process
from runqy_notebook.broker.lines import answer_on
from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.wire.layout import DOCUMENTED, Layout, to_text

MOST_CONNECTIONS = 8
"""Queues watched by BLMOVE at a time; further ones are polled."""

POLL = 0.1
"""Seconds between looks at what cannot be watched."""

REFUSED_FOR = 5.0
"""Seconds for which a queue is polled after its BLMOVE was refused: memory is full, the key has a
wrong type, an ACL forbids it. A claim may still work."""

_BLOCK = 10  # seconds after which the server answers nil and we ask again
_BLOCK_AHEAD = 1
"""The same with a claim behind it: for so long the server may yet give a task to a process that
cannot run it any more, or does not listen.
"""
_MOST_RINGS = 65_536  # heard at once; more do not fit into the buffers of a socket pair
_AWAKE = 2 * AWAKE  # seconds to stay awake for a task that is on its way to the server
_OVERDUE = 15.0  # seconds after which a BLMOVE that was not answered never will be


@dataclass(slots=True)
class _Watch:
    """A connection, since when its BLMOVE is under way (None: it was answered), and the claim
    behind it.
    """

    connection: Any
    asked_at: float | None = None
    ahead: Ahead | None = None


class Waiter:
    """Tells when one of some queues may have a pending task. One thread waits, any may wake it."""

    def __init__(self, client: redis.Redis, where: str, layout: Layout = DOCUMENTED) -> None:
        self._where = where
        self._pool = client.connection_pool
        self._layout = layout
        self._watches: dict[str, _Watch] = {}
        self._refused: dict[str, float] = {}  # queue -> until when it is polled
        self._is_polling = is_in_process(client)
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._ringer.setblocking(False)
        self._is_woken = False
        self._alertness = Alertness()
        self._outrun: frozenset[str] = frozenset()
        self._ahead: Ahead | None = None  # of the present wait

    def wait(self, queues: Sequence[str], seconds: float, ahead: Ahead | None = None) -> str | None:
        """Waits until a queue may have a task and names it; None after `seconds` or a `wake`.

        `ahead` is told what it has taken by then. Raises ConnectionFailedError when the connection
        breaks.
        """
        now = time.monotonic()
        self._refused = {queue: until for queue, until in self._refused.items() if until > now}
        watched = [queue for queue in queues if queue not in self._refused][:MOST_CONNECTIONS]
        if self._is_polling or not watched:
            self._readable({}, min(seconds, POLL))
            return None
        try:
            with explained(self._where):
                return self._first_ready(
                    watched, seconds if len(watched) == len(queues) else min(seconds, POLL), ahead
                )
        except ConnectionFailedError:
            self.close_connections()
            raise

    def wake(self) -> None:
        """Makes the present `wait`, or else the next one, return at once."""
        self._is_woken = True
        self._ring()

    def stay_awake(self) -> None:
        """Has the present `wait` await its answer awake: it comes in a moment."""
        self._ring()

    def outrun(self, taken: Iterable[str]) -> None:
        """Takes note of ids that were claimed before an answer told of them: when one does, it is
        old. For the thread that waits.
        """
        self._outrun = frozenset(taken)

    def is_claiming(self, queue: str) -> bool:
        """Whether the server claims for us what comes to this queue now. Any thread may ask; it is
        a guess for all but the one that waits.
        """
        watch = self._watches.get(queue)
        return watch is not None and watch.ahead is not None and watch.ahead.is_same_as(self._ahead)

    def close(self) -> None:
        """Ends all connections. No thread may be in `wait`."""
        self.close_connections()
        self._bell.close()
        self._ringer.close()

    def close_connections(self) -> None:
        """Ends the watching connections; the next `wait` opens new ones."""
        while self._watches:
            self._watches.popitem()[1].connection.disconnect()

    def _first_ready(
        self, queues: Sequence[str], seconds: float, ahead: Ahead | None
    ) -> str | None:
        """The first of the queues whose BLMOVE was answered with an id, or by whose answer `ahead`
        has tasks.
        """
        ends = time.monotonic() + seconds
        self._ahead = ahead
        while (left := ends - time.monotonic()) > 0:
            self._watch(queues)
            answered = self._answered(queues, left)
            if answered is None:
                return None
            ready = [queue for queue in answered if self._has_task(queue)]
            if ready:
                return ready[0]
            if ahead is not None:
                ahead.answer = None  # of a wait that nothing ended: it is asked again
            if any(queue in self._refused for queue in answered):
                return None
        self._drop_the_silent(queues)
        return None

    def _watch(self, queues: Sequence[str]) -> None:
        """Has a BLMOVE under way for each of these queues, and for no other."""
        for queue in set(self._watches) - set(queues):
            self._watches.pop(queue).connection.disconnect()
        for queue in queues:
            watch = self._watches.get(queue) or self._open(queue)
            if watch.asked_at is None:
                self._ask(watch, self._layout.queue(queue).pending)

    def _ask(self, watch: _Watch, pending: str) -> None:
        watch.ahead = self._ahead
        block, claim = (_BLOCK_AHEAD, self._ahead.command) if self._ahead else (_BLOCK, b"")
        wait: tuple[Any, ...] = ("BLMOVE", pending, pending, "RIGHT", "RIGHT", block)
        watch.connection.send_packed_command([pack_command(wait) + claim])
        watch.asked_at = time.monotonic()

    def _open(self, queue: str) -> _Watch:
        # Not the pool's: it would be counted there for ever.
        connection = self._pool.connection_class(**self._pool.connection_kwargs)
        connection.connect()
        self._watches[queue] = _Watch(connection)
        return self._watches[queue]

    def _answered(self, queues: Sequence[str], seconds: float) -> list[str] | None:
        """The queues that have an answer to read, after `seconds` at most; None when woken."""
        readable = self._readable({self._fd(queue): queue for queue in queues}, seconds)
        return None if readable is None else sorted(readable, key=queues.index)

    def _fd(self, queue: str) -> int:
        return self._watches[queue].connection._sock.fileno()  # type: ignore[no-any-return]

    def _readable(self, queues: dict[int, str], seconds: float) -> list[str] | None:
        """Those of these descriptors on which there is something to read; None when woken."""
        bell = self._bell.fileno()
        poll = poll_of(bell, *queues)  # knows descriptors above 1023
        if poll is not None:
            ready = [fd for fd, _ in poll.poll(seconds * 1000)]
        else:
            ready, _, _ = select.select([bell, *queues], [], [], seconds)
        if bell in ready:
            self._silence()
            is_woken, self._is_woken = self._is_woken, False
            if is_woken:
                return None
            ready.remove(bell)
            if not ready and poll is not None:
                poll.unregister(bell)
                ready = [fd for fd, _ in self._alertness.look(poll, _AWAKE)]
        return [queues[fd] for fd in ready]

    def _has_task(self, queue: str) -> bool:
        """Reads the answer to a BLMOVE; the next is asked by the next `wait`, after the claim that
        follows this one: asked now, it would tell of the same task again.
        """
        watch = self._watches[queue]
        watch.asked_at = None
        told = answer_on(watch.connection)
        if isinstance(told, redis.ResponseError):
            self._refused[queue] = time.monotonic() + REFUSED_FOR
            if "UNBLOCKED" in str(told):  # the server became a replica, and hangs up next
                self._watches.pop(queue).connection.disconnect()
                return False
        has_taken = watch.ahead is not None and self._hears(watch, watch.ahead)
        if told is None or isinstance(told, redis.ResponseError):
            return has_taken
        outrun, self._outrun = self._outrun, frozenset()  # if it comes again, so does an answer
        return has_taken or not outrun or to_text(told) not in outrun

    def _hears(self, watch: _Watch, ahead: Ahead) -> bool:
        """Reads the answer to the claim behind a wait; whether it took tasks and is the present
        one: what an earlier one took its slot has asked for since.
        """
        watch.ahead = None
        answer, present = answer_on(watch.connection), self._ahead
        if present is None or not ahead.is_same_as(present):
            return False
        present.answered(answer)  # a refusal is told to who claims outright
        return present.has_tasks

    def _drop_the_silent(self, queues: Sequence[str]) -> None:
        """Gives up connections that died without a word."""
        long_ago = time.monotonic() - _OVERDUE
        for queue in queues:
            watch = self._watches.get(queue)  # none yet, where all the time passed before we asked
            if watch and watch.asked_at is not None and watch.asked_at < long_ago:
                self._watches.pop(queue).connection.disconnect()

    def _ring(self) -> None:
        try:
            self._ringer.send(b"!")
        except OSError:
            return  # rung often enough, or closed meanwhile

    def _silence(self) -> None:
        with suppress(OSError):  # closed
            self._bell.recv(_MOST_RINGS)
