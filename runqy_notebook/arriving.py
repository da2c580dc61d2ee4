"""Handles in the order in which their tasks are done: `for t in group.as_completed()`."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from runqy_notebook.waiting import Awaited, Source

H = TypeVar("H", bound=Awaited)


class AsCompleted(Generic[H]):
    """Iterates, with `for` or `async for`, over handles as their tasks are done or have failed.

    `timeout` (seconds) is for all of them together: `late` makes the error for the first handle
    that is not done by then.
    """

    def __init__(
        self,
        handles: Sequence[H],
        source: Source,
        timeout: float | None,
        late: Callable[[H], Exception],
    ) -> None:
        self._handles = handles
        self._source = source
        self._timeout = timeout
        self._late = late

    def __iter__(self) -> Iterator[H]:
        rung = threading.Event()
        ends = self._ends()
        with self._arrivals(rung.set) as arrived:
            for _ in self._handles:
                while not arrived:
                    self._check(ends)
                    rung.wait(self._source.seconds_to_look())
                    rung.clear()
                    if not arrived and self._source.take_turn():
                        self._source.look()
                yield arrived.popleft()

    async def __aiter__(self) -> AsyncIterator[H]:
        loop, rung = asyncio.get_running_loop(), asyncio.Event()
        ends = self._ends()

        def ring() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits there any more
                loop.call_soon_threadsafe(rung.set)

        with self._arrivals(ring) as arrived:
            for _ in self._handles:
                while not arrived:
                    self._check(ends)
                    with suppress(asyncio.TimeoutError):
                        await asyncio.wait_for(rung.wait(), self._source.seconds_to_look())
                    rung.clear()
                    if not arrived and self._source.take_turn():
                        await loop.run_in_executor(None, self._source.look)
                yield arrived.popleft()

    def _ends(self) -> float:
        return float("inf") if self._timeout is None else time.monotonic() + self._timeout

    def _check(self, ends: float) -> None:
        if time.monotonic() >= ends:
            unfinished = next((h for h in self._handles if not h.is_done), None)
            if unfinished is not None:
                raise self._late(unfinished)

    @contextmanager
    def _arrivals(self, ring: Callable[[], None]) -> Iterator[deque[H]]:
        """The handles whose tasks are done and were not given yet; `ring` tells of each."""
        arrived: deque[H] = deque()

        def arrive(handle: H) -> None:
            arrived.append(handle)
            ring()

        callbacks = [(handle, functools.partial(arrive, handle)) for handle in self._handles]
        with self._source.watching(self._handles):
            for handle, callback in callbacks:
                handle.when_done(callback)
            try:
                yield arrived
            finally:
                for handle, callback in callbacks:
                    handle.forget(callback)
