"""Payloads and results as JSON text: strict in what we send, lenient in what we take.

What becomes of values that JSON does not know is said in `wire.plain`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from runqy_notebook.errors import PayloadError
from runqy_notebook.wire.plain import SCALARS, plain, text_if_plain, type_name

WARN_BYTES = 8 * 2**20
MAX_BYTES = 512 * 2**20


def encode_payload(payload: object) -> bytes:
    """A JSON object as UTF-8 text, or a PayloadError that names the path of what is wrong."""
    text = encode_value(payload, "payload")
    if text.startswith(b"{"):
        return text
    example = "{'items': [...]}" if text.startswith(b"[") else "{'value': ...}"
    name = "None" if payload is None else type_name(payload)
    article = "" if payload is None else "an " if name[0] in "aeiou" else "a "
    raise PayloadError("payload", f"{article}{name} is not a JSON object; wrap it, e.g. {example}")


def encode_value(value: object, root: str = "result") -> bytes:
    """Any JSON value as UTF-8 text; a PayloadError calls the value `root`."""
    try:
        text = text_if_plain(value) or msgspec.json.encode(plain(value, root))
    except RecursionError:
        raise PayloadError(root, "nested too deeply for where it is sent from") from None
    if len(text) > MAX_BYTES:
        size, limit = _megabytes(len(text)), _megabytes(MAX_BYTES)
        raise PayloadError(
            root, f"{size}, more than the {limit} that Redis holds in one value; {_BETTER}"
        )
    return text


def encode_small(value: object, largest: int) -> bytes:
    """JSON text of at most `largest` bytes; empty for a value that has none, whatever the value
    does. What is clearly larger is not encoded.
    """
    if value is None or value is True or value is False:  # what most handlers return
        return msgspec.json.encode(value)
    left, inside = 4 * largest, [value]  # the same takes more in memory
    try:
        while inside and left > 0:
            each = inside.pop()
            left -= sys.getsizeof(each)
            if type(each) in SCALARS:
                continue
            if isinstance(each, (list, tuple, set, frozenset)):
                inside += each
            elif isinstance(each, (dict, Mapping)):  # the former takes a tenth of the latter's time
                inside += each.values()
        text = encode_value(value) if left > 0 else b""
    except Exception:  # noqa: BLE001 - a handler's value may run any code, or be no JSON
        return b""
    return text if len(text) <= largest else b""


def in_one_order(text: bytes) -> bytes:
    """JSON text of ours with sorted keys: the same for what differs in the order of keys only."""
    return json.dumps(json.loads(text), sort_keys=True).encode()


def in_one_object(text: bytes, more: Mapping[str, str]) -> bytes:
    """JSON text of ours, an object, with these items in it."""
    return json.dumps({**json.loads(text), **more}, ensure_ascii=False).encode()


def size_warning(n_bytes: int) -> str | None:
    """What to warn of when a payload is this long; None up to WARN_BYTES."""
    if n_bytes <= WARN_BYTES:
        return None
    return f"This payload takes {_megabytes(n_bytes)} of the memory of Redis; {_BETTER}."


_BETTER = "keep large data in a file or in blob storage and send its path or URL"


def _megabytes(n_bytes: int) -> str:
    return f"{n_bytes / 2**20:.1f} MB"


def decode(text: bytes) -> object:
    """The JSON value that strangers wrote; a PayloadError, and no other error, where it is none.

    Takes what Python's `json.loads` takes, NaN and Infinity included (Python's producers write
    them); of two equal keys the last counts. Half a surrogate pair reads as U+FFFD, as in Go's
    encoding/json: text that holds one could be neither shown nor sent on.
    """
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _decode_as_python_does(text)


_HALF_A_PAIR = re.compile(
    r"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\[^u])"  # a pair, an escape
    r"|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)


def _decode_as_python_does(text: bytes) -> object:
    try:
        letters = text.decode(json.detect_encoding(text))
        return json.loads(_HALF_A_PAIR.sub(lambda found: found[1] or r"\ufffd", letters))
    except json.JSONDecodeError as error:
        problem = f"not JSON, {error.msg.rstrip(' :')} at character {error.pos + 1}"
    except UnicodeDecodeError as error:
        problem = f"not JSON, byte {error.start + 1} is not {error.encoding} text"
    except RecursionError:
        problem = "nested too deeply"
    except ValueError:  # what `int` says
        problem = "a number with too many digits"
    raise PayloadError("payload", problem)


def decode_payload(text: bytes, task_id: str) -> object:
    """The payload for a handler: a TaskPayload for a JSON object, else the value as it is."""
    value = decode(text)
    return TaskPayload(value, task_id) if isinstance(value, dict) else value


class TaskPayload(dict[str, Any]):
    """A payload that answers "task_id" with the task's id where the producer put none.

    The id is no item: `in`, `len`, iteration, `==`, `**payload`, `dict(payload)` and JSON know
    only what the producer put. The handlers in runqy's documents ask `payload.get("task_id")`.
    """

    def __init__(self, items: Mapping[str, Any], task_id: str) -> None:
        super().__init__(items)
        self._task_id = task_id

    def __missing__(self, key: str) -> Any:
        if key == "task_id":
            return self._task_id
        raise KeyError(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The item, the task's id for an absent "task_id", or `default`."""
        return self[key] if key in self or key == "task_id" else default

    def copy(self) -> TaskPayload:
        """A shallow copy that knows the task's id too."""
        return TaskPayload(self, self._task_id)
