"""Values as plain JSON ones: what becomes of tuples, numpy, pandas, dates and the like.

Sent as they are: text, ints of up to 4,300 digits (Python reads no more back), floats, booleans,
None, lists, dicts. NaN and infinity become null wherever they stand, and so do NaT, NA and masked
items. Tuples, sets (in order where they have one), numpy arrays, Series, indexes and pandas arrays
become lists, a DataFrame a list of records; mappings, dataclasses and objects with `model_dump()`
become objects, an Enum its value. Text become dates and times (ISO 8601, time zones kept),
durations ("PT90.5S"), Decimal (which keeps its digits so), UUID and paths. Anything else, bytes
above all, is refused.
"""

from __future__ import annotations

import dataclasses
import datetime
import json
import operator
import reprlib
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from runqy_notebook.errors import PayloadError, one_line

# The C parsers of CPython before 3.12 share the 1,000 frames of the recursion limit with their
# caller: half of them is what every worker can read back from wherever it calls. A tuple, a set
# or whatever else is converted counts twice.
MAX_LEVELS = 500


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


def plain(value: object, root: str) -> object:
    """The value as a tree of what msgspec writes by our rules; a PayloadError calls it `root`.

    msgspec alone would write bytes as base64, and {1: .., "1": ..} with one key twice. Without
    recursion, so that a circle ends in an error that tells its path.
    """
    tree: list[object] = [None]
    top = _Place(None, root, value, 1)
    work: list[tuple[_Place, Any, Any]] = [(top, tree, 0)]  # a value, and what takes it in where
    while work:
        place, parent, key = work.pop()
        value = place.value
        if place.level > MAX_LEVELS and type(value) not in SCALARS:
            raise _nesting_error(place)
        if type(value) in (list, dict):
            text = text_if_plain(value, place.level)
            if text is not None:
                parent[key] = msgspec.Raw(text)
            else:
                parent[key], children = _opened(place)
                work += [(child, parent[key], child_key) for child_key, child in reversed(children)]
        elif type(value) in SCALARS:
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


SCALARS = frozenset({str, int, float, bool, type(None)})
_PLAIN = SCALARS | {list, dict}


def text_if_plain(top: object, level: int = 1) -> bytes | None:
    """The JSON text of a list or dict that needs no conversion, in one go; None for all else."""
    try:
        is_tree = type(top) is dict or type(top) is list
        return msgspec.json.encode(top) if is_tree and _is_plain(top, level) else None
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
        if SCALARS.issuperset(map(type, children)):
            continue
        if level >= MAX_LEVELS or not _PLAIN.issuperset(map(type, children)):
            return False
        containers += [(child, level + 1) for child in children if type(child) not in SCALARS]
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
        problem = f"{type_name(value)} cannot become JSON: {reason}"
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
    raise _NotJSONError(f"a key of type {type_name(key)} is not JSON")


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
    raise _NotJSONError(f"{type_name(value)} is not JSON")


def _package(kind: type) -> str:
    return str(kind.__module__).partition(".")[0]


def type_name(value: object) -> str:
    """What a person calls the type of `value`: its package, where it has one, and its name."""
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
        f"{type_name(value)} is not JSON; base64-encode it yourself, or pass a path or URL "
        "(runqy workers read base64 text and byte arrays back differently)"
    )


def _in_order(value: Any) -> list[object]:
    """The same text for the same set: text in sets stands in another order in each process."""
    try:
        return sorted(value)
    except TypeError:
        return list(value)


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
    **dict.fromkeys(("builtins.set", "builtins.frozenset"), _in_order),
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
