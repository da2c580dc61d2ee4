"""How a result is shown: as text in its card and, where it is more than text, as an output.

A value that a handler of this process returned is as trusted as the notebook's own: its rich forms
are asked for as for any cell's value. What came over Redis is JSON, shown as text, and of what
others displayed only text and pictures are taken.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from IPython.lib.pretty import pretty
from IPython.utils.dir2 import get_real_method

from runqy_notebook.ui.text import LARGEST, cleaned

LARGEST_PICTURE: Final = 2 * 2**20  # bytes of base64

_ONE_LINE = 100  # characters of JSON up to which it is not spread over lines
_LARGEST_ELSE = 4 * 2**20  # characters of any other rich form

_SIGNATURES: Final = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}

_NEVER: Final = frozenset({"text/plain", "application/javascript", "application/x-python"})
"""Forms that are no rich ones, or would act instead of being seen."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A result to look at. `rich` is an output of its own, by mime type; empty: text says it."""

    text: str
    rich: Mapping[str, Any] = field(default_factory=dict)


def of_json(result: bytes) -> Shown:
    """A result that came as JSON: text alone."""
    try:
        return Shown(_json(json.loads(result)))
    except (ValueError, RecursionError, OverflowError):
        return Shown(cleaned(result.decode("utf-8", "replace")))


def of_value(value: object, shell: Any) -> Shown:
    """A value that this process made, in every form that the shell knows for it. Raises nothing,
    whatever the value's own code does.
    """
    try:
        if value is None or type(value) in (bool, int, float):
            return Shown(repr(value))
        if type(value) is str:
            return Shown(cleaned(value))
        if type(value) in (dict, list):
            return Shown(_json(value))
        rich = _rich(value, shell)
        return Shown(cleaned(pretty(value, max_seq_length=100)), rich)
    except BaseException as error:  # noqa: BLE001 - the value's code
        return Shown(f"a {type(value).__name__}, which cannot be shown ({type(error).__name__})")


def picture(kind: str, text: object) -> str | None:
    """The base64 text of a PNG or JPEG in one line; None for anything else, whatever it claims."""
    signature = _SIGNATURES.get(kind)
    if signature is None or not isinstance(text, str) or len(text) > LARGEST_PICTURE:
        return None
    flat = "".join(text.split())
    try:
        content = base64.b64decode(flat, validate=True)
    except (binascii.Error, ValueError):
        return None
    return flat if content.startswith(signature) else None


def _json(value: object) -> str:
    """Indented where long, of a long value only the start; it takes no longer than that."""
    pieces: list[str] = []
    length = 0
    try:
        for piece in _pieces(value):
            pieces.append(piece)
            length += len(piece)
            if length > 2 * LARGEST:
                return f"{cleaned(''.join(pieces)[:LARGEST])}…"
    except (TypeError, ValueError, RecursionError):
        return cleaned(pretty(value, max_seq_length=100))
    text = "".join(pieces)
    if len(text) <= 2 * _ONE_LINE:
        flat = json.dumps(value, ensure_ascii=False, default=_short)
        text = flat if len(flat) <= _ONE_LINE else text
    return cleaned(text)


def _pieces(value: object) -> Iterator[str]:
    return json.JSONEncoder(ensure_ascii=False, indent=2, default=_short).iterencode(value)


def _short(value: object) -> object:
    """What JSON does not know, inside of what it knows."""
    if hasattr(value, "tolist") and getattr(value, "size", LARGEST) < LARGEST:
        return value.tolist()
    return cleaned(pretty(value, max_seq_length=20), 200)


def _rich(value: object, shell: Any) -> dict[str, Any]:
    """What the shell's display formatters make of it. Asked one by one: the formatter of all would
    print the traceback of one that fails, into whatever cell runs now.
    """
    found: dict[str, Any] = {}
    bundle = get_real_method(value, "_repr_mimebundle_")
    if bundle is not None:
        made = bundle(include=None, exclude=None)
        found.update(made[0] if isinstance(made, tuple) else made or {})
    for kind, formatter in shell.display_formatter.formatters.items():
        if kind not in found and kind not in _NEVER and formatter.enabled:
            found[kind] = _formed(value, formatter)
    return {kind: made for kind, made in map(_sendable, found.items()) if made is not None}


def _formed(value: object, formatter: Any) -> object:
    try:
        form = formatter.lookup(value)
    except KeyError:
        method = get_real_method(value, formatter.print_method)
        return None if method is None else _first(method())
    return _first(form(value))


def _first(made: object) -> object:
    return made[0] if isinstance(made, tuple) else made  # the rest is metadata


def _sendable(item: tuple[str, object]) -> tuple[str, Any]:
    kind, made = item
    if isinstance(made, (bytes, bytearray)):
        made = base64.b64encode(made).decode("ascii")
    is_wanted = kind not in _NEVER and isinstance(made, (str, Mapping, list))
    is_small = not isinstance(made, str) or len(made) <= _LARGEST_ELSE
    return kind, made if is_wanted and is_small else None
