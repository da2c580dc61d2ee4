"""Payloads as columns: what lies in a JSON object, under the path that leads there.

A payload is a stranger's text. Its paths cannot be mistaken for one another: a key that is no plain
word stands in brackets and quotes, as JSON writes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

DEPTH: Final = 4
"""Objects within objects down to which columns are made; what lies deeper stays an object."""

MOST_COLUMNS: Final = 200
"""Columns of one frame. Rows that have more keep their whole payload too."""

_PLAIN: Final = re.compile(r"[^\W\d][\w -]{0,99}|\d{1,9}")


class Columns:
    """Columns that grow as rows are put into them, `named` by path in order of appearance, None
    where a row lacks one.
    """

    def __init__(self, n_rows: int, root: str) -> None:
        self.named: dict[str, list[Any]] = {}
        self._n_rows = n_rows
        self._root = root

    def put(self, at: int, value: object) -> bool:
        """Takes the value of this row; whether the columns say all of it."""
        row = _paths(value, self._root)
        if row is None:
            return False
        is_whole = True
        for path, part in row.items():
            column = self.named.get(path)
            if column is None and len(self.named) >= MOST_COLUMNS:
                is_whole = False
                continue
            if column is None:
                column = self.named[path] = [None] * self._n_rows
            column[at] = part
        return is_whole


def flattened(values: Sequence[object], root: str) -> tuple[dict[str, list[Any]], list[bool]]:
    """The columns of these values, in order of appearance, None where a value lacks one; and for
    each value whether its columns say all of it.
    """
    columns = Columns(len(values), root)
    is_whole = [columns.put(at, value) for at, value in enumerate(values)]
    return columns.named, is_whole


def _paths(value: object, root: str) -> dict[str, object] | None:
    """What lies in the value by path; None for what is no object."""
    return dict(_walk(value, root, DEPTH)) if isinstance(value, Mapping) else None


def _walk(mapping: Mapping[str, object], path: str, depth: int) -> Iterator[tuple[str, object]]:
    for key, part in mapping.items():
        place = path + _step(key)
        if isinstance(part, Mapping) and part and depth > 1:
            yield from _walk(part, place, depth - 1)
        else:
            yield place, part


@lru_cache(maxsize=1_000)
def _step(key: str) -> str:
    return f".{key}" if _PLAIN.fullmatch(key) else f"[{json.dumps(key)}]"
