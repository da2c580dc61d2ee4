"""What a pydantic model finds in a payload, and what is said of it."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from enum import Enum
from typing import Any, Literal, TypedDict

import pydantic
import pytest
from pydantic import BaseModel, Field, field_validator, model_validator

from runqy_notebook.hints.handler import hints_of
from runqy_notebook.hints.models import MOST_ERRORS
from runqy_notebook.hints.reading import problems, value_of
from runqy_notebook.registry import Handler


class Shelf(Enum):
    LOW = "low"
    HIGH = "high"


class Author(BaseModel):
    name: str = Field(min_length=2, pattern="^[A-Z]")


class Book(BaseModel):
    title: str = Field(min_length=1)
    pages: int = Field(ge=1, le=9999)
    kind: Literal["novel", "poems"] = "novel"
    shelf: Shelf = Shelf.LOW
    tags: list[str] = Field(default_factory=list, max_length=2)
    author: Author | None = None
    also: int | Literal["all"] = 0

    @field_validator("title")
    @classmethod
    def not_shouted(cls, title: str) -> str:
        if title.isupper():
            raise ValueError("a title is not SHOUTED")
        if title == "?":
            raise KeyError("no such\nbook")
        return title

    @model_validator(mode="after")
    def fits(self) -> Book:
        if self.shelf is Shelf.HIGH and self.pages > 500:
            raise ValueError("too heavy for the high shelf")
        return self


class Order(TypedDict):
    n: int
    book: Book
    others: list[Author]


@pydantic.dataclasses.dataclass
class Parcel:
    weight: float = Field(gt=0)


@dataclasses.dataclass
class Sent:
    parcel: Parcel


def found(hint: Any, payload: dict[str, Any]) -> list[str]:
    """What is said of a payload for a handler with this hint."""

    def handler(payload: Any) -> None: ...

    handler.__annotations__["payload"] = hint
    hints = hints_of(Handler(handler))
    return [str(each) for each in problems(hints.fields, payload, hints.model)]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"pages": 0}, "pages is 0: input should be greater than or equal to 1."),
        ({"pages": 10_000}, "pages is 10000: input should be less than or equal to 9999."),
        ({"pages": "many"}, 'pages is "many", not a whole number.'),
        ({"title": ""}, 'title is "": string should have at least 1 character.'),
        ({"title": "EMMA"}, 'title is "EMMA": a title is not SHOUTED.'),
        ({"kind": "map"}, 'kind is "map", not one of "novel", "poems".'),
        ({"shelf": "top"}, 'shelf is "top", not one of "low", "high".'),
        ({"tags": ["a", 1]}, "tags[1] is 1, not text."),
        (
            {"author": {"name": "x"}},
            'author.name is "x": string should have at least 2 characters.',
        ),
        ({"author": {}}, "author.name is missing: text."),
        ({"also": "none"}, 'also is "none": input should be a valid integer'),
        ({"shelf": "high", "pages": 600}, "The payload: too heavy for the high shelf."),
        ({"title": "?"}, "The payload: cannot be checked: Book raised KeyError: 'no such\\nbook'"),
    ],
)
def test_what_the_model_refuses_is_told_with_its_place_and_value(
    wrong: dict[str, Any], said: str
) -> None:
    told = found(Book, {"title": "Emma", "pages": 12, **wrong})

    assert len(told) == 1
    assert told[0].startswith(said)
    assert "\n" not in told[0]


def test_what_the_model_takes_is_fine_even_where_its_types_differ() -> None:
    assert found(Book, {"title": "Emma", "pages": "12", "shelf": "high"}) == []


def test_each_place_is_told_of_once() -> None:
    told = found(Book, {"pages": 0, "also": "none", "author": {"name": ""}})

    assert [each.split()[0] for each in told] == ["title", "pages", "author.name", "also"]


def test_models_inside_of_other_hints_are_asked_too() -> None:
    payload = {"n": 1, "book": {"title": "Emma", "pages": 0}, "others": [{"name": "Al"}, {}]}

    assert found(Order, payload) == [
        "book.pages is 0: input should be greater than or equal to 1.",
        "others[1].name is missing: text.",
    ]
    assert found(Sent, {"parcel": {"weight": -1}}) == [
        "parcel.weight is -1: input should be greater than 0."
    ]
    assert found(Parcel, {"weight": 0}) == ["weight is 0: input should be greater than 0."]


def test_a_model_inside_of_a_form_is_asked_too() -> None:
    def handler(payload: Order) -> None: ...

    book = hints_of(Handler(handler)).fields[1]

    with pytest.raises(ValueError, match=r"pages is 0: input should be greater"):
        value_of(book, '{"title": "Emma", "pages": 0}')


def test_a_million_faults_are_told_of_as_one() -> None:
    class Many(BaseModel):
        n: list[int]

    (told,) = found(Many, {"n": ["x"] * (MOST_ERRORS + 1)})

    assert told == "The payload: 1,001 faults."


def test_pydantic_is_not_imported_for_it() -> None:
    code = (
        "import sys; from runqy_notebook.hints import handler, reading\n"
        "from runqy_notebook.registry import Handler\n"
        "from typing import TypedDict\n"
        "class A(TypedDict):\n    n: int\n"
        "def f(payload: A): ...\n"
        "hints = handler.hints_of(Handler(f))\n"
        "assert reading.problems(hints.fields, {'n': ''}, hints.model)\n"
        "assert 'pydantic' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
