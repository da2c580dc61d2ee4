"""Payloads as columns: every path has one meaning, whatever the keys are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runqy_notebook.flattening import DEPTH, MOST_COLUMNS, flattened

keys = st.sampled_from(["a", "b", "a.b", "", '"', "a[b]", "[", "\udcff", "1", "é", " a", "payload"])
leaves = st.one_of(st.integers(), st.none(), st.lists(st.integers(), max_size=2), st.just({}))
objects: Any = st.recursive(
    st.dictionaries(keys, leaves, max_size=3),
    lambda inner: st.dictionaries(keys, inner | leaves, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("payload", "paths"),
    [
        ({"lr": 0.1, "n": 3}, {"p.lr": 0.1, "p.n": 3}),
        ({"opt": {"name": "adam", "lr": 1}}, {"p.opt.name": "adam", "p.opt.lr": 1}),
        ({"sizes": [1, {"a": 2}]}, {"p.sizes": [1, {"a": 2}]}),
        ({"a": {}}, {"p.a": {}}),
        ({"a.b": 1, "a": {"b": 2}}, {'p["a.b"]': 1, "p.a.b": 2}),
        ({"": 1, "x y": 2, "0": 3}, {'p[""]': 1, "p.x y": 2, "p.0": 3}),
        ({"<b>": 1, "a\nb": 2}, {'p["<b>"]': 1, 'p["a\\nb"]': 2}),
    ],
)
def test_each_part_has_its_own_column(payload: Any, paths: dict[str, Any]) -> None:
    columns, is_whole = flattened([payload], "p")

    assert {path: values[0] for path, values in columns.items()} == paths
    assert is_whole == [True]


def test_columns_come_in_order_of_appearance_and_have_gaps() -> None:
    columns, _ = flattened([{"b": 1}, {"a": 2, "b": 3}], "p")

    assert columns == {"p.b": [1, 3], "p.a": [None, 2]}
    assert list(columns) == ["p.b", "p.a"]


@pytest.mark.parametrize("value", [None, 1, "text", [1], [{"a": 1}]])
def test_what_is_no_object_has_no_columns(value: object) -> None:
    assert flattened([value], "p") == ({}, [False])


def test_what_lies_too_deep_stays_an_object() -> None:
    deep: Any = 1
    for _ in range(DEPTH + 2):
        deep = {"x": deep}

    ((path, (value,)),) = flattened([deep], "p")[0].items()

    assert path == "p" + ".x" * DEPTH
    assert value == {"x": {"x": 1}}


def test_columns_beyond_the_most_are_left_out_and_that_is_told() -> None:
    wide = {f"k{n}": n for n in range(MOST_COLUMNS + 1)}

    columns, is_whole = flattened([{"k0": 1}, wide, {"k5": 1}], "p")

    assert len(columns) == MOST_COLUMNS
    assert is_whole == [True, False, True]


@given(objects)
def test_no_two_parts_share_a_column(payload: dict[str, Any]) -> None:
    def count(value: Any, depth: int) -> int:
        if isinstance(value, dict) and value and depth:
            return sum(count(part, depth - 1) for part in value.values())
        return 1

    columns, is_whole = flattened([payload], "p")

    assert is_whole == [True]
    assert len(columns) == (count(payload, DEPTH) if payload else 0)
