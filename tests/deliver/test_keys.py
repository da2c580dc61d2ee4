from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runqy_notebook.deliver.keys import checked_template, filled, safe
from runqy_notebook.errors import DestinationError


@given(st.text())
def test_a_field_is_one_part_of_a_path_whatever_it_holds(value: str) -> None:
    made = safe(value)

    assert made
    assert made.strip(".")
    assert "/" not in made
    assert "\\" not in made
    assert made.isascii()
    assert made.isprintable()
    assert len(made) <= 120
    assert PurePosixPath("/prefix", made).parent == PurePosixPath("/prefix")


@given(st.text(max_size=30), st.text(max_size=30))
def test_two_ids_never_meet_in_one_place(one: str, other: str) -> None:
    if one and other and one != other:
        assert safe(one) != safe(other)


def test_long_ids_stay_apart() -> None:
    assert safe("x" * 500 + "1") != safe("x" * 500 + "2")


def test_the_fields_of_a_template_are_filled() -> None:
    told = {
        "task_id": "a/b",
        "queue": "mail_high",
        "status": "completed",
        "attempt": 2,
        "completed_at": "2026-11-22T05:00:00.000Z",
    }

    place = filled("r/{queue}/{date}/{hour}/{task_id}-{attempt}-{delivery_id}.json", told, "msg_1")

    assert place == "r/mail_high/2026-11-22/05/a%2Fb-2-msg_1.json"


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("r/{taskid}.json", "Did you mean 'task_id'"),
        ("r/{task_id.__class__}.json", "has no field"),
        ("r/{task_id!r}.json", "has no field"),
        ("r/{task_id", "brace"),
        ("r/../{task_id}", "without .."),
        ("r/", "must name a file"),
        ("", "must name a file"),
    ],
)
def test_a_template_that_is_none_is_refused(template: str, problem: str) -> None:
    with pytest.raises(DestinationError, match=problem):
        checked_template(template, "s3://r")
