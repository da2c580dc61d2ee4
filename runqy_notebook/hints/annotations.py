"""Fields from type hints: TypedDict, dataclass, pydantic model, and what these hold.

A hint that says nothing of use makes a field that takes anything; no hint makes reading fail.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import datetime
import decimal
import enum
import inspect
import json
import pathlib
import types
import typing
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, Literal, Union, get_args, get_origin

from runqy_notebook.errors import PayloadError
from runqy_notebook.hints.docstring import described
from runqy_notebook.hints.field import MISSING, Field, Kind, spelled
from runqy_notebook.hints.models import validator_of
from runqy_notebook.wire.payload import encode_value

DEEPEST: Final = 6
"""Levels of objects in objects that are told apart; what is deeper takes anything."""

_SIMPLE: Final[dict[Any, Kind]] = {
    str: Kind.TEXT,
    bool: Kind.BOOLEAN,
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    decimal.Decimal: Kind.NUMBER,
    datetime.datetime: Kind.TEXT,
    datetime.date: Kind.TEXT,
    datetime.time: Kind.TEXT,
    uuid.UUID: Kind.TEXT,
    pathlib.Path: Kind.TEXT,
}
_ARRAYS: Final = (list, tuple, set, frozenset, collections.abc.Iterable)
_WORDS: Final = {
    Kind.TEXT: "text",
    Kind.INTEGER: "whole number",
    Kind.NUMBER: "number",
    Kind.BOOLEAN: "true or false",
    Kind.OBJECT: "object",
    Kind.ARRAY: "list",
    Kind.ANY: "any value",
}


def field_of(hint: Any, name: str = "", level: int = 0) -> Field:
    """The field that a type hint describes."""
    hint, told = _bare(hint)
    made = _read(hint, name, level)
    return replace(made, help=told) if told and not made.help else made


def worded(field: Field) -> str:
    """What a field takes, in words: "list of whole numbers", "text or null"."""
    words = _WORDS.get(field.kind, "")
    if field.kind is Kind.CHOICE:
        words = f"one of {', '.join(map(spelled, field.choices))}"
    elif field.item is not None and field.item.kind is not Kind.ANY:
        words = f"list: {worded(field.item)}"
    return f"{words} or null" if field.is_nullable else words


def _read(hint: Any, name: str, level: int) -> Field:
    origin = get_origin(hint) or hint
    if origin in (Union, types.UnionType):
        return _read_union(get_args(hint), name, level)
    if origin is Literal:
        return _choice(name, get_args(hint))
    if isinstance(origin, type):
        if issubclass(origin, enum.Enum):
            return _choice(name, [member.value for member in origin])
        if (parts := _parts(origin, level)) is not None:
            model = origin if validator_of(origin) else None
            return _worded(Field(name, Kind.OBJECT, fields=tuple(parts), model=model))
        for known, kind in _SIMPLE.items():
            if issubclass(origin, known):
                return _worded(Field(name, kind))
        if issubclass(origin, collections.abc.Mapping):
            return _worded(Field(name, Kind.OBJECT))
        if origin is not bytes and (origin in _ARRAYS or issubclass(origin, _ARRAYS)):
            return _worded(Field(name, Kind.ARRAY, item=_item(hint, level)))
    return _worded(Field(name, Kind.ANY, is_nullable=hint in (None, type(None))))


def _read_union(options: tuple[Any, ...], name: str, level: int) -> Field:
    """Of several types only what they have in common is known."""
    some = [each for each in options if each is not type(None)]
    made = [field_of(each, name, level) for each in some]
    is_nullable = len(some) < len(options) or any(each.is_nullable for each in made)
    kinds = {each.kind for each in made}
    if len(made) == 1:
        found = made[0]
    elif kinds == {Kind.CHOICE}:
        found = _choice(name, [choice for each in made for choice in each.choices])
    elif kinds <= {Kind.INTEGER, Kind.NUMBER}:
        found = Field(name, Kind.NUMBER)
    else:
        found = Field(name, Kind.ANY)
    return _worded(replace(found, is_nullable=is_nullable))


def _choice(name: str, values: Any) -> Field:
    """One of these values; anything where one of them is no JSON."""
    members = [each.value if isinstance(each, enum.Enum) else each for each in values]
    choices = [json_value(each) for each in members if each is not None]
    if not choices or any(each is MISSING for each in choices):
        return _worded(Field(name, Kind.ANY))
    is_nullable = len(choices) < len(members)
    return _worded(Field(name, Kind.CHOICE, choices=tuple(choices), is_nullable=is_nullable))


def _item(hint: Any, level: int) -> Field | None:
    arguments = [each for each in get_args(hint) if each is not Ellipsis]
    if not arguments or len(set(map(repr, arguments))) > 1:
        return None
    return field_of(arguments[0], "", level)


def _parts(made: type, level: int) -> Iterator[Field] | None:
    """The fields of a class that describes an object; None for any other class."""
    readers = (
        (typing.is_typeddict(made), _of_typed_dict),
        (dataclasses.is_dataclass(made), _of_dataclass),
        (hasattr(made, "model_fields"), _of_model),
    )
    for is_that, reader in readers:
        if is_that:
            return iter(()) if level >= DEEPEST else _helped(made, reader(made, level + 1))
    return None


def _helped(made: type, parts: Iterator[Field]) -> Iterator[Field]:
    """The fields with the help that the class's docstring has for them."""
    told = described(inspect.getdoc(made) or "", ("attributes", "fields", "keys", "args"))
    for part in parts:
        known = told.get(part.name)
        yield part if part.help or known is None else replace(part, help=known.help)


def _of_typed_dict(made: Any, level: int) -> Iterator[Field]:
    for name, hint in _hints(made).items():
        part = field_of(hint, name, level)
        asked = get_origin(hint)  # as text, `NotRequired[...]` is not seen when the class is made
        is_required = name in made.__required_keys__
        if asked is not None and getattr(asked, "_name", "") in ("Required", "NotRequired"):
            is_required = asked._name == "Required"
        yield replace(part, is_required=is_required)


def _of_dataclass(made: Any, level: int) -> Iterator[Field]:
    hints = _hints(made)
    for each in dataclasses.fields(made):
        if not each.init:
            continue
        default: Any = each.default
        if each.default_factory in (list, dict, set, tuple):
            default = each.default_factory()
        has_default = default is not dataclasses.MISSING
        is_required = not has_default and each.default_factory is dataclasses.MISSING
        yield replace(
            field_of(hints.get(each.name, Any), each.name, level),
            default=json_value(default) if has_default else MISSING,
            is_required=is_required,
            help=str(each.metadata.get("help") or each.metadata.get("description") or ""),
        )


def _of_model(made: Any, level: int) -> Iterator[Field]:
    """The fields of a pydantic model, by the names that its JSON has."""
    for name, each in made.model_fields.items():
        alias = each.validation_alias or each.alias
        told = field_of(each.annotation, alias if isinstance(alias, str) else name, level)
        is_required = bool(each.is_required())
        has_default = not is_required and each.default_factory is None
        yield replace(
            told,
            default=json_value(each.default) if has_default else MISSING,
            is_required=is_required,
            help=each.description or told.help,
        )


def json_value(value: object) -> Any:
    """The value as JSON has it; MISSING for one that has no JSON."""
    try:
        return json.loads(encode_value(value, "value"))
    except PayloadError:
        return MISSING


def _hints(made: Any) -> dict[str, Any]:
    """The hints of a class's fields, Any for what cannot be resolved."""
    try:
        return typing.get_type_hints(made, include_extras=True)
    except Exception:  # noqa: BLE001 - resolving runs the user's text
        names = getattr(made, "__annotations__", {})
        return dict.fromkeys(names, Any)


def _bare(hint: Any) -> tuple[Any, str]:
    """A hint without what only wraps it, and the help that stood beside it."""
    told = ""
    while True:
        origin = get_origin(hint)
        if origin is typing.Annotated:
            hint, *extras = get_args(hint)
            told = told or next(filter(None, map(_help_in, extras)), "")
        elif getattr(origin, "_name", "") in ("Required", "NotRequired", "ReadOnly"):
            hint = get_args(hint)[0]
        elif isinstance(hint, typing.NewType):
            hint = hint.__supertype__
        else:
            return hint, told


def _help_in(extra: object) -> str:
    """The help in what stands beside a type in `Annotated`: text, or an object that has some."""
    if isinstance(extra, str):
        return extra
    found = getattr(extra, "description", None) or getattr(extra, "documentation", None)
    return found if isinstance(found, str) else ""


def _worded(field: Field) -> Field:
    return replace(field, type=worded(field))
