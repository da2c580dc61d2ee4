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
    text = (body or "").strip()
    if on_line is not None and text:
        raise UsageError("Give the payload on the line or in the cell's body, not both.")
    if on_line is None and not text:
        raise UsageError(
            'The payload is missing. Write %runqy enqueue QUEUE {"key": "value"}, or put it into '
            "the body of %%runqy enqueue QUEUE."
        )
    if on_line is None and (lines := _json_lines(text)) is not None:
        return lines
    return _one_or_many(read_payload(on_line if on_line is not None else text, evaluate))


def _json_lines(text: str) -> list[object] | None:
    """The objects of JSON lines (two or more lines, each a JSON object), else None."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) < 2:
        return None
    try:
        values = [json.loads(line) for line in lines]
    except ValueError:
        return None
    return values if all(isinstance(value, dict) for value in values) else None


def _one_or_many(value: object) -> object | list[Any]:
    if type(value).__name__ == "DataFrame" and hasattr(value, "to_dict"):
        return value.to_dict("records")  # type: ignore[no-any-return]
    is_one = isinstance(value, (Mapping, str, bytes)) or not isinstance(value, Iterable)
    return value if is_one or hasattr(value, "model_dump") else list(value)  # type: ignore[call-overload]
