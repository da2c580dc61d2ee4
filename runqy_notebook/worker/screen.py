"""What was printed, as lines: a terminal of one line and its past, without its colours."""

from __future__ import annotations

import re
from collections.abc import Callable

LONGEST_LINE = 2_000  # characters

_MOVES = re.compile(
    r"\r|\n|\x1b\[\d*A|\x1b\[[0-2]?K"  # back to the start, next line, line up, wipe
    r"|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b."  # any other escape
)


class Screen:
    """Makes lines of the text of one stream and hands the finished ones to `finished`.

    A carriage return lets what follows replace the line, as progress bars do; a move up, with
    which nested bars return to the outer one, reopens the line above while `reopened` still has it.
    Escape sequences and control characters go; of a line longer than 2,000 characters the start
    stays.
    """

    def __init__(
        self, finished: Callable[[str], None], reopened: Callable[[], str | None] = lambda: None
    ) -> None:
        self._finished = finished
        self._reopened = reopened
        self._line = ""
        self._cut = 0  # characters of the line that were dropped
        self._is_at_start = False
        self._below: list[str] = []  # lines that the cursor went up from

    @property
    def line(self) -> str:
        """The line that is still being written."""
        return _cleaned(self._line, self._cut)

    def feed(self, text: str) -> None:
        """Takes what was printed."""
        at = 0
        for move in _MOVES.finditer(text):
            self._put(text[at : move.start()])
            at = move.end()
            self._move(move[0])
        self._put(text[at:])

    def end(self) -> None:
        """Finishes what is left unfinished."""
        for line in (self.line, *reversed(self._below)):
            if line:
                self._finished(line)
        self._line, self._below = "", []

    def _move(self, move: str) -> None:
        if move == "\r":
            self._is_at_start = True
        elif move == "\n":
            self._finished(self.line)
            self._start(self._below.pop() if self._below else "")
        elif move.startswith("\x1b[") and move[-1] == "A":
            self._below.append(self.line)
            self._start(self._reopened() or "")
        elif move.startswith("\x1b[") and move[-1] == "K":
            self._start("")

    def _start(self, line: str) -> None:
        self._line, self._cut, self._is_at_start = line, 0, False

    def _put(self, text: str) -> None:
        if not text:
            return
        if self._is_at_start:
            self._start("")
        room = LONGEST_LINE - len(self._line)
        self._line += text[: max(0, room)]
        self._cut += max(0, len(text) - max(0, room))


def _cleaned(line: str, cut: int) -> str:
    if not (line.isascii() and line.isprintable()):
        line = "".join(map(_shown, line))
    return f"{line}… ({cut} more characters)" if cut else line


def _shown(char: str) -> str:
    if char.isprintable() or char == "\t":
        return char
    return " " if char.isspace() else ""
