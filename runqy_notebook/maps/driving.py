"""Doing a map to its end: in a cell or a script, or on an event loop that goes on meanwhile."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from runqy_notebook.maps.map import Map

if TYPE_CHECKING:
    import pandas as pd

_BREATH = 0.02  # seconds between two looks at the bell from an event loop


class MapInterrupted(KeyboardInterrupt):
    """A map was interrupted; says what goes on, and how to take it up again."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class MapCancelled(asyncio.CancelledError):
    """The same of one that was awaited."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


def done(work: Map) -> pd.DataFrame:
    """Its results. An interrupt gets through within a tick."""
    try:
        while (rest := work.step()) is not None:
            if rest:
                work.rung.wait(rest)
        return work.frame()
    except KeyboardInterrupt:
        raise MapInterrupted(work.stop()) from None
    finally:
        work.stop()


async def awaited(work: Map) -> pd.DataFrame:
    """The same without holding up the event loop: what takes time is done on another thread."""
    try:
        while (rest := await asyncio.to_thread(work.step)) is not None:
            while rest > 0 and not work.rung.is_set():
                await asyncio.sleep(min(rest, _BREATH))
                rest -= _BREATH
        return await asyncio.to_thread(work.frame)
    except asyncio.CancelledError:
        raise MapCancelled(work.stop()) from None
    finally:
        work.stop()
