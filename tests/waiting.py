"""Waiting for something to become true, instead of sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(predicate: Callable[[], object], why: str, seconds: float = 10.0) -> None:
    """Returns as soon as `predicate()` is true; fails after `seconds` with `why`."""
    ends = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > ends:
            raise AssertionError(f"{why} (not within {seconds:g} s)")
        time.sleep(0.01)
