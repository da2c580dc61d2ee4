"""How big the scenarios are: short in `make test`, full with RUNQY_CHAOS=full."""

from __future__ import annotations

import os
from typing import TypeVar

IS_FULL = os.environ.get("RUNQY_CHAOS") == "full"

T = TypeVar("T")


def size(*, short: T, full: T) -> T:
    """The one of both that is asked for."""
    return full if IS_FULL else short
