"""A handler's traceback as a reader knows it: `Cell In[3], line 4`, not a file in /tmp."""

from __future__ import annotations

import linecache
import os
import re
from collections.abc import Callable
from pathlib import Path

from runqy_notebook.ui.text import cleaned

_FRAME = re.compile(r'^  File "(?P<file>[^"\n]+)", line (?P<line>\d+), in (?P<name>.*)$')
_OURS = f"{Path(__file__).parents[1]}{os.sep}"
_LARGEST = 8_000  # characters
_AROUND = 2  # lines of a cell before and after the one that raised

CellName = Callable[[str], "tuple[str, str] | None"]
"""IPython's `compile.format_code_name`: ("Cell", "In[3]") for the file that a cell was run as."""


def readable(text: str, cell_name: CellName) -> str:
    """The frames with cells called by their names; where the innermost is a cell's, with the lines
    around it. A long traceback loses its beginning, a simple one the error itself.
    """
    lines = _without_ours(text.rstrip().splitlines())
    frames = [(at, found) for at, line in enumerate(lines) if (found := _FRAME.match(line))]
    for at, found in reversed(frames):
        cell = cell_name(found["file"])
        if cell is None:
            continue
        lines[at] = f"  {cell[0]} {cell[1]}, line {found['line']}, in {found['name']}"
        if at == frames[-1][0]:
            around = _around(found["file"], int(found["line"]))
            end = _end_of_frame(lines, at)
            lines[at + 1 : end] = around or lines[at + 1 : end]
    told = "\n".join(lines[1:-1] if len(frames) and _is_simple(lines) else lines)
    return cleaned(told if len(told) <= _LARGEST else f"…{told[-_LARGEST:]}", _LARGEST + 1)


def _without_ours(lines: list[str]) -> list[str]:
    """Without the innermost frames where they are this package's: a payload that has no such key
    raises in there, and is the handler's to look at.
    """
    frames = [at for at, line in enumerate(lines) if _FRAME.match(line)]
    while len(frames) > 1 and lines[frames[-1]].startswith(f'  File "{_OURS}'):
        begin = frames.pop()
        lines = lines[:begin] + lines[_end_of_frame(lines, begin) :]
    return lines


def _end_of_frame(lines: list[str], begin: int) -> int:
    """After its source and the marks below that."""
    end = begin + 1
    while end < len(lines) and lines[end].startswith("    "):
        end += 1
    return end


def _is_simple(lines: list[str]) -> bool:
    """Whether it is one error's, its message a line: what the card says above it anyway."""
    begins = sum(line.startswith("Traceback (most recent call last)") for line in lines)
    return begins == 1 and lines[0].startswith("Traceback") and not lines[-1].startswith(" ")


def _around(file: str, number: int) -> list[str]:
    """The cell's lines about this one, numbered, the line itself with an arrow."""
    source = linecache.getlines(file)
    first = max(1, number - _AROUND)
    some = source[first - 1 : number + _AROUND]
    if not 1 <= number <= len(source):
        return []
    is_inside = source[number - 1][:1].isspace()
    while is_inside and len(some) > number - first + 1 and not some[-1][:1].isspace():
        some.pop()  # what follows the function
    return [
        f"{'---->' if n == number else '     '} {n:3} {line.rstrip()}"
        for n, line in enumerate(some, first)
    ]
