"""Waiting for tasks, however many and from wherever: cells, threads, coroutines.

A worker of this process wakes whoever waits. For the sake of workers elsewhere Redis is looked at
now and then, one look for everybody who waits in this session.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol

from runqy_notebook.broker.records import Standing

TICK = 0.1
"""Seconds that a wait sleeps at most: an interrupt gets through between two ticks."""

FIRST_LOOK = 0.05  # seconds until the first look into Redis, doubled up to the last
LAST_LOOK = 0.5
SETTLED_AFTER = 0.2
"""A completed task's result counts as not stored when a second look, so many seconds later, finds
none either: a worker of this process, short of CPU time perhaps, may be about to report it."""
LOOK_AT = 2_000  # tasks in one look: of those waited for, the ones not looked at for longest


class Awaited(Protocol):
    """A task's handle, to whoever waits for it."""

    id: str

    @property
    def is_done(self) -> bool: ...
    @property
    def is_without_result(self) -> bool: ...
    def observe(self, standing: Standing) -> None: ...
    def when_done(self, callback: Callable[[], None]) -> None: ...
    def forget(self, callback: Callable[[], None]) -> None: ...


class Hands(Protocol):
    """What a handle can have done to its task; see `Session`."""

    def cancel(self, task_id: str) -> str: ...
    def cancel_many(self, ids: Sequence[str]) -> dict[str, str | Exception]: ...
    def run_now(self, task_id: str) -> Any: ...
    def delete(self, task_id: str) -> None: ...
    def pause_queue(self, name: str) -> list[str]: ...
    def resume_queue(self, name: str) -> list[str]: ...
    def rerun_inline(self, task_id: str) -> Any: ...


class Source:
    """Where the handles of a session look: `standings` by task id, by `remedy` why a task of some
    queue may be waiting, `hands` to do something with it. `is_ending` tells of tasks whose ends the
    worker of this process is about to report, with more than Redis knows. Threads and event loops
    share it.
    """

    def __init__(
        self,
        standings: Callable[[Sequence[str]], list[Standing]],
        remedy: Callable[[str, str], str],
        hands: Hands,
        is_ending: Callable[[str], bool],
    ) -> None:
        self.standings = standings
        self.remedy = remedy
        self.hands = hands
        self.is_ending = is_ending
        self.given_up: list[Awaited] = []  # unfinished when the last interrupted wait ended
        self._waits: dict[Awaited, int] = {}  # how many wait for it
        self._interval = FIRST_LOOK
        self._next_look = 0.0
        self._is_looking = False
        self._pulses: dict[asyncio.AbstractEventLoop, _Pulse] = {}
        self._lock = threading.Lock()

    def wait(self, handles: Sequence[Awaited], timeout: float | None) -> Awaited | None:
        """Waits until all are done; gives the first that is not so after `timeout` seconds."""
        left = [handle for handle in handles if not handle.is_done]
        if not left:
            return None
        ends = float("inf") if timeout is None else time.monotonic() + timeout
        with self.watching(left):
            for handle in left:
                if not self._wait_for(handle, ends):
                    return self._last_look(left)
        return None

    async def wait_async(self, handles: Sequence[Awaited]) -> None:
        """Waits until all are done; the event loop goes on and comes up for air at each tick."""
        left = [handle for handle in handles if not handle.is_done]
        if not left:
            return
        loop = asyncio.get_running_loop()
        pulse = self._pulses.setdefault(loop, _Pulse(loop, self))
        try:
            with self.watching(left):
                for handle in left:
                    await pulse.wait(handle)
        finally:
            if pulse.is_idle:
                self._pulses.pop(loop, None)

    def seconds_to_look(self) -> float:
        """How long one may sleep until the next look is due."""
        return min(TICK, max(0.01, self._next_look - time.monotonic()))

    def take_turn(self) -> bool:
        """Whether a look is due, and the caller the one to do it."""
        with self._lock:
            if self._is_looking or time.monotonic() < self._next_look:
                return False
            self._is_looking = True
            return True

    def look(self) -> None:
        """Looks for those who wait; called by whoever took the turn."""
        try:
            with self._lock:
                waiting = (handle for handle in self._waits if not handle.is_done)
                some = list(itertools.islice(waiting, LOOK_AT))
                for handle in some:
                    self._waits[handle] = self._waits.pop(handle)  # to the end of the line
            self._look_at(some)
            many_ended = 2 * sum(handle.is_done for handle in some) >= len(some)
            self._interval = FIRST_LOOK if many_ended else min(self._interval * 2, LAST_LOOK)
            is_unsettled = any(handle.is_without_result for handle in some)
            sleep = min(self._interval, SETTLED_AFTER) if is_unsettled else self._interval
            self._next_look = time.monotonic() + sleep
        finally:
            self._is_looking = False

    def watching(self, handles: Sequence[Awaited]) -> _Watching:
        """Within it somebody waits for these handles: `look` looks for them too."""
        return _Watching(self, handles)

    def _begin(self, handles: Sequence[Awaited]) -> None:
        with self._lock:
            soon = time.monotonic() + FIRST_LOOK
            self._next_look = min(self._next_look, soon) if self._waits else soon
            self._interval = FIRST_LOOK
            for handle in handles:
                self._waits[handle] = self._waits.get(handle, 0) + 1

    def _end(self, handles: Sequence[Awaited]) -> None:
        with self._lock:
            for handle in handles:
                self._waits[handle] -= 1
                if not self._waits[handle]:
                    del self._waits[handle]

    def _wait_for(self, handle: Awaited, ends: float) -> bool:
        """Whether the handle is done by then."""
        done = threading.Lock()  # which an Event would be made of
        done.acquire()
        told = done.release
        handle.when_done(told)
        try:
            while not handle.is_done and (left := ends - time.monotonic()) > 0:
                done.acquire(timeout=min(left, self.seconds_to_look()))
                if not handle.is_done and self.take_turn():
                    self.look()
        finally:
            handle.forget(told)
        return handle.is_done

    def _last_look(self, handles: Sequence[Awaited]) -> Awaited | None:
        """Looks once more when the time is up; gives the first handle that is not done then."""
        for at in range(0, len(handles), LOOK_AT):
            page = [handle for handle in handles[at : at + LOOK_AT] if not handle.is_done]
            self._look_at(page)
            if unsettled := [handle for handle in page if self._is_unsettled(handle)]:
                time.sleep(SETTLED_AFTER)
                self._look_at(unsettled)
            if unfinished := next((handle for handle in page if not handle.is_done), None):
                return unfinished
        return None

    def _is_unsettled(self, handle: Awaited) -> bool:
        """Whether the next moment may tell more than the last look did."""
        return handle.is_without_result or (self.is_ending(handle.id) and not handle.is_done)

    def _look_at(self, handles: Sequence[Awaited]) -> None:
        if handles:
            standings = self.standings([handle.id for handle in handles])
            for handle, standing in zip(handles, standings, strict=True):
                handle.observe(standing)


class _Watching:
    """A class, as a generator for `contextmanager` costs each wait several microseconds more."""

    __slots__ = ("_handles", "_source")

    def __init__(self, source: Source, handles: Sequence[Awaited]) -> None:
        self._source, self._handles = source, handles

    def __enter__(self) -> None:
        self._source._begin(self._handles)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._source._end(self._handles)
        if kind is not None and issubclass(kind, (KeyboardInterrupt, asyncio.CancelledError)):
            self._source.given_up = [handle for handle in self._handles if not handle.is_done]


class _Pulse:
    """The ticks of an event loop on which somebody waits. Timers, no tasks: a wait that is
    cancelled leaves nothing behind, and a thousand waits cost no more than one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, source: Source) -> None:
        self._loop = loop
        self._source = source
        self._waits: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_idle(self) -> bool:
        return not self._waits

    async def wait(self, handle: Awaited) -> None:
        """Returns when the handle is done; raises what a look into Redis raised."""
        future = self._loop.create_future()

        def end() -> None:
            if not future.done():
                future.set_result(None)

        def done() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                self._loop.call_soon_threadsafe(end)

        self._waits.add(future)
        handle.when_done(done)
        if self._timer is None:
            self._tick()
        try:
            await future
        finally:
            handle.forget(done)
            self._waits.discard(future)
            if not self._waits and self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _tick(self) -> None:
        self._timer = self._loop.call_later(self._source.seconds_to_look(), self._tick)
        if self._source.take_turn():
            self._loop.run_in_executor(None, self._source.look).add_done_callback(self._looked)

    def _looked(self, look: asyncio.Future[None]) -> None:
        if look.cancelled() or (error := look.exception()) is None:
            return
        for future in self._waits:
            if not future.done():
                future.set_exception(error)
