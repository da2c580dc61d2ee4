"""What a docstring says of named things: sections as Google's and NumPy's styles write them.

Payload:                                Payload
    pixels (list[int]): the picture     -------
    top (int, optional): how many.      pixels : list[int]
        Defaults to 3.                      the picture
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from textwrap import dedent
from typing import Final

_GOOGLE_TITLE: Final = re.compile(r"([A-Za-z][A-Za-z ]{0,30}):\s*")
_NUMPY_TITLE: Final = re.compile(r"([A-Za-z][A-Za-z ]{0,30})\s*")
_RULE: Final = re.compile(r"-{3,}\s*")
_GOOGLE: Final = re.compile(
    r"(?:[-*] )?(?P<tick>[`'\"]*)(?P<name>\w+)(?P=tick)\s*"
    r"(?:\((?P<type>[^()]*(?:\([^()]*\)[^()]*)*)\))?:"
    r"(?:\s+(?P<help>.*)|$)"
)
_NUMPY: Final = re.compile(r"(?P<name>\w+)(?:\s*:\s*(?P<type>.*))?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a section names. `body` is what stands below it, its own sections included."""

    name: str
    type: str
    help: str
    body: str = ""


def described(doc: str, titles: Collection[str]) -> dict[str, Entry]:
    """The entries by name of the sections with these titles (lower case) of a docstring that
    `inspect.getdoc` gave.
    """
    found: dict[str, Entry] = {}
    for title, body, is_numpy in _sections(doc):
        if title in titles:
            for entry in _numpy_entries(body) if is_numpy else google_entries("\n".join(body)):
                found.setdefault(entry.name, entry)
    return found


def google_entries(text: str) -> Iterator[Entry]:
    """Entries of the form `name (type): help`, with what is indented below each."""
    for first, below in _blocks(dedent(text).splitlines()):
        matched = _GOOGLE.fullmatch(first.strip())
        if matched:
            yield _entry(matched["name"], matched["type"], matched["help"], below)


def _numpy_entries(lines: list[str]) -> Iterator[Entry]:
    for first, below in _blocks(lines):
        matched = _NUMPY.fullmatch(first.strip())
        if matched:
            yield _entry(matched["name"], matched["type"], "", below)


def _entry(name: str, kind: str | None, told: str | None, below: list[str]) -> Entry:
    body = dedent("\n".join(below)).strip("\n")
    words = []
    for line in body.splitlines():  # until what is below lists something itself
        if not line.strip() or _GOOGLE.fullmatch(line.strip()):
            break
        words.append(line.strip())
    return Entry(name, (kind or "").strip(), " ".join([told or "", *words]).strip(), body)


def _blocks(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Each line that is not indented, with the indented lines below it."""
    first: str | None = None
    below: list[str] = []
    for line in lines:
        if line[:1].isspace() or not line.strip():
            below.append(line)
            continue
        if first is not None:
            yield first, below
        first, below = line, []
    if first is not None:
        yield first, below


def _sections(doc: str) -> Iterator[tuple[str, list[str], bool]]:
    """The sections of a docstring: title in lower case, lines, whether in NumPy's style."""
    lines = doc.splitlines()
    heads: list[tuple[int, int, str, bool]] = []
    for at, line in enumerate(lines):
        ruled = at + 1 < len(lines) and _RULE.fullmatch(lines[at + 1])
        if ruled and (title := _NUMPY_TITLE.fullmatch(line)):
            heads.append((at, at + 2, title[1].strip().lower(), True))
        elif title := _GOOGLE_TITLE.fullmatch(line):
            heads.append((at, at + 1, title[1].strip().lower(), False))
    ends = [*(at for at, *_ in heads), len(lines)][1:]
    for (_, begin, name, is_numpy), end in zip(heads, ends, strict=True):
        yield name, lines[begin:end], is_numpy
