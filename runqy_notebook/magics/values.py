"""What the text of an option means: durations, moments, counts, choices.

Each raises ArgumentTypeError, whose text is what the person is told.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Sequence
from datetime import datetime

from runqy_notebook.errors import did_you_mean, one_line
from runqy_notebook.options import moment_named

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")
_LONGEST = 1e9  # seconds, 31 years


def duration(text: str) -> float:
    """Seconds in "90", "10m", "1h30m"."""
    try:
        if _DURATION.fullmatch(text):
            seconds = sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(text))
        else:
            seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < _LONGEST:
        raise argparse.ArgumentTypeError(
            f"{_quoted(text)} is not a duration; write seconds, or 500ms, 10m, 1h30m, 2d"
        )
    return seconds


def moment(text: str) -> datetime:
    """The moment that "18:30" (the next one, local time) or an ISO 8601 text means."""
    try:
        return moment_named(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def count(text: str) -> int:
    """A whole number from 1."""
    return _whole(text, 1)


def count_or_zero(text: str) -> int:
    """A whole number from 0."""
    return _whole(text, 0)


def one_of(choices: Sequence[str]) -> Callable[[str], str]:
    """One of these words."""

    def choice(text: str) -> str:
        if text not in choices:
            raise argparse.ArgumentTypeError(
                f"{_quoted(text)} is none of {', '.join(choices)}.{did_you_mean(text, choices)}"
            )
        return text

    return choice


def some_of(choices: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """One or more of these words, separated by commas."""
    one = one_of(choices)
    return lambda text: tuple(one(word.strip()) for word in text.split(","))


def _whole(text: str, least: int) -> int:
    if not (text.isascii() and text.isdecimal()) or len(text) > 9 or int(text) < least:
        raise argparse.ArgumentTypeError(f"{_quoted(text)} is not a whole number from {least}")
    return int(text)


def _quoted(text: str) -> str:
    return repr(one_line(text, 80))
