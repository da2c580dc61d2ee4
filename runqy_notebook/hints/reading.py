"""From text to payloads, and what is wrong with it: where, and with which value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from runqy_notebook.errors import did_you_mean
from runqy_notebook.hints.field import Field, Kind, spelled
from runqy_notebook.hints.models import complaints

MOST_PROBLEMS: Final = 20


@dataclass(frozen=True, slots=True)
class Mistake:
    """Why a text is no payload, and where: line and column from 1."""

    line: int
    column: int
    what: str

    def __str__(self) -> str:
        return f"Line {self.line}, column {self.column}: {self.what}"


@dataclass(frozen=True, slots=True)
class Problem:
    """Where a payload is not what the handler's hints say, and in what."""

    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.path} {self.what}"


def read(text: str) -> dict[str, Any] | list[dict[str, Any]] | Mistake:
    """The payload that JSON text spells, or the payloads of a JSON array; else what is wrong."""
    value = _parsed(text)
    if isinstance(value, (dict, Mistake)):
        return value
    if isinstance(value, list) and value:
        for at, each in enumerate(value, 1):
            if not isinstance(each, dict):
                what = f"item {at} of the list is {_a(each)}; each is to be a JSON object."
                return Mistake(*_start(text), what)
        return value
    what = "an empty list" if value == [] else _a(value)
    what = f'it is {what}, not a JSON object; wrap it, for instance {{"value": …}}.'
    return Mistake(*_start(text), what)


def _parsed(text: str) -> Any:
    """The JSON value, or a Mistake."""
    if not text.strip():
        return Mistake(1, 1, "there is nothing; a payload is a JSON object such as {}.")
    try:
        return json.loads(text, parse_constant=_refuse, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        if matched := _TRAILING.match(text, len(text[: error.pos].rstrip(" \t\r\n,"))):
            return Mistake(*_place(text, matched.start(1)), "this comma is one too many.")
        return Mistake(error.lineno, error.colno, _said(text, error))
    except _NoJSONError as error:
        return _found(text, error.word, str(error))
    except RecursionError:
        return Mistake(1, 1, "it is nested too deeply.")
    except ValueError:  # what `int` says
        return Mistake(1, 1, "a number has too many digits.")


def problems(
    fields: Sequence[Field], payload: dict[str, Any], model: type | None = None
) -> list[Problem]:
    """Where the payload is not what the fields say, or what the model does that they were read
    from; the first 20.
    """
    return list(islice(_in_object(fields, payload, "", model), MOST_PROBLEMS))


def value_of(field: Field, text: str) -> Any:
    """The JSON value that a person means by this text in a form; raises ValueError, which says
    what the field takes instead.
    """
    if field.kind is Kind.TEXT:
        return text
    typed = text.strip()
    if field.kind is Kind.ANY and not typed.startswith(("{", "[", '"')):
        try:
            return json.loads(typed)
        except ValueError:
            return text
    try:
        value = json.loads(typed, parse_constant=_refuse)
    except (ValueError, RecursionError, _NoJSONError):
        raise ValueError(f"{spelled(text)} is not {_wanted(field)}.") from None
    for problem in _of(field, value, ""):
        raise ValueError(f"{problem.path} {problem.what}".strip())
    return value


class _NoJSONError(Exception):
    def __init__(self, word: str, what: str) -> None:
        super().__init__(what)
        self.word = word


def _refuse(word: str) -> Any:
    raise _NoJSONError(word, f"{word} is no JSON value; write null.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        word = json.dumps(twice, ensure_ascii=False)
        raise _NoJSONError(word, f"the key {spelled(twice)} is there twice.")
    return made


_MEANT: Final = {"'": 'text stands in "double quotes"', "T": "write true", "F": "write false"}


_TRAILING: Final = re.compile(r"\s*(,)\s*[]}]")
_TOKEN: Final = re.compile(r'"(?:\\.|[^"\\])*"|-?[A-Za-z]+')


def _said(text: str, error: json.JSONDecodeError) -> str:
    """What Python says, and where the reason can be guessed, the remedy."""
    char = text[error.pos : error.pos + 1]
    what = error.msg[:1].lower() + error.msg[1:].rstrip(" :")
    if not char:
        return f"the text ends too early: {what}."
    if text[error.pos :].startswith("None"):
        return f"{what}: write null."
    if "delimiter" in error.msg and "','" in error.msg and char not in "]}":
        return f"{what}: a comma is missing before {spelled(text[error.pos :][:12].split()[0])}."
    if hint := _MEANT.get(char):
        return f"{what}: {hint}."
    return f"{what}."


def _found(text: str, word: str, what: str) -> Mistake:
    """Where a word stands as a JSON token, the last of them: of equal keys the later is the one too
    many.
    """
    at = max((each.start() for each in _TOKEN.finditer(text) if each[0] == word), default=0)
    return Mistake(*_place(text, at), what)


def _start(text: str) -> tuple[int, int]:
    return _place(text, len(text) - len(text.lstrip()))


def _place(text: str, at: int) -> tuple[int, int]:
    """Line and column of a character."""
    return text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1


def _in_object(
    fields: Sequence[Field], value: dict[str, Any], path: str, model: type | None = None
) -> Iterator[Problem]:
    """What is wrong with an object. A model has the last word, as it may take text for a number;
    the words are ours where we have some.
    """
    found = _in_fields(fields, value, path)
    if model is None:
        yield from found
        return
    ours = {problem.path: problem for problem in islice(found, MOST_PROBLEMS)}
    for at, what in complaints(model, value):
        if at:
            yield ours.get(f"{path}{at}", Problem(f"{path}{at}", what))
        else:
            yield Problem(f"{path.rstrip('.') or 'The payload'}:", what)


def _in_fields(fields: Sequence[Field], value: dict[str, Any], path: str) -> Iterator[Problem]:
    names = {field.name for field in fields}
    for field in fields:
        if field.name in value:
            yield from _of(field, value[field.name], f"{path}{field.name}")
        elif field.is_required:
            near = did_you_mean(field.name, value.keys() - names)
            hint = near.replace("Did you mean", "It is not called") if near else ""
            yield Problem(f"{path}{field.name}", f"is missing: {field.type or 'a value'}.{hint}")


def _of(field: Field, value: Any, path: str) -> Iterator[Problem]:
    if value is None and (field.is_nullable or field.kind is Kind.ANY):
        return
    if not _FITS[field.kind](value) or (
        field.kind is Kind.CHOICE and not any(_same(value, each) for each in field.choices)
    ):
        yield Problem(path, f"is {spelled(value)}, not {_wanted(field)}.")
    elif field.kind is Kind.OBJECT:
        yield from _in_object(field.fields, value, f"{path}.", field.model)
    elif field.item is not None:
        for at, each in enumerate(value):
            yield from _of(field.item, each, f"{path}[{at}]")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(one: Any, other: Any) -> bool:
    return bool(one == other) and isinstance(one, bool) is isinstance(other, bool)


_FITS: Final[dict[Kind, Callable[[Any], bool]]] = {
    Kind.TEXT: lambda value: isinstance(value, str),
    Kind.INTEGER: lambda value: isinstance(value, int) and not isinstance(value, bool),
    Kind.NUMBER: _is_number,
    Kind.BOOLEAN: lambda value: isinstance(value, bool),
    Kind.CHOICE: lambda value: True,
    Kind.OBJECT: lambda value: isinstance(value, dict),
    Kind.ARRAY: lambda value: isinstance(value, list),
    Kind.ANY: lambda value: True,
}


def _wanted(field: Field) -> str:
    words = field.type or field.kind.value
    is_noun = field.kind in (Kind.INTEGER, Kind.NUMBER, Kind.ARRAY)
    return f"a {words}" if is_noun else f"an {words}" if field.kind is Kind.OBJECT else words


def _a(value: object) -> str:
    names = {list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
