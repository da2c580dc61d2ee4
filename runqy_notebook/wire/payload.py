"""Payloads and results as JSON text: strict in what we send, lenient in what we take.

Sent as they are: text, ints of up to 4,300 digits (Python reads no more back), floats, booleans,
None, lists, dicts. NaN and infinity become null wherever they stand, and so do NaT, NA and masked
items. Tuples, sets (in no order), numpy arrays, Series, indexes and pandas arrays become lists, a
DataFrame a list of records; mappings, dataclasses and objects with `model_dump()` become objects,
an Enum its value. Text become dates and times (ISO 8601, time zones kept), durations ("PT90.5S"),
Decimal (which keeps its digits so), UUID and paths. Anything else, bytes above all, is refused.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import operator
import re
import reprlib
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from runqy_notebook.errors import PayloadError, one_line

WARN_BYTES = 8 * 2**20
MAX_BYTES = 512 * 2**20
# The C parsers of CPython before 3.12 share the 1,000 frames of the recursion limit with their
# caller: half of them is what every worker can read back from wherever it calls. A tuple, a set
# or whatever else is converted counts twice.
MAX_LEVELS = 500


def encode_payload(payload: object) -> bytes:
    """A JSON object as UTF-8 text, or a PayloadError that names the path of what is wrong."""
    text = encode_value(payload, "payload")
    if text.startswith(b"{"):
        return text
    example = "{'items': [...]}" if text.startswith(b"[") else "{'value': ...}"
    name = "None" if payload is None else _type_name(payload)
    article = "" if payload is None else "an " if name[0] in "aeiou" else "a "
    raise PayloadError("payload", f"{article}{name} is not a JSON object; wrap it, e.g. {example}")


def encode_value(value: object, root: str = "result") -> bytes:
    """Any JSON value as UTF-8 text; a PayloadError calls the value `root`."""
    try:
        text = msgspec.json.encode(_plain(_Place(None, root, value, 1)))
    except RecursionError:
        raise PayloadError(root, "nested too deeply for where it is sent from") from None
    if len(text) > MAX_BYTES:
        size, limit = _megabytes(len(text)), _megabytes(MAX_BYTES)
        raise PayloadError(
            root, f"{size}, more than the {limit} that Redis holds in one value; {_BETTER}"
        )
    return text


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


class _NotJSONError(Exception):
    """What is wrong with a value, from code that does not know where the value stands."""


class _Place(NamedTuple):
    """Where a value stands; spelled as a path only when an error needs it."""

    parent: _Place | None
    step: object
    value: Any
    level: int

    def inside(self, step: object, value: object) -> _Place:
        return _Place(self, step, value, self.level + 1)

    def from_root(self) -> list[_Place]:
        chain = [self]
        while (parent := chain[-1].parent) is not None:
            chain.append(parent)
        return chain[::-1]

    def path(self) -> str:
        root, *places = self.from_root()
        steps = [f"[{_SHORT.repr(place.step)}]" for place in places if place.step is not _SAME]
        return f"{root.step}{''.join(steps if len(steps) < 16 else [*steps[:14], '…'])}"


_SAME = object()  # the step to a value that was converted and stands where it stood
_SHORT = reprlib.Repr()
_SHORT.maxstring = 60


def _plain(top: _Place) -> object:
    """The value as a tree of what msgspec writes by our rules.

    msgspec alone would write bytes as base64, and {1: .., "1": ..} with one key twice. Without
    recursion, so that a circle ends in an error that tells its path.
    """
    tree: list[object] = [None]
    work: list[tuple[_Place, Any, Any]] = [(top, tree, 0)]  # a value, and what takes it in where
    while work:
        place, parent, key = work.pop()
        value = place.value
        if place.level > MAX_LEVELS and type(value) not in _SCALARS:
            raise _nesting_error(place)
        if type(value) in (list, dict):
            parent[key] = _text_if_plain(value, place.level)
            if parent[key] is None:
                parent[key], children = _opened(place)
                work += [(child, parent[key], child_key) for child_key, child in reversed(children)]
        elif type(value) in _SCALARS:
            parent[key] = _attempt(place, _converted, value)
        else:
            work.append((place.inside(_SAME, _attempt(place, _converted, value)), parent, key))
    return tree[0]


def _opened(place: _Place) -> tuple[Any, list[tuple[Any, _Place]]]:
    """An empty list or dict, and by key what belongs into it."""
    if type(place.value) is list:
        inside = [place.inside(index, child) for index, child in enumerate(place.value)]
        return [None] * len(inside), list(enumerate(inside))
    children: dict[str, _Place] = {}
    for key, child in list(place.value.items()):
        text = _attempt(place, _text_of_key, key)
        if text in children:
            problem = f"two keys become the same text {_SHORT.repr(text)}"
            raise PayloadError(place.path(), problem)
        children[text] = place.inside(key, child)
    return dict.fromkeys(children), list(children.items())


_SCALARS = frozenset({str, int, float, bool, type(None)})
_PLAIN = _SCALARS | {list, dict}


def _text_if_plain(top: object, level: int) -> msgspec.Raw | None:
    """The JSON text of a tree that needs no conversion, in one go; None for any other tree."""
    try:
        return msgspec.Raw(msgspec.json.encode(top)) if _is_plain(top, level) else None
    except (ValueError, RuntimeError):
        # Half a surrogate pair, too many digits, a dict that changes meanwhile: look where.
        return None


def _is_plain(top: object, level: int) -> bool:
    containers: list[tuple[Any, int]] = [(top, level)]
    while containers:
        children, level = containers.pop()
        if type(children) is dict:
            if not {str}.issuperset(map(type, children)):
                return False
            children = children.values()
        if _SCALARS.issuperset(map(type, children)):
            continue
        if level >= MAX_LEVELS or not _PLAIN.issuperset(map(type, children)):
            return False
        containers += [(child, level + 1) for child in children if type(child) not in _SCALARS]
    return True


_Answer = TypeVar("_Answer")


def _attempt(place: _Place, convert: Callable[[Any], _Answer], value: object) -> _Answer:
    """`convert(value)`; whatever it raises (a value may run any code) as a PayloadError."""
    try:
        return convert(value)
    except _NotJSONError as error:
        raise PayloadError(place.path(), str(error)) from None
    except Exception as error:
        reason = one_line("".join(traceback.format_exception_only(error))).rstrip(".")
        problem = f"{_type_name(value)} cannot become JSON: {reason}"
        raise PayloadError(place.path(), problem) from error


def _nesting_error(deepest: _Place) -> PayloadError:
    """A circle looks like endless nesting; this tells which of the two it is."""
    seen: dict[int, _Place] = {}
    for place in deepest.from_root():
        first = seen.setdefault(id(place.value), place)
        if first is not place:
            return PayloadError(place.path(), f"a circular reference, back to {first.path()}")
    return PayloadError(deepest.path(), f"nested more than {MAX_LEVELS} levels deep")


def _text_of_key(key: object) -> str:
    if isinstance(key, str):
        return _text(key)
    if key is None or isinstance(key, (int, float)):
        return json.dumps(key)
    if hasattr(type(key), "__index__"):  # numpy's integers
        return json.dumps(operator.index(key))  # type: ignore[arg-type]
    raise _NotJSONError(f"a key of type {_type_name(key)} is not JSON")


def _converted(value: object) -> object:
    """A scalar once checked; of any other value one that is nearer to JSON."""
    kind = type(value)
    for base in kind.__mro__:
        # By name, so that nobody waits for pandas to be imported who does not use it.
        convert = _CONVERSIONS.get(f"{_package(base)}.{base.__name__}")
        if convert is not None:
            return convert(value)
    if hasattr(kind, "model_dump"):
        return operator.methodcaller("model_dump")(value)
    if dataclasses.is_dataclass(kind):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(kind)}
    if isinstance(value, Mapping):
        return dict(value.items())
    raise _NotJSONError(f"{_type_name(value)} is not JSON")


def _package(kind: type) -> str:
    return str(kind.__module__).partition(".")[0]


def _type_name(value: object) -> str:
    package = _package(type(value))
    name = type(value).__name__
    return name if package in ("builtins", "__main__") else f"{package} {name}"


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _NotJSONError(
            f"text with half a surrogate pair at character {error.start + 1} is not UTF-8"
        ) from None
    return str.__str__(value)


def _int(value: int) -> int:
    plain = int.__pos__(value)  # whatever a subclass makes of itself
    if plain.bit_length() > 64:
        str(plain)  # raises where Python would not read it back
    return plain


def _no_bytes(value: object) -> object:
    raise _NotJSONError(
        f"{_type_name(value)} is not JSON; base64-encode it yourself, or pass a path or URL "
        "(runqy workers read base64 text and byte arrays back differently)"
    )


def _duration(value: datetime.timedelta) -> str:
    microseconds = value // datetime.timedelta(microseconds=1)
    return _iso_duration(microseconds * 1000 + getattr(value, "nanoseconds", 0))  # pandas has them


def _iso_duration(nanoseconds: int) -> str:
    seconds, rest = divmod(abs(nanoseconds), 10**9)
    fraction = f".{rest:09}".rstrip("0") if rest else ""
    return f"{'-' if nanoseconds < 0 else ''}PT{seconds}{fraction}S"


def _numpy_duration(value: Any) -> object:
    plain = value.item()
    if not isinstance(plain, int):
        return plain
    if value.dtype != "m8[ns]":  # the one unit with a length that datetime does not have
        raise _NotJSONError(f"numpy {value.dtype} is not JSON")
    return _iso_duration(plain)


def _array(value: Any) -> object:
    if value.dtype.kind in "mM":  # whose tolist() gives nanoseconds as bare numbers
        return list(value) if value.ndim else value[()]
    if value.dtype.kind == "f":  # long doubles stay numpy's in tolist()
        value = value.astype("f8", copy=False)
    return value.tolist()


def _records(value: Any) -> object:
    if not value.columns.is_unique:
        raise _NotJSONError("pandas DataFrame has two columns of one name")
    return value.to_dict("records")


_CONVERSIONS: dict[str, Callable[[Any], object]] = {
    **dict.fromkeys(("builtins.NoneType", "builtins.bool"), lambda value: value),
    "builtins.float": float.__pos__,
    "builtins.int": _int,
    "builtins.str": _text,
    **dict.fromkeys(("builtins.list", "builtins.tuple"), list),
    **dict.fromkeys(("builtins.set", "builtins.frozenset"), list),
    "builtins.dict": lambda value: dict(value.items()),
    **dict.fromkeys(("builtins.bytes", "builtins.bytearray", "builtins.memoryview"), _no_bytes),
    # A datetime and pandas' Timestamp are dates.
    **dict.fromkeys(("datetime.date", "datetime.time"), operator.methodcaller("isoformat")),
    "datetime.timedelta": _duration,
    "decimal.Decimal": lambda value: str(value) if value.is_finite() else None,
    "enum.Enum": operator.attrgetter("value"),
    **dict.fromkeys(("pathlib.PurePath", "uuid.UUID"), str),
    "numpy.ndarray": _array,
    "numpy.generic": operator.methodcaller("item"),
    "numpy.floating": float,  # what item() gives of long doubles is numpy's again
    "numpy.complexfloating": complex,
    "numpy.datetime64": lambda value: None if str(value) == "NaT" else str(value),
    "numpy.timedelta64": _numpy_duration,
    "pandas.DataFrame": _records,
    **dict.fromkeys(("pandas.Series", "pandas.Index"), operator.methodcaller("tolist")),
    "pandas.ExtensionArray": operator.methodcaller("tolist"),
    **dict.fromkeys(("pandas.NaTType", "pandas.NAType"), lambda _: None),
}
