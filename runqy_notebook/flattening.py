"""Payloads as columns: what lies in a JSON object, under the path that leads there.

A payload is a stranger's text. Its paths cannot be mistaken for one another: a key that is no plain
word stands in brackets and quotes, as JSON writes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

DEPTH: Final = 4
"""Objects within objects down to which columns are made; what lies deeper stays an object."""

MOST_COLUMNS: Final = 200
"""Columns of one frame. Rows that have more keep their whole payload too."""

_PLAIN: Final = re.compile(r"[^\W\d][\w -]{0,99}|\d{1,9}")


def flattened(values: Sequence[object], root: str) -> tuple[dict[str, list[Any]], list[bool]]:
    """The columns of these values, in order of appearance, None where a value lacks one; and for
    each value whether its columns say all of it.
    """
    rows = [_paths(value, root) for value in values]
    columns: dict[str, list[Any]] = {}
    is_whole = []
    for at, row in enumerate(rows):
        whole = row is not None
        for path, value in (row or {}).items():
            if path not in columns and len(columns) >= MOST_COLUMNS:
                whole = False
            else:
                columns.setdefault(path, [None] * len(rows))[at] = value
        is_whole.append(whole)
    return columns, is_whole


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


def _step(key: str) -> str:
    return f".{key}" if _PLAIN.fullmatch(key) else f"[{json.dumps(key)}]"
