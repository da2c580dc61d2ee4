"""What goes into Redis as JSON, and what comes out of it."""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import datetime
import decimal
import enum
import json
import math
import pathlib
import pickle
import subprocess
import sys
import types
import uuid
from typing import Any, NamedTuple, TypedDict

import matplotlib.figure
import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runqy_notebook.errors import PayloadError
from runqy_notebook.wire import payload as module
from runqy_notebook.wire.payload import (
    MAX_BYTES,
    WARN_BYTES,
    TaskPayload,
    decode,
    decode_payload,
    encode_payload,
    encode_value,
    size_warning,
)
from runqy_notebook.wire.plain import MAX_LEVELS


class Colour(enum.Enum):
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 9


class Name(str, enum.Enum):
    ANN = "Ann"


class LoudText(str):
    def __str__(self) -> str:
        return "loud"

    __repr__ = __str__


class Pair(NamedTuple):
    left: int
    right: int


class Row(TypedDict):
    x: int


@dataclasses.dataclass
class Point:
    x: float
    tags: object = None


class Model:
    """Like a pydantic model."""

    def __init__(self, dumped: object) -> None:
        self.dumped = dumped

    def model_dump(self) -> object:
        return self.dumped


class Hostile:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError

    @property
    def __class__(self) -> Any:
        raise RuntimeError


class HostileMapping(collections.abc.Mapping[str, object]):
    def __getitem__(self, key: str) -> object:
        raise KeyError(key)

    def __iter__(self) -> Any:
        raise OSError("the disk is gone")

    def __len__(self) -> int:
        raise OSError


def sent(value: object) -> object:
    return json.loads(encode_payload({"x": value}))["x"]


def refusal(value: object) -> PayloadError:
    with pytest.raises(PayloadError) as caught:
        encode_payload(value)
    return caught.value


def nested(levels: int, bottom: object = None) -> object:
    value: object = [] if bottom is None else bottom
    for _ in range(levels - (bottom is None)):
        value = [value]
    return value


# What is sent


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, (2,)), [1, [2]]),
        ({3}, [3]),
        (frozenset({"a"}), ["a"]),
        (Pair(1, 2), [1, 2]),
        (Row(x=1), {"x": 1}),
        (Point(1.5, [Point(math.nan)]), {"x": 1.5, "tags": [{"x": None, "tags": None}]}),
        (Model({"a": (1, 2)}), {"a": [1, 2]}),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (collections.ChainMap({"a": 1}), {"a": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (Colour.RED, "red"),
        (Level.HIGH, 9),
        (Name.ANN, "Ann"),
        (LoudText("quiet"), "quiet"),
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.datetime.fromisoformat("2026-01-02 03:04"), "2026-01-02T03:04:00"),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc), "2026-01-02T00:00:00+00:00"),
        (datetime.time(3, 4), "03:04:00"),
        (datetime.timedelta(minutes=1, seconds=30.5), "PT90.5S"),
        (-datetime.timedelta(seconds=2), "-PT2S"),
        (datetime.timedelta(0), "PT0S"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (decimal.Decimal("1.50"), "1.50"),
        (decimal.Decimal("NaN"), None),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (2**64, 2**64),
        (-(10**40), -(10**40)),
        (True, True),
    ],
)
def test_python_values_become_json(value: object, expected: object) -> None:
    assert sent(value) == expected
    assert type(sent(value)) is type(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.int64(3), 3),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array(5), 5),
        (np.array([]), []),
        (np.zeros((2, 0)), [[], []]),
        (np.array([True, False]), [True, False]),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array([1.5], dtype=np.longdouble), [1.5]),
        (np.array([1, {"a": np.int8(2)}], dtype=object), [1, {"a": 2}]),
        (np.ma.array([1, 2], mask=[False, True]), [1, None]),
        (np.datetime64("2026-01-02T03:04:05.000000006"), "2026-01-02T03:04:05.000000006"),
        (np.datetime64("NaT", "s"), None),
        (np.array(["2026-01-02", "NaT"], dtype="M8[D]"), ["2026-01-02", None]),
        (np.array("2026-01-02", dtype="M8[ns]"), "2026-01-02T00:00:00.000000000"),
        (np.timedelta64(1500, "ms"), "PT1.5S"),
        (np.timedelta64(5, "ns"), "PT0.000000005S"),
        (np.timedelta64("NaT", "s"), None),
        (np.array([[1, 2]], dtype="m8[s]"), [["PT1S", "PT2S"]]),
    ],
)
def test_numpy_values_become_json(value: object, expected: object) -> None:
    assert sent(value) == expected
    assert type(sent(value)) is type(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pd.Timestamp("2026-01-02 03:04:05.000000006"), "2026-01-02T03:04:05.000000006"),
        (pd.Timestamp("2026-01-02", tz="UTC"), "2026-01-02T00:00:00+00:00"),
        (pd.Timedelta("1 day 00:00:00.000000001"), "PT86400.000000001S"),
        (pd.NaT, None),
        (pd.NA, None),
        (pd.Series([1.5, None]), [1.5, None]),
        (pd.Series(pd.to_datetime(["2026-01-02", None])), ["2026-01-02T00:00:00", None]),
        (pd.Series([1, None], dtype="Int64"), [1, None]),
        (pd.Series(["a", None], dtype="category"), ["a", None]),
        (pd.Index([1, 2]), [1, 2]),
        (pd.MultiIndex.from_tuples([(1, "a")]), [[1, "a"]]),
        (pd.array([True, None]), [True, None]),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        (pd.DataFrame(), []),
    ],
)
def test_pandas_values_become_json(value: object, expected: object) -> None:
    assert sent(value) == expected


def test_a_duration_is_read_back_by_pandas() -> None:
    duration = pd.Timedelta("3 days 00:00:00.000000007")

    assert pd.Timedelta(str(sent(duration))) == duration


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_become_null_everywhere(number: float) -> None:
    everywhere = {
        "plain": [number],
        "set": {number},
        "numpy": np.array([[number]]),
        "scalar": np.float32(number),
        "frame": pd.DataFrame({"a": [number]}),
        "odd": [Colour.RED, number],
    }

    assert json.loads(encode_payload(everywhere)) == {
        "plain": [None],
        "set": [None],
        "numpy": [[None]],
        "scalar": None,
        "frame": [{"a": None}],
        "odd": ["red", None],
    }


@pytest.mark.parametrize("key", ["a", 1, -(2**70), 1.5, True, False, None, Name.ANN, Level.HIGH])
def test_keys_become_text_as_in_json_dumps(key: object) -> None:
    assert encode_payload({key: 0}) == json.dumps({key: 0}, separators=(",", ":")).encode()


def test_integer_keys_of_numpy_become_text_too() -> None:
    assert encode_payload({"counts": {np.int64(3): 1}}) == b'{"counts":{"3":1}}'


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, Point(1.0), Model({"a": 1}), types.MappingProxyType({"a": 1}), TaskPayload({}, "t")],
)
def test_whatever_is_like_a_dict_is_a_payload(value: object) -> None:
    assert encode_payload(value).startswith(b"{")


def test_results_may_be_any_json_value() -> None:
    assert [encode_value(value) for value in (None, 1, "a", [1], (1, 2))] == [
        b"null",
        b"1",
        b'"a"',
        b"[1]",
        b"[1,2]",
    ]


def test_the_order_of_keys_is_kept() -> None:
    assert encode_payload({"b": 1, "a": {2}, "c": 3}) == b'{"b":1,"a":[2],"c":3}'


def test_what_is_sent_is_not_changed() -> None:
    value = {"a": [np.int64(1), {"b": (1, 2)}]}
    before = copy.deepcopy(value)

    encode_payload(value)

    assert value == before
    assert type(value["a"][0]) is np.int64


def test_the_same_list_twice_is_no_circle() -> None:
    twice = [{1}]

    assert sent([twice, twice]) == [[[1]], [[1]]]


# What is refused


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"image": {"fig": matplotlib.figure.Figure()}}, "payload['image']['fig']: matplotlib"),
        ({"rows": [1, 2, 3, object()]}, "payload['rows'][3]: object is not JSON."),
        ({"z": 1j}, "payload['z']: complex is not JSON."),
        ({"z": np.complex128(1)}, "payload['z']: complex is not JSON."),
        ({"z": np.clongdouble(1)}, "payload['z']: complex is not JSON."),
        ({"f": len}, "payload['f']: builtin_function_or_method is not JSON."),
        ({"t": Point}, "payload['t']: type is not JSON."),
        ({"s": slice(1)}, "payload['s']: slice is not JSON."),
        ({"g": (i for i in [1])}, "payload['g']: generator is not JSON."),
        ({"r": msgspec.Raw(b"junk")}, "payload['r']: msgspec Raw is not JSON."),
        ({"p": pd.Period("2026")}, "payload['p']: pandas Period is not JSON."),
        ({"y": np.timedelta64(1, "Y")}, "payload['y']: numpy timedelta64[Y] is not JSON."),
        ({"d": Point(1.0, [object()])}, "payload['d']['tags'][0]: object is not JSON."),
        ({"a": np.array([object()])}, "payload['a'][0]: object is not JSON."),
        ({"k": {(1, 2): 3}}, "payload['k']: a key of type tuple is not JSON."),
        ({"k": {b"a": 3}}, "payload['k']: a key of type bytes is not JSON."),
        ({Colour.RED: 3}, "payload: a key of type "),
        ({datetime.date(2026, 1, 2): 3}, "payload: a key of type datetime date is not JSON."),
        ({uuid.UUID(int=1): 3}, "payload: a key of type uuid UUID is not JSON."),
        ({"k": {1: 1, "1": 2}}, "payload['k']: two keys become the same text '1'."),
        ({True: 1, "true": 2}, "payload: two keys become the same text 'true'."),
        ({"a": {1: {None: {1.5: {1}, 2: 1j}}}}, "payload['a'][1][None][2]: complex is not JSON."),
        ({"s": ["ok", "\ud800"]}, "payload['s'][1]: text with half a surrogate pair at"),
        ({"s": {"x\udfff": 1}}, "payload['s']: text with half a surrogate pair at character 2"),
        ({"s": Model("\ud800")}, "payload['s']: text with half a surrogate pair at character 1"),
        ({"p": pathlib.PurePosixPath("\udcff")}, "payload['p']: text with half a surrogate pair"),
        ({"n": [10**5000]}, "payload['n'][0]: int cannot become JSON: ValueError"),
        (
            {"df": pd.DataFrame([[1, 2]], columns=["a", "a"])},
            "payload['df']: pandas DataFrame has two columns of one name.",
        ),
    ],
)
def test_what_is_not_json_is_refused_with_its_path(value: object, message: str) -> None:
    assert str(refusal(value)).startswith(message)


@pytest.mark.parametrize("value", [b"x", bytearray(b"x"), memoryview(b"x"), np.bytes_(b"x")])
def test_bytes_are_refused_at_any_depth(value: object) -> None:
    for deep in (
        value,
        [value],
        {value} if isinstance(value, bytes) else (value,),
        Point(1, value),
    ):
        problem = refusal({"image": {"raw": deep}})

        assert problem.path.startswith("payload['image']['raw']")
        assert "base64-encode it yourself, or pass a path or URL" in problem.problem


def test_arrays_of_bytes_are_refused() -> None:
    assert refusal({"a": np.array([b"x"])}).path == "payload['a'][0]"


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([1], "a list is not a JSON object; wrap it, e.g. {'items': [...]}"),
        ((1,), "a tuple is not a JSON object; wrap it, e.g. {'items': [...]}"),
        (np.zeros(2), "a numpy ndarray is not a JSON object; wrap it, e.g. {'items': [...]}"),
        (pd.DataFrame(), "a pandas DataFrame is not a JSON object; wrap it, e.g. {'items': [...]}"),
        (1, "an int is not a JSON object; wrap it, e.g. {'value': ...}"),
        (None, "None is not a JSON object; wrap it, e.g. {'value': ...}"),
        ("a", "a str is not a JSON object; wrap it, e.g. {'value': ...}"),
    ],
)
def test_only_an_object_is_a_payload(value: object, problem: str) -> None:
    error = refusal(value)

    assert (error.path, error.problem) == ("payload", problem)


def test_a_circle_is_refused_with_both_its_ends() -> None:
    tree: dict[str, Any] = {"a": {"b": []}}
    tree["a"]["b"].append(tree["a"])
    array = np.array([None], dtype=object)
    array[0] = array
    point = Point(1.0)
    point.tags = (point,)

    assert str(refusal(tree)) == "payload['a']['b'][0]: a circular reference, back to payload['a']."
    assert refusal({"x": array}).problem == "a circular reference, back to payload['x']"
    assert refusal({"x": point}).path == "payload['x']['tags'][0]"


def test_a_model_that_dumps_itself_is_refused() -> None:
    model = Model(None)
    model.dumped = model

    assert refusal({"m": model}).path == "payload['m']"


def test_nesting_ends_at_the_limit_and_not_before() -> None:
    assert decode(encode_value(nested(MAX_LEVELS))) == nested(MAX_LEVELS)
    assert decode(encode_value(nested(MAX_LEVELS - 2, {1}))) == nested(MAX_LEVELS - 1, 1)


@pytest.mark.parametrize("bottom", [None, 1, object(), (1,)])
@pytest.mark.parametrize("levels", [MAX_LEVELS + 2, 1_001, 100_000])
def test_deep_nesting_is_refused_with_its_path(bottom: object, levels: int) -> None:
    problem = refusal({"x": nested(levels, bottom)})

    assert problem.path.startswith("payload['x'][0][0]")
    assert len(problem.path) < 100
    assert problem.problem == f"nested more than {MAX_LEVELS} levels deep"


def test_a_caller_deep_in_its_own_recursion_gets_no_error_but_these() -> None:
    """From Python 3.12 on C code has a limit of its own, and there may be none."""

    def recurse(levels: int) -> None:
        try:
            recurse(levels + 1)
        except RecursionError:
            with contextlib.suppress(PayloadError, RecursionError):
                assert encode_value(nested(MAX_LEVELS))

    recurse(0)


def test_code_of_values_that_raises_becomes_a_payload_error() -> None:
    assert "OSError: the disk is gone" in refusal({"m": HostileMapping()}).problem
    assert refusal({"m": Hostile()}).path == "payload['m']"
    assert refusal({"k": {Hostile(): 1}}).path == "payload['k']"


def test_long_keys_are_cut_in_paths() -> None:
    assert len(refusal({"k" * 10_000: object()}).path) < 100


def test_more_than_redis_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_BYTES", 2 * 2**20)

    problem = refusal({"x": "a" * 3 * 2**20})

    assert problem.path == "payload"
    assert problem.problem.startswith("3.0 MB, more than the 2.0 MB")


def test_a_large_payload_is_worth_a_warning() -> None:
    assert size_warning(WARN_BYTES) is None
    assert "12.0 MB" in str(size_warning(12 * 2**20))
    assert "path or URL" in str(size_warning(WARN_BYTES + 1))
    assert MAX_BYTES == 512 * 2**20


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys; from runqy_notebook.wire.payload import encode_payload; "
        "encode_payload({'a': [{1, 2}, (3,)]}); "
        "print([n for n in ('numpy', 'pandas', 'matplotlib') if n in sys.modules])"
    )

    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert printed.stdout.strip() == "[]", printed.stderr


# What is taken


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b" [1, 2.5, null, true] ", [1, 2.5, None, True]),
        (b"[Infinity, -Infinity]", [math.inf, -math.inf]),
        (b"[1e999, -1e999]", [math.inf, -math.inf]),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b'"\\u0000"', "\0"),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\ud83d"', "\ufffd"),
        (b'"\\ude00\\ud83d\\ude00"', "\ufffd😀"),
        (b'"\\\\ud83d \\\\\\ud83d"', "\\ud83d \\\ufffd"),
        (b'{"\\ud83dx": 1}', {"\ufffdx": 1}),
        (b"\xef\xbb\xbf1", 1),
        ('{"é": 1}'.encode("utf-16"), {"é": 1}),
    ],
)
def test_what_strangers_write_is_taken(text: bytes, expected: object) -> None:
    assert decode(text) == expected


def test_nan_is_taken() -> None:
    value = decode(b'{"x": NaN}')

    assert isinstance(value, dict)
    assert math.isnan(value["x"])


def test_twenty_megabytes_are_taken() -> None:
    assert decode(b'"' + b"a" * 20_000_000 + b'"') == "a" * 20_000_000


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "not JSON, Expecting value at character 1"),
        (b"{'a': 1}", "not JSON, Expecting property name"),
        (b"\x00", "not JSON, Expecting value at character 1"),
        (b'"\x00"', "not JSON, Invalid control character"),
        (b'"\xff"', "not JSON, byte 2 is not utf-8 text"),
        (b'"\xed\xa0\x80"', "not JSON, byte 2 is not utf-8 text"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b"1" * 5_000, "a number with too many digits"),
        (b'{"a": 1} x', "not JSON, Extra data at character 10"),
    ],
)
def test_what_is_no_json_is_a_payload_error(text: bytes, problem: str) -> None:
    with pytest.raises(PayloadError) as caught:
        decode(text)

    assert caught.value.path == "payload"
    assert caught.value.problem.startswith(problem)


# What a handler gets


def test_a_payload_answers_the_id_of_its_task() -> None:
    payload = decode_payload(b'{"a": 1}', "t1")

    assert isinstance(payload, TaskPayload)
    assert payload["task_id"] == payload.get("task_id") == payload.get("task_id", "x") == "t1"
    assert payload.get("a") == payload["a"] == 1
    assert payload.get("b") is None
    assert payload.get("b", 2) == 2
    with pytest.raises(KeyError, match="b"):
        payload["b"]


def test_the_task_id_is_no_item() -> None:
    payload = TaskPayload({"a": 1}, "t1")

    assert "task_id" not in payload
    assert len(payload) == 1
    assert list(payload) == list(payload.keys()) == ["a"]
    assert payload == {"a": 1}
    assert json.dumps(payload) == '{"a": 1}'
    assert encode_payload(payload) == msgspec.json.encode(payload) == b'{"a":1}'
    assert dict(**payload) == dict(payload) == payload.copy() == {"a": 1}
    assert repr(payload) == "{'a': 1}"


def test_a_task_id_of_the_producer_wins() -> None:
    payload = TaskPayload({"task_id": None}, "t1")

    assert payload["task_id"] is None
    assert payload.get("task_id", "x") is None


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.copy,
        copy.deepcopy,
        TaskPayload.copy,
        *[lambda p, n=n: pickle.loads(pickle.dumps(p, n)) for n in range(6)],
    ],
)
def test_copies_and_pickles_know_the_task_id(duplicate: Any) -> None:
    twin = duplicate(TaskPayload({"a": [1]}, "t1"))

    assert twin == {"a": [1]}
    assert twin["task_id"] == twin.get("task_id") == "t1"


@pytest.mark.parametrize("text", [b"[1]", b'"a"', b"null", b"1"])
def test_other_json_values_reach_the_handler_as_they_are(text: bytes) -> None:
    assert decode_payload(text, "t1") == json.loads(text)


# Whatever comes

json_text = st.text(st.characters(exclude_categories=["Cs"]))
json_trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | json_text,
    lambda inner: st.lists(inner) | st.dictionaries(json_text, inner),
    max_leaves=30,
)  # fmt: skip
odd_leaves = st.one_of(
    st.none(),
    st.text(),
    st.text(st.characters(categories=["Cs"])),
    st.binary(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.decimals(),
    st.datetimes(),
    st.timedeltas(),
    st.uuids(),
    st.sampled_from([Colour.RED, pd.NaT, pd.NA, Point, object()]),
    st.builds(Hostile),
    st.builds(HostileMapping),
    st.builds(np.datetime64, st.integers(-(2**62), 2**62), st.sampled_from(["ns", "s", "D"])),
    st.builds(np.timedelta64, st.integers(-(2**62), 2**62), st.sampled_from(["ns", "s", "W"])),
    st.lists(st.floats(width=32)).map(lambda x: np.array(x, dtype="f4")),
    st.lists(st.binary(max_size=3)).map(np.array),
)
odd_keys = st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.binary())
odd_trees = st.recursive(
    odd_leaves,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(odd_keys, inner)
        | st.tuples(inner, inner)
        | st.builds(Point, inner, inner)
        | st.builds(Model, inner)
        | st.lists(st.floats() | st.text() | st.binary()).map(pd.Series)
    ),
    max_leaves=15,
)


@given(json_trees)
def test_json_trees_come_back_as_they_went(tree: object) -> None:
    text = encode_value(tree)

    assert repr(decode(text)) == repr(tree)
    assert repr(json.loads(text)) == repr(tree)


@settings(max_examples=20)
@given(st.dictionaries(json_text, json_trees))
def test_json_objects_come_back_as_payloads(tree: dict[str, object]) -> None:
    payload = decode_payload(encode_payload(tree), "t1")

    assert isinstance(payload, TaskPayload)
    assert payload == tree


@given(odd_trees)
def test_whatever_is_sent_is_strict_json_or_a_payload_error(tree: object) -> None:
    with contextlib.suppress(PayloadError):
        text = encode_value(tree)
        json.loads(text.decode("utf-8"), parse_constant=lambda name: pytest.fail(name))


@given(st.binary() | st.text(alphabet='[]{}",:\\ud8e1NaIntfiy-+. \0').map(str.encode))
def test_whatever_comes_is_a_payload_error_or_can_be_sent_on(text: bytes) -> None:
    try:
        value = decode(text)
    except PayloadError:
        return
    encode_value(value)


@given(st.binary(max_size=20) | json_trees.map(lambda tree: json.dumps(tree).encode("utf-16-le")))
def test_we_take_what_python_takes(text: bytes) -> None:
    try:
        expected = json.loads(text)
        text.decode(json.detect_encoding(text))
    except ValueError:
        return
    assert repr(decode(text)) == repr(expected)
