"""Connections that a broker keeps for its scripts, so that a call costs no turn of the pool.

Half of what a short call costs redis-py is its pool, its retries and its metrics. A script is never
sent twice and needs none of them. The connections are the pool's own, made as it makes them.
"""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import redis
from hiredis import pack_command

from runqy_notebook.broker import alertness
from runqy_notebook.broker.alertness import Alertness, poll_of
from runqy_notebook.broker.impatient import is_in_process

MOST_KEPT = 32
"""Connections kept; the rest go back to the pool, which has 100 for whatever else is asked."""


class Lines:
    """As many connections as threads call at a time. Raises redis-py's errors, and OSError where
    the network breaks under an answer.

    As with the pool, a connection that broke while nobody used it is made anew before a command is
    sent, and one that breaks in a command is closed: its answer may have been lost.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._pool = client.connection_pool
        self._idle: list[_Line] = []  # pop and append are atomic
        asked = inspect.signature(self._pool.get_connection).parameters["command_name"]
        is_needed = asked.default is inspect.Parameter.empty  # before redis-py 5.3
        self._what_for = ("EVALSHA",) if is_needed else ()
        self._is_in_process = is_in_process(client)
        self._alertness = Alertness()

    def execute_command(
        self, *command: Any, sent: Callable[[], object] | None = None, is_short: bool = False
    ) -> Any:
        """The answer to an EVALSHA or EVAL, as redis-py's client gives it. `sent` is called while
        the server is at it; it must be quick and raise nothing. `is_short`: the answer may be worth
        staying awake for.
        """
        if self._is_in_process:
            return self._client.execute_command(*command)  # type: ignore[no-untyped-call]
        line = self._line()
        try:
            line.send(pack_command(command))
            if sent is not None:
                sent()
            if is_short and line.poll is not None:
                self._alertness.look(line.poll, alertness.AWAKE)
            answer = answer_on(line.connection)
        except BaseException:
            self._give_up(line)
            raise
        self._keep(line)
        if isinstance(answer, redis.ResponseError):
            try:
                raise answer
            finally:
                del answer  # its traceback refers to this frame, and that to all that called it
        return answer

    def evalsha_each(self, calls: Iterable[Sequence[Any]]) -> Iterator[Any]:
        """The answers to scripts by their SHA-1, in order; each call is made and sent while the one
        before it is under way. A refusal is given, not raised.
        """
        if self._is_in_process:
            for call in calls:
                try:
                    answer = self._client.evalsha(*call)
                except redis.ResponseError as refusal:
                    answer = refusal
                yield answer
            return
        line = None
        try:
            for call in calls:
                is_first, line = line is None, line or self._line()
                line.send(pack_command(("EVALSHA", *call)))
                if not is_first:
                    yield answer_on(line.connection)
            if line is None:
                return
            yield answer_on(line.connection)
        except BaseException:
            if line is not None:
                self._give_up(line)
            raise
        self._keep(line)

    def close(self) -> None:
        """Gives back the connections that nobody uses, closed."""
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread took the last one
                self._give_up(self._idle.pop())

    def _give_up(self, line: _Line) -> None:
        line.connection.disconnect()  # an answer may still come
        self._pool.release(line.connection)  # which makes nothing of it in the child of a fork

    def _keep(self, line: _Line) -> None:
        if len(self._idle) < MOST_KEPT:
            is_the_same = line.connection._sock is line.socket
            self._idle.append(line if is_the_same else _Line.of(line.connection))
        else:
            self._pool.release(line.connection)

    def _line(self) -> _Line:
        """A connection on which nothing is to be read: neither an old answer nor its end."""
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                return _Line.of(self._pool.get_connection(*self._what_for))
            try:
                if self._pool.owns_connection(line.connection) and not line.has_news:
                    return line
            except (redis.ConnectionError, redis.TimeoutError, OSError, ValueError):
                pass
            self._give_up(line)


class _Line(NamedTuple):
    """A connection, and what tells whether there is something to read on its socket."""

    connection: Any
    socket: Any  # the connection's, unless it was connected anew since
    poll: Any  # None where the system has none

    @classmethod
    def of(cls, connection: Any) -> _Line:
        socket = connection._sock
        return cls(connection, socket, None if socket is None else poll_of(socket.fileno()))

    @property
    def has_news(self) -> bool:
        """Whether there is something to read, or the connection's end; raises where it is
        closed.
        """
        if self.poll is None or self.connection._sock is not self.socket:
            return bool(self.connection.can_read())
        return bool(self.poll.poll(0))  # a third of what can_read() takes

    def send(self, packed: bytes) -> None:
        """Sends a command; connects anew, or has the server prove that it is there, where the
        connection would.
        """
        connection = self.connection
        if connection._sock is self.socket and time.monotonic() < connection.next_health_check:
            self.socket.sendall(packed)
        else:
            connection.send_packed_command([packed])


def answer_on(connection: Any) -> Any:
    """What the server says; a refusal is given, not raised."""
    # Not the connection's own method, which makes words for an error before there is one.
    answer = connection._parser.read_response()
    if connection.health_check_interval:
        connection.next_health_check = time.monotonic() + connection.health_check_interval
    return answer
