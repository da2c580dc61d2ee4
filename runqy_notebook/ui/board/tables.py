"""The DataFrames of a notebook, whose rows can be enqueued: pandas' and polars'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from runqy_notebook.ui.text import counted

MOST: Final = 50


def tables_in(names: Mapping[str, Any]) -> dict[str, Any]:
    """Those that have a name of the person's own, in the order of their names; at most 50."""
    try:
        every = list(names.items())
    except RuntimeError:  # a cell is adding names just now
        return {}
    found = [(name, value) for name, value in every if name[:1] != "_" and is_table(value)]
    return dict(sorted(found, key=lambda pair: pair[0])[:MOST])


def is_table(value: object) -> bool:
    """Whether it is a DataFrame; neither library need be there."""
    return type(value).__name__ == "DataFrame" and hasattr(value, "columns")


def rows_of(table: Any, limit: int | None = None) -> list[dict[str, Any]]:
    """A dict for each row, of the first `limit`."""
    some = table if limit is None else table.head(limit)
    rows: list[dict[str, Any]] = (
        some.to_dicts() if hasattr(some, "to_dicts") else some.to_dict("records")
    )
    return rows


def size_of(table: Any) -> str:
    """How many rows it has, in words."""
    return counted(len(table), "row")
