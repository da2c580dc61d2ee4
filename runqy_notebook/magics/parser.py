"""Reading a `%runqy` line: argparse's grammar, errors of one sentence, spaces inside payloads."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NoReturn

from runqy_notebook.errors import UsageError, did_you_mean
from runqy_notebook.magics.words import split_line

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|[smhdw]))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhdw])")


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError instead of ending the process."""

    def __init__(self, name: str) -> None:
        super().__init__(prog=f"%runqy {name}", add_help=False, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message.rstrip('.?')}. {self.prog} --help shows what it takes.")

    def options(self) -> list[str]:
        """Its option strings, such as --limit."""
        return [text for action in self._actions for text in action.option_strings]

    def option_values(self, option: str) -> list[str] | None:
        """What may follow an option: its choices, [] for any value, None for a flag."""
        for action in self._actions:
            if option in action.option_strings:
                return None if action.nargs == 0 else [str(c) for c in action.choices or ()]
        return []

    def positionals(self) -> list[argparse.Action]:
        """Its positional arguments, in order."""
        return [action for action in self._actions if not action.option_strings]


@dataclass(frozen=True, slots=True)
class Command:
    """One `%runqy` command: its words, its arguments, and the function that does it."""

    words: tuple[str, ...]
    help: str
    act: Callable[..., Any]
    takes_body: bool = False
    parser: Parser = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parser", Parser(" ".join(self.words)))

    def argument(self, *names: str, **options: Any) -> Command:
        """Adds an argument, as argparse's add_argument; gives the command back."""
        self.parser.add_argument(*names, **options)
        return self

    def parse(self, words: list[str]) -> argparse.Namespace:
        """The arguments among these words; raises UsageError."""
        known, unknown = self.parser.parse_known_intermixed_args(words)
        if unknown:
            hint = did_you_mean(unknown[0], self.parser.options())
            raise UsageError(
                f"{unknown[0]!r} is not understood here.{hint} "
                f"{self.parser.prog} --help shows what it takes."
            )
        return known

    @property
    def usage(self) -> str:
        """One line: the command with its arguments."""
        return " ".join(self.parser.format_usage().split()).removeprefix("usage: ")


def find(commands: list[Command], line: str) -> tuple[Command, list[str]]:
    """The command that a line names and its remaining words; raises UsageError."""
    words = [word.text for word in split_line(line)]
    if not words:
        raise UsageError("Name a command. " + _listed(commands))
    for command in commands:
        if tuple(words[: len(command.words)]) == command.words:
            return command, words[len(command.words) :]
    group = [c for c in commands if c.words[0] == words[0]]
    if group:
        given = words[1] if len(words) > 1 else ""
        second = [c.words[1] for c in group]
        raise UsageError(
            f"%runqy {words[0]} wants one of {', '.join(second)}"
            + (f", not {given!r}.{did_you_mean(given, second)}" if given else ".")
        )
    known = sorted({c.words[0] for c in commands})
    raise UsageError(
        f"There is no command {words[0]!r}.{did_you_mean(words[0], known)} {_listed(commands)}"
    )


def duration(text: str) -> float:
    """Seconds in "90", "10m", "1h30m"; raises ArgumentTypeError."""
    try:
        if _DURATION.fullmatch(text):
            return sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(text))
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < 1e9:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a duration; write seconds, or 500ms, 10m, 1h30m, 2d"
        )
    return seconds


def moment(text: str) -> datetime:
    """The moment that "18:30" (the next one, local time) or an ISO 8601 text means."""
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}", text):
            now = datetime.now().astimezone()
            hour, minute = map(int, text.split(":"))
            at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return at if at > now else at + timedelta(days=1)
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a moment; write 18:30 or 2030-01-31T18:30"
        ) from None


def count(text: str) -> int:
    """A whole number from 1; raises ArgumentTypeError."""
    return _whole(text, 1)


def count_or_zero(text: str) -> int:
    """A whole number from 0; raises ArgumentTypeError."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or len(text) > 9 or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {least}")
    return int(text)


def _listed(commands: list[Command]) -> str:
    return f"Commands: {', '.join(dict.fromkeys(c.words[0] for c in commands))}."
