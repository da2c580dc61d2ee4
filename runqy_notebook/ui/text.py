"""Strangers' text made fit to show: no escape sequences, no control or direction characters."""

from __future__ import annotations

import re
from datetime import datetime

LARGEST = 4_096  # characters of one text that are shown

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[@-Z\\^_])", re.DOTALL
)
"""ANSI: colours, cursor moves, and strings such as a window's title with what stands in them."""


def cleaned(text: str, limit: int = LARGEST) -> str:
    """`text` with its lines and tabs kept, without what would act on a terminal or a page instead
    of being read; what was cut is told at the end.
    """
    some = _ESCAPES.sub("", text[: 2 * limit])
    kept = "".join(c for c in some if c.isprintable() or c in "\n\t")
    left = len(text) - limit
    return kept if left <= 0 else f"{kept[:limit]}… ({left:,} more characters)"


def cleaned_line(text: str, limit: int = 200) -> str:
    """The same as one line: of what a carriage return overwrote only the end."""
    last = _ESCAPES.sub("", text[-8 * limit :]).rstrip("\r\n").rpartition("\r")[2]
    flat = "".join(c if c.isprintable() else " " if c in "\n\t" else "" for c in last)
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def duration(seconds: float) -> str:
    """About how long: "12 ms", "3.2 s", "4 min 10 s", "2 h 5 min"."""
    if seconds < 0.1:
        return f"{max(0, seconds) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60:,} h {minutes % 60} min"


def clock(moment: float) -> str:
    """A unix time as this machine's clock shows it, the day only where it is another."""
    try:
        at, now = datetime.fromtimestamp(moment).astimezone(), datetime.now().astimezone()
    except (ValueError, OverflowError, OSError):
        return "some time"
    return at.strftime("%H:%M:%S" if at.date() == now.date() else "%Y-%m-%d %H:%M")


def counted(number: int, thing: str) -> str:
    """`1 task`, `2,000 tasks`."""
    return f"{number:,} {thing}{'s' * (number != 1)}"
