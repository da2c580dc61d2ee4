"""Names of queues: parents, sub-queues, priorities."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runqy_notebook.errors import QueueNameError
from runqy_notebook.wire import queues

names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,30}", fullmatch=True)


@pytest.mark.parametrize(
    ("name", "parent", "sub_queue"),
    [
        ("inference_high", "inference", "high"),
        ("inference:default", "inference", "default"),
        ("inference.low", "inference", "low"),
        ("image_resize_high", "image_resize", "high"),
        ("image_resize", "image", "resize"),
        ("a_b:c_d", "a_b", "c_d"),
        ("a:b.c", "a:b", "c"),
        ("inference", "inference", "default"),
        ("inference_", "inference_", "default"),
        ("a-b", "a-b", "default"),
    ],
)
def test_a_name_is_split_by_the_one_rule(name: str, parent: str, sub_queue: str) -> None:
    assert queues.split(name) == (parent, sub_queue)


@pytest.mark.parametrize(
    ("name", "queue", "is_selected"),
    [
        ("image", "image", True),
        ("image", "image_high", True),
        ("image", "image:high", True),
        ("image", "image_resize_high", False),
        ("image", "images", False),
        ("image_resize", "image_resize_high", True),
        ("image_high", "image", False),
    ],
)
def test_a_name_selects_itself_and_the_sub_queues_of_a_parent_of_that_name(
    name: str, queue: str, is_selected: bool
) -> None:
    assert queues.selects(name, queue) is is_selected


@given(names)
def test_every_queue_is_selected_by_itself_and_by_its_parent(name: str) -> None:
    assert queues.selects(name, name)
    assert queues.selects(queues.parent_of(name), name)


@pytest.mark.parametrize(
    "name", ["", "_a", "a b", "a{b}", "a*", "x" * 201, "café", "a\n", None, 3, "t", "nb:x", "t:x"]
)
def test_other_names_are_refused_with_the_reason(name: object) -> None:
    with pytest.raises(QueueNameError, match="is not a queue name: "):
        queues.checked(name)


@pytest.mark.parametrize("name", ["a", "9", "a_b", "a.b:c-d", "x" * 200, "tasks", "t_high", "nbx"])
def test_valid_names_are_given_back(name: str) -> None:
    assert queues.checked(name) == name
    assert queues.is_valid(name)


def test_tiers_go_by_sub_queue_unless_told() -> None:
    found = queues.tiers(["a_low", "b", "a_high", "a_x", "a_vip"], {"vip": 9, "a_x": -5})

    assert found == [["a_vip"], ["a_high"], ["b"], ["a_low"], ["a_x"]]
