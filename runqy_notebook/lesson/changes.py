"""What a move changed: the keys before and after, and which parts of them differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from runqy_notebook.broker.keys import Entry, Key, Snapshot

MOST_PARTS: Final = 8
"""Entries of one key that are shown, those that changed before others."""

_HALF_A_DAY: Final = 43_200.0


@dataclass(frozen=True, slots=True)
class Part:
    """An entry of a list or sorted set, a field of a hash, or a string; a stranger's text."""

    text: str
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One key before and after. None: it was not, or is no more, there. Of a hash only the fields
    that changed are told; `n_same` are the parts that are left out.
    """

    key: str
    kind: str
    before: tuple[Part, ...] | None
    after: tuple[Part, ...] | None
    n_same: int = 0

    @property
    def word(self) -> str:
        """What became of the key."""
        if self.before is None:
            return "new"
        return "gone" if self.after is None else "changed"


def changes(before: Snapshot, after: Snapshot) -> tuple[Change, ...]:
    """The keys that differ, in the order of their names. A hash of a task that was not among those
    read before counts as unchanged.
    """
    found = []
    for name in sorted(before.keys.keys() | after.keys.keys()):
        one, other = before.keys.get(name), after.keys.get(name)
        if _is_unread(name, one, other, before, after):
            continue
        if one != other and (change := _change(name, one, other, after.at)):
            found.append(change)
    return tuple(found)


def _change(name: str, one: Key | None, other: Key | None, at: float) -> Change | None:
    there = other or one
    assert there is not None  # noqa: S101 - one of them is
    kind = there.kind
    if kind == "hash" or (one and one.kind == "hash"):
        return _of_hash(name, kind, one, other)
    if kind == "string":
        return Change(name, kind, _text(one), _text(other))
    news = set(_names_new(one, other))
    lost = set(_names_new(other, one))
    if one and other and one.kind == other.kind and not news and not lost and _same(one, other):
        return None
    before, after = _entries(one, lost, at), _entries(other, news, at)
    shown = max(len(before or ()), len(after or ()))
    size = max(one.size if one else 0, other.size if other else 0)
    return Change(name, kind, before, after, max(0, size - shown))


def _is_unread(
    name: str, one: Key | None, other: Key | None, before: Snapshot, after: Snapshot
) -> bool:
    """Whether it is of a task that only one of the snapshots looked at."""
    if any(key is not None and key.kind != "hash" for key in (one, other)):
        return False
    return (one is None and name not in before.looked_at) or (
        other is None and name not in after.looked_at
    )


def _same(one: Key, other: Key) -> bool:
    """Whether nothing differs but what stands beyond what was read."""
    return one.size == other.size


def _names_new(one: Key | None, other: Key | None) -> Iterator[str]:
    """Entries of `other` that `one` has not, or with another score; not those at the far end that
    were only not read before.
    """
    had = {entry.name: entry.score for entry in one.entries} if one else {}
    entries = list(other.entries) if other else []
    if one and one.is_cut:
        while entries and entries[-1].name not in had:
            entries.pop()
    for entry in entries:
        if entry.name not in had or had[entry.name] != entry.score:
            yield entry.name


def _entries(key: Key | None, changed: set[str], at: float) -> tuple[Part, ...] | None:
    if key is None:
        return None
    parts = [Part(_entry(entry, at), entry.name in changed) for entry in key.entries]
    first = [part for part in parts if part.is_changed][:MOST_PARTS]
    room = MOST_PARTS - len(first)
    kept = set(first) | set([part for part in parts if not part.is_changed][:room])
    return tuple(part for part in parts if part in kept)


def _entry(entry: Entry, at: float) -> str:
    if entry.score is None:
        return entry.name
    return f"{entry.name} ({moment(entry.score, at)})"


def moment(score: float, at: float) -> str:
    """A score as the time that it is, to tenths; with the day where that is far from `at`."""
    try:
        then = datetime.fromtimestamp(score).astimezone()
    except (ValueError, OverflowError, OSError):
        return f"{score:g}"
    if abs(score - at) < _HALF_A_DAY:
        return then.strftime("%H:%M:%S.%f")[:-5]
    return then.strftime("%Y-%m-%d %H:%M")


def _of_hash(name: str, kind: str, one: Key | None, other: Key | None) -> Change:
    had, has = dict(one.fields) if one else {}, dict(other.fields) if other else {}
    changed = [f for f in sorted(had.keys() | has.keys()) if had.get(f) != has.get(f)]
    before = tuple(Part(f"{f} = {had[f]}", True) for f in changed if f in had)
    after = tuple(Part(f"{f} = {has[f]}", True) for f in changed if f in has)
    n_same = len(had.keys() & has.keys()) - sum(f in had and f in has for f in changed)
    return Change(name, kind, before if one else None, after if other else None, n_same)


def _text(key: Key | None) -> tuple[Part, ...] | None:
    return None if key is None else (Part(key.text, True),)
