"""Fields from a docstring's words: `list of int, optional`, `{"fast", "slow"}`, `str or None`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from runqy_notebook.hints.annotations import json_value, worded
from runqy_notebook.hints.docstring import Entry
from runqy_notebook.hints.field import MISSING, Field, Kind

_NAMES: Final = {
    **dict.fromkeys(("str", "string", "text", "path", "url"), Kind.TEXT),
    **dict.fromkeys(("int", "integer"), Kind.INTEGER),
    **dict.fromkeys(("float", "number", "decimal"), Kind.NUMBER),
    **dict.fromkeys(("bool", "boolean"), Kind.BOOLEAN),
    **dict.fromkeys(("dict", "object", "mapping"), Kind.OBJECT),
    **dict.fromkeys(("list", "tuple", "array", "sequence", "set"), Kind.ARRAY),
}
_OPTIONAL: Final = re.compile(r"(?:^|,)\s*optional\b(?!\[)", re.IGNORECASE)
_DEFAULT: Final = re.compile(
    r"\bdefault(?:s to|\s*[:=]|\s+is|)\s+(`?)(?P<value>\"[^\"]*\"|'[^']*'|\[[^]]*\]|\{[^}]*\}"
    r"|[-+\w.]*\w)\1",
    re.IGNORECASE,
)
_CHOICES: Final = re.compile(r"(?:Literal\[(?P<literal>.+)\]|\{(?P<set>.+)\})")
_OF: Final = re.compile(r"(?P<outer>\w+)(?:\[(?P<item>.+)\]| of (?P<items>\w+))")


def field_of_entry(entry: Entry) -> Field:
    """The field that an entry of a docstring describes: required, unless it is optional, has a
    default, or may be None.
    """
    is_optional = bool(_OPTIONAL.search(entry.type))
    words = _OPTIONAL.sub("", entry.type)
    default = _default(entry.type)
    if default is MISSING:
        default = _default(entry.help)
    words = _DEFAULT.sub("", words).strip(" ,")
    made = _kind(words, entry.name)
    is_required = not is_optional and default is MISSING and not made.is_nullable
    made = replace(made, default=default, is_required=is_required, help=entry.help)
    return replace(made, type=worded(made))


def fields_of_entries(entries: Iterable[Entry]) -> tuple[Field, ...]:
    return tuple(map(field_of_entry, entries))


def _kind(words: str, name: str) -> Field:
    if matched := _CHOICES.fullmatch(words):
        choices = _values(matched["literal"] or matched["set"])
        if choices:
            return Field(name, Kind.CHOICE, choices=tuple(choices))
    some = [each.strip() for each in re.split(r"\s*\|\s*|\s+or\s+", words)]
    real = [each for each in some if each.lower() not in ("none", "null")]
    is_nullable = len(real) < len(some)
    if optional := re.fullmatch(r"Optional\[(.+)\]", words):
        real, is_nullable = [optional[1]], True
    kinds = {each: _simple(each, name) for each in real}
    found = next(iter(kinds.values())) if len(kinds) == 1 else Field(name)
    return replace(found, is_nullable=is_nullable)


def _simple(words: str, name: str) -> Field:
    if kind := _NAMES.get(words.lower()):
        return Field(name, kind)
    matched = _OF.fullmatch(words)
    kind = _NAMES.get(matched["outer"].lower()) if matched else None
    if matched is None or kind is None:
        return Field(name)
    item = matched["item"] or matched["items"].removesuffix("s")
    if kind is not Kind.ARRAY or "," in item:
        return Field(name, kind)
    inner = _simple(item, "")
    return Field(name, kind, item=replace(inner, type=worded(inner)))


def _values(text: str) -> list[Any]:
    """The values of a list of literals; none where one is no literal."""
    try:
        found = ast.literal_eval(f"[{text}]")
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    values = [json_value(each) for each in found]
    return [] if any(each is MISSING for each in values) else values


def _default(text: str) -> Any:
    matched = _DEFAULT.search(text)
    if matched is None:
        return MISSING
    said = matched["value"]
    found = _values({"true": "True", "false": "False", "null": "None"}.get(said.lower(), said))
    return found[0] if len(found) == 1 else MISSING
