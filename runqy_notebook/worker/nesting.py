"""Event loops of our own on which code may run another loop, or the same one, from within.

Handlers written for a script call `asyncio.run(...)` or `loop.run_until_complete(...)` where, here,
a loop is running already. nest_asyncio allows that, but its `apply()` changes asyncio for
everybody, and on the kernel's loop it breaks cells (ipykernel 7.1 and later: "cannot enter
context"). So only its re-entrant loop is taken, for a loop class of ours, and `asyncio.run` and
`asyncio.new_event_loop` are other functions only for code that runs on such a loop.

Its Python versions of Task and Future are not needed: what a nested run must get past is that
one task is current, and that is swapped out (`asyncio.tasks._swap_current_task` since 3.12; the
dict `_current_tasks` before, where nest_asyncio does it).
"""

from __future__ import annotations

import asyncio
import heapq
import os
import threading
from typing import Any, cast

import nest_asyncio

_asyncio: Any = asyncio  # whose functions are replaced for a time
_Base: Any = _asyncio.ProactorEventLoop if os.name == "nt" else asyncio.SelectorEventLoop
_MANY_TIMERS = 100
_swap_current_task = getattr(asyncio.tasks, "_swap_current_task", None)
_lock = threading.Lock()


class NestedLoop(_Base):  # type: ignore[misc]
    """An event loop that may be run from within itself and from within other loops."""


def _patch() -> None:
    """Makes the class what it says. The functions come from nest_asyncio, which puts them on the
    class of the loop that it is given.
    """
    loop = NestedLoop()
    try:
        nest_asyncio._patch_loop(loop)
    finally:
        loop.close()
    run_once = NestedLoop._run_once

    def swapping(self: Any) -> None:
        _forget_cancelled(self)
        if _swap_current_task is None:
            run_once(self)
            return
        before = _swap_current_task(self, None)
        try:
            run_once(self)
        finally:
            _swap_current_task(self, before)

    NestedLoop._run_once = swapping


def _forget_cancelled(loop: Any) -> None:
    """Drops cancelled timers when they are many, which asyncio does and nest_asyncio does not."""
    timers = loop._scheduled
    if len(timers) > _MANY_TIMERS and loop._timer_cancelled_count * 2 > len(timers):
        timers[:] = [timer for timer in timers if not timer._cancelled]
        heapq.heapify(timers)
        loop._timer_cancelled_count = 0


_patch()
_users = 0
_run: Any = None
_new_event_loop: Any = None


def open_loop() -> asyncio.AbstractEventLoop:
    """A new loop. While any is open, asyncio's functions know that they may run from within."""
    global _users, _run, _new_event_loop
    with _lock:
        _users += 1
        if _users == 1:
            _run, _new_event_loop = asyncio.run, asyncio.new_event_loop
            _asyncio.run = _asyncio.runners.run = _run_nested
            _asyncio.new_event_loop = _asyncio.events.new_event_loop = _new_nested_loop
    return cast(asyncio.AbstractEventLoop, NestedLoop())


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Closes a loop that `open_loop` gave; after the last one asyncio is as it was, unless
    somebody else changed it meanwhile: then ours pass everything on.
    """
    global _users
    loop.close()
    with _lock:
        _users -= 1
        if _users == 0:
            for home in (_asyncio, _asyncio.runners):
                if home.run is _run_nested:
                    home.run = _run
            for home in (_asyncio, _asyncio.events):
                if home.new_event_loop is _new_nested_loop:
                    home.new_event_loop = _new_event_loop


def _running_nested() -> NestedLoop | None:
    """The loop of ours that runs on this thread."""
    loop = asyncio._get_running_loop()
    return loop if isinstance(loop, NestedLoop) else None


def _run_nested(main: Any, **options: Any) -> object:
    """`asyncio.run`; from within a loop of ours it runs `main` there, where also what belongs to
    that loop can be used.
    """
    loop = _running_nested()
    if loop is None:
        return _run(main, **options)
    task = asyncio.ensure_future(main, loop=cast(Any, loop))
    try:
        return loop.run_until_complete(task)
    finally:
        if not task.done():
            task.cancel()


def _new_nested_loop() -> asyncio.AbstractEventLoop:
    """`asyncio.new_event_loop`; within a loop of ours it makes one that can run there."""
    if _running_nested() is None:
        return cast(asyncio.AbstractEventLoop, _new_event_loop())
    return cast(asyncio.AbstractEventLoop, NestedLoop())
