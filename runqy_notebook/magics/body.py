"""What is to be enqueued: a payload on the line, or payloads in the cell's body."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from runqy_notebook.errors import UsageError
from runqy_notebook.magics.words import read_payload


def payloads(
    on_line: str | None, body: str | None, evaluate: Callable[[str], object]
) -> object | list[Any]:
    """One payload, or a list of payloads where a list, a table or JSON lines were given.

    Raises UsageError for none, for both, and for text that is neither JSON nor Python.
    """
    text = (body or "").strip().removesuffix(";")
    if on_line is not None and text:
        raise UsageError("Give the payload on the line or in the cell's body, not both.")
    if on_line is not None:
        return _one_or_many(read_payload(on_line, evaluate))
    if not text:
        raise UsageError(
            'The payload is missing. Write %runqy enqueue QUEUE {"key": "value"}, or put it into '
            "the body of %%runqy enqueue QUEUE."
        )
    lines = _json_lines(body or "")
    return _one_or_many(read_payload(text, evaluate)) if lines is None else lines


def _json_lines(body: str) -> list[object] | None:
    """The objects of JSON lines; None for a body whose first line is not an object by itself, or
    is the only one.
    """
    lines = [(n, line) for n, line in enumerate(body.splitlines(), 1) if line.strip()]
    if len(lines) < 2 or not isinstance(_parsed(lines[0][1]), dict):
        return None
    values = [_parsed(line) for _, line in lines]
    for (n, _), value in zip(lines, values, strict=True):
        if not isinstance(value, dict):
            problem = "JSON" if value is _NOT_JSON else "a JSON object"
            raise UsageError(f"Line {n} of the body is not {problem}, though its first line is.")
    return values


_NOT_JSON = object()


def _parsed(line: str) -> object:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return _NOT_JSON


def _one_or_many(value: object) -> object | list[Any]:
    kind = type(value).__name__  # pandas need not be there
    if kind == "DataFrame" and hasattr(value, "to_dicts"):  # polars
        return value.to_dicts()  # type: ignore[no-any-return]
    if kind == "DataFrame" and hasattr(value, "to_dict"):
        return value.to_dict("records")  # type: ignore[no-any-return]
    if kind == "Series" and hasattr(value, "to_dict") and _has_names(value):
        return value.to_dict()  # type: ignore[no-any-return]  # a row of a table
    is_one = isinstance(value, (Mapping, str, bytes)) or not isinstance(value, Iterable)
    return value if is_one or hasattr(value, "model_dump") else list(value)  # type: ignore[call-overload]


def _has_names(series: Any) -> bool:
    return all(isinstance(name, str) for name in series.index)
