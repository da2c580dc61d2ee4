"""Connections that a broker keeps for its scripts, so that a call costs no turn of the pool.

Half of what a short call costs redis-py is its pool, its retries and its metrics. A script is never
sent twice and needs none of them. The connections are the pool's own, made as it makes them.
"""

from __future__ import annotations

import contextlib
import inspect
import select
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import redis
from hiredis import pack_command

from runqy_notebook.broker.impatient import is_in_process

MOST_KEPT = 32
"""Connections kept; the rest go back to the pool, which has 100 for whatever else is asked."""

AWAKE: Final = 200e-6
"""Seconds for which a short answer is awaited without falling asleep, which costs 40 to 80 us."""

_MOST_MISSES: Final = 8  # after which every 257th answer is awaited so


class Lines:
    """As many connections as threads call at a time. Raises redis-py's errors, and OSError where
    the network breaks under an answer.

    As with the pool, a connection that broke while nobody used it is made anew before a command is
    sent, and one that breaks in a command is closed: its answer may have been lost.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._pool = client.connection_pool
        self._idle: list[Any] = []  # pop and append are atomic
        asked = inspect.signature(self._pool.get_connection).parameters["command_name"]
        is_needed = asked.default is inspect.Parameter.empty  # before redis-py 5.3
        self._what_for = ("EVALSHA",) if is_needed else ()
        self._is_in_process = is_in_process(client)
        self._alertness = _Alertness()

    def evalsha(
        self,
        sha: str,
        *rest: Any,
        sent: Callable[[], object] | None = None,
        is_short: bool = False,
    ) -> Any:
        """A script by its SHA-1. `sent` is called while the server runs it; it must be quick and
        raise nothing. `is_short`: its answer may be worth staying awake for.
        """
        if self._is_in_process:
            return self._client.evalsha(sha, *rest)
        return self._ask("EVALSHA", sha, *rest, sent=sent, is_short=is_short)

    def eval(self, source: str, *rest: Any) -> Any:
        """A script by its text."""
        if self._is_in_process:
            return self._client.eval(source, *rest)
        return self._ask("EVAL", source, *rest)

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
                line.send_packed_command([pack_command(("EVALSHA", *call))])
                if not is_first:
                    yield _answer(line)
            if line is None:
                return
            yield _answer(line)
        except BaseException:
            if line is not None:
                self._give_up(line)
            raise
        self._keep(line)

    def close(self) -> None:
        """Gives back the connections that nobody uses, closed."""
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread took the last one
                line = self._idle.pop()
                line.disconnect()
                self._pool.release(line)

    def _ask(
        self, *command: Any, sent: Callable[[], object] | None = None, is_short: bool = False
    ) -> Any:
        line = self._line()
        try:
            line.send_packed_command([pack_command(command)])
            if sent is not None:
                sent()
            if is_short:
                self._alertness.await_answer(line)
            answer = _answer(line)
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

    def _give_up(self, line: Any) -> None:
        line.disconnect()  # an answer may still come
        self._pool.release(line)

    def _keep(self, line: Any) -> None:
        if len(self._idle) < MOST_KEPT:
            self._idle.append(line)
        else:
            self._pool.release(line)

    def _line(self) -> Any:
        """A connection on which nothing is to be read: neither an old answer nor its end."""
        while True:
            try:
                line = self._idle.pop()
            except IndexError:
                return self._pool.get_connection(*self._what_for)
            try:
                if self._pool.owns_connection(line) and not _has_news(line):
                    return line
            except (redis.ConnectionError, redis.TimeoutError, OSError, ValueError):
                pass
            line.disconnect()
            self._pool.release(line)  # which makes nothing of it in the child of a fork


class _Alertness:
    """Whether it pays to stay awake for an answer. Where the server has another core it often comes
    before this thread had fallen asleep and been woken; where it is far away, or waits for this
    core, it never does, and is awaited so ever more seldom. Threads may share it.
    """

    def __init__(self) -> None:
        self._misses = 0  # in a row
        self._asleep = 0  # answers for which not to try

    def await_answer(self, line: Any) -> None:
        """Returns when there is an answer, or when it was not worth while."""
        if not hasattr(select, "poll"):
            return
        if self._asleep > 0:
            self._asleep -= 1
            return
        look = _watch(line)
        ends = time.perf_counter() + AWAKE
        while not look.poll(0):  # which lets other threads run
            if time.perf_counter() >= ends:
                self._misses = min(self._misses + 1, _MOST_MISSES)
                self._asleep = 2**self._misses
                return
        self._misses = 0


def _answer(line: Any) -> Any:
    """What the server says; a refusal is given, not raised."""
    # Not the connection's own method, which makes words for an error before there is one.
    answer = line._parser.read_response()
    if line.health_check_interval:
        line.next_health_check = time.monotonic() + line.health_check_interval
    return answer


def _has_news(line: Any) -> bool:
    """Whether there is something to read, or the connection's end; raises where it is closed."""
    if not hasattr(select, "poll") or line._sock is None:
        return bool(line.can_read())
    return bool(_watch(line).poll(0))  # a third of what can_read() takes


def _watch(line: Any) -> Any:
    """What tells, by its `poll(0)`, whether there is something to read."""
    look = select.poll()
    look.register(line._sock, select.POLLIN)
    return look
