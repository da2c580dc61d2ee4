"""What is known of one part of a payload: its name, what it may be, and what it is for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final


class Kind(str, Enum):
    """What a field takes, as JSON knows it."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    OBJECT = "object"
    ARRAY = "array"
    ANY = "any"

    def __str__(self) -> str:
        return self.value


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final[Any] = _Missing()
"""No default."""


@dataclass(frozen=True, slots=True)
class Field:
    """One part of a payload. `default` and `choices` are JSON values.

    A field may be left out unless it `is_required`, and may be null where it `is_nullable`.
    `fields` are those of an object, none where it may hold anything; `item` is what an array holds.
    """

    name: str
    kind: Kind = Kind.ANY
    type: str = ""  # as a person would say it
    default: Any = MISSING
    is_required: bool = False
    is_nullable: bool = False
    help: str = ""
    choices: tuple[Any, ...] = ()
    fields: tuple[Field, ...] = ()
    item: Field | None = None
    model: Any = None  # an object's class that checks more than types

    @property
    def words(self) -> str:
        """What it takes and whether it must be there, in a few words."""
        parts = [self.type or self.kind.value]
        if self.is_required:
            parts.append("required")
        elif self.default is not MISSING:
            parts.append(f"default {spelled(self.default)}")
        return ", ".join(parts)


def spelled(value: object, limit: int = 60) -> str:
    """A JSON value as JSON text, cut at `limit` characters."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= limit else text[: limit - 1] + "…"
