"""What a handler's own model says of a payload: pydantic's, which checks more than types.

Only models are asked that the user made: pydantic is not imported here. They run the user's code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from runqy_notebook.errors import one_line
from runqy_notebook.hints.field import spelled

MOST_ERRORS: Final = 1_000
"""Errors that are looked at one by one."""


def validator_of(made: type) -> Callable[[Any], object] | None:
    """What checks a value for this class: a pydantic model's, or that of one of its dataclasses."""
    if callable(found := getattr(made, "model_validate", None)):
        return found  # type: ignore[no-any-return]
    found = getattr(getattr(made, "__pydantic_validator__", None), "validate_python", None)
    return found if callable(found) else None


def complaints(made: type, value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Where in the value the model finds a fault ("tags[1]", "" for all of it), and which; once for
    each place. Nothing for a class that checks nothing.
    """
    validate = validator_of(made)
    if validate is None:
        return
    try:
        validate(value)
    except Exception as error:  # noqa: BLE001 - the user's model
        errors = _errors(error)
        if errors is None:
            raised = one_line(f"{type(error).__name__}: {error}", 200)
            yield "", f"cannot be checked: {made.__name__} raised {raised}"
            return
    else:
        return
    seen = set()
    for each in errors:
        path = _path(each, value)
        if path not in seen:
            seen.add(path)
            yield path, _what(each)


def _errors(error: Exception) -> list[Mapping[str, Any]] | None:
    """The single faults of pydantic's ValidationError; None for any other error."""
    count = getattr(error, "error_count", None)
    if type(error).__name__ != "ValidationError" or count is None:
        return None
    if (n := count()) > MOST_ERRORS:
        return [{"loc": (), "msg": f"{n:,} faults", "type": "too_many"}]
    found: list[Mapping[str, Any]] = error.errors(include_url=False)  # type: ignore[attr-defined]
    return found


def _path(error: Mapping[str, Any], value: Any) -> str:
    """The place of a fault in the value. pydantic's has more: the alternatives of a union, too."""
    path = ""
    for step in error["loc"]:
        is_missing = error["type"] == "missing" and isinstance(value, dict) and step not in value
        try:
            value = None if is_missing else value[step]
        except (KeyError, IndexError, TypeError):
            break
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{step}" if path else str(step)
    return path


def _what(error: Mapping[str, Any]) -> str:
    if error["type"] == "missing":
        return "is missing."
    said = one_line(str(error["msg"]).removeprefix("Value error, "), 200).rstrip(".")
    if "input" not in error or error["loc"] == ():
        return f"{said}."
    return f"is {spelled(error['input'])}: {said[:1].lower()}{said[1:]}."
