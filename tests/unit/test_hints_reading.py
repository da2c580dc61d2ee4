"""From text to payloads, and what is said of text that is none."""

from __future__ import annotations

import pytest

from runqy_notebook.hints.field import Field, Kind
from runqy_notebook.hints.reading import Mistake, problems, read, value_of

ZIP = Field("zip", Kind.TEXT, type="text", is_required=True)
FIELDS = (
    Field("name", Kind.TEXT, type="text", is_required=True),
    Field("age", Kind.INTEGER, type="whole number", is_nullable=True),
    Field("mode", Kind.CHOICE, type='one of "a", "b"', choices=("a", "b")),
    Field("address", Kind.OBJECT, type="object", fields=(ZIP,)),
    Field("tags", Kind.ARRAY, type="list: text", item=Field("", Kind.TEXT, type="text")),
)


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("", 1, 1, "there is nothing"),
        ('{"a": 1,}', 1, 8, "this comma is one too many."),
        ('[{"a": 1},\n]', 1, 10, "this comma is one too many."),
        ('{\n  "a": 1\n  "b": 2\n}', 3, 3, 'a comma is missing before "\\"b\\":"'),
        ("{'a': 1}", 1, 2, 'text stands in "double quotes"'),
        ('{"a": True}', 1, 7, "write true"),
        ('{"a": None}', 1, 7, "write null"),
        ('{"a": ["NaN", NaN]}', 1, 15, "NaN is no JSON value; write null."),
        ('{"a": 1,\n "a": 2}', 2, 2, 'the key "a" is there twice.'),
        ('{"a": ', 1, 7, "the text ends too early"),
        ("\n 3", 2, 2, "it is a number, not a JSON object"),
        ("[]", 1, 1, "it is an empty list, not a JSON object"),
        ('[{"a": 1}, 2]', 1, 1, "item 2 of the list is a number"),
        ('{"a": 1} x', 1, 10, "extra data."),
        ("[" * 100_000, 1, 1, "nested too deeply"),
        ('{"a": ' + "1" * 5_000 + "}", 1, 1, "too many digits"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, line: int, column: int, what: str) -> None:
    found = read(text)

    assert isinstance(found, Mistake)
    assert (found.line, found.column) == (line, column)
    assert what in found.what


def test_an_object_is_a_payload_and_a_list_of_objects_are_several() -> None:
    assert read('{"a": [1, null]}') == {"a": [1, None]}
    assert read('[{"a": 1}, {}]') == [{"a": 1}, {}]


def test_each_problem_names_the_field_and_the_value() -> None:
    payload = {
        "nam": "x", "age": "old", "mode": "c", "address": {"zip": 5}, "tags": ["a", 1],
    }  # fmt: skip

    assert [str(each) for each in problems(FIELDS, payload)] == [
        "name is missing: text. It is not called 'nam'?",
        'age is "old", not a whole number.',
        'mode is "c", not one of "a", "b".',
        "address.zip is 5, not text.",
        "tags[1] is 1, not text.",
    ]


def test_what_fits_has_no_problems() -> None:
    fits = {"name": "x", "age": None, "mode": "a", "address": {"zip": "5", "more": 1}, "tags": []}

    assert problems(FIELDS, fits) == []


def test_a_million_problems_are_told_of_as_twenty() -> None:
    assert len(problems(FIELDS, {"name": "x", "tags": [1] * 1_000_000})) == 20


def test_text_in_a_form_becomes_what_its_field_takes() -> None:
    name, age, _, address, _ = FIELDS

    assert value_of(name, "12") == "12"
    assert value_of(age, " 12 ") == 12
    assert value_of(age, "null") is None
    assert value_of(address, '{"zip": "1"}') == {"zip": "1"}
    assert value_of(Field("any"), "hello") == "hello"
    assert value_of(Field("any"), "[1]") == [1]
    assert value_of(Field("any"), "7") == 7


@pytest.mark.parametrize(
    ("at", "text", "what"),
    [
        (1, "12.5", "is 12.5, not a whole number."),
        (1, "abc", '"abc" is not a whole number.'),
        (3, '{"zip": 1}', ".zip is 1, not text."),
        (4, "a, b", '"a, b" is not a list: text.'),
    ],
)
def test_text_that_its_field_does_not_take_is_told_of(at: int, text: str, what: str) -> None:
    with pytest.raises(ValueError, match="not") as caught:
        value_of(FIELDS[at], text)

    assert str(caught.value) == what
