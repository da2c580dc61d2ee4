"""What a handler tells of the payloads it takes: by the type of its first parameter, else by its
docstring.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from runqy_notebook.hints.annotations import field_of
from runqy_notebook.hints.docstring import described, google_entries
from runqy_notebook.hints.field import Field, Kind
from runqy_notebook.hints.words import fields_of_entries
from runqy_notebook.registry import Handler

_OF_PAYLOAD = ("payload", "payload fields", "payload keys")
_OF_PARAMETERS = ("args", "arguments", "parameters", "params")


@dataclass(frozen=True, slots=True)
class Hints:
    """The fields of a handler's payload, none where it tells nothing; `source` says where they
    stand: "type hints" or "docstring".
    """

    fields: tuple[Field, ...] = ()
    source: str = ""
    summary: str = ""  # the first sentence of the handler's docstring
    model: type | None = None  # of the payload, where it checks more than types


def hints_of(handler: Handler) -> Hints:
    """What the handler tells; whatever its hints and docstring are, nothing is raised."""
    function = handler.function
    doc = _doc(function)
    parameters = _parameters(function)
    told = _in_docstring(doc, [each.name for each in parameters])
    summary = doc.strip().partition("\n\n")[0].replace("\n", " ")
    hint = parameters[0].annotation if parameters else inspect.Parameter.empty
    root = field_of(hint) if hint is not inspect.Parameter.empty else Field("")
    if root.kind is Kind.OBJECT and root.fields:
        help_of = {each.name: each.help for each in told}
        fields = [f if f.help else replace(f, help=help_of.get(f.name, "")) for f in root.fields]
        return Hints(tuple(fields), "type hints", summary, root.model)
    return Hints(told, "docstring" if told else "", summary)


def _in_docstring(doc: str, parameters: list[str]) -> tuple[Field, ...]:
    """The fields of a section Payload; else what is listed below the payload among the arguments;
    else the arguments that the function does not have, as people list the payload's keys there.
    """
    if entries := described(doc, _OF_PAYLOAD):
        return fields_of_entries(entries.values())
    arguments = described(doc, _OF_PARAMETERS)
    if parameters and (payload := arguments.get(parameters[0])):
        return fields_of_entries(google_entries(payload.body))
    return fields_of_entries(e for name, e in arguments.items() if name not in parameters)


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function, eval_str=True).parameters.values())
    except Exception:  # noqa: BLE001 - hints are the user's text, which is run
        try:
            found = inspect.signature(function).parameters.values()
        except (TypeError, ValueError):
            return []
        return [each.replace(annotation=inspect.Parameter.empty) for each in found]


def _doc(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):  # an object that can be called
        function = type(function).__call__
    return inspect.getdoc(function) or ""
