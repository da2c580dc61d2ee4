"""What handlers tell of their payloads, by hints and by docstrings."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Literal, Optional, TypedDict

import pytest
from pydantic import BaseModel
from pydantic import Field as PydanticField
from typing_extensions import NotRequired

from runqy_notebook.hints.field import MISSING, Field, Kind
from runqy_notebook.hints.handler import Hints, hints_of
from runqy_notebook.registry import Handler


class Speed(Enum):
    FAST = "fast"
    SLOW = "slow"


class Address(TypedDict):
    street: str
    zip: NotRequired[str]


class Order(TypedDict, total=False):
    """An order.

    Attributes:
        amount: how much, in euros
        address: where to
    """

    amount: float
    paid: bool
    address: Address
    tags: list[str]


@dataclass
class Picture:
    pixels: list[int]
    mode: Literal["grey", "colour"] = "grey"
    speed: Speed = Speed.FAST
    top: int | None = None
    notes: list[str] = field(default_factory=list)
    made: float = field(default_factory=lambda: 1.0, metadata={"help": "when it was taken"})


class Customer(BaseModel):
    name: str = PydanticField(description="as on the bill")
    age: int = 30
    best_of: Annotated[int, PydanticField(alias="bestOf")]
    address: dict[str, Any] | None = None


def test_a_typed_dict_makes_a_field_for_each_key() -> None:
    def handler(payload: Order) -> None: ...

    found = by_name(hints_of(Handler(handler)))

    assert [each.kind for each in found.values()] == [
        Kind.NUMBER, Kind.BOOLEAN, Kind.OBJECT, Kind.ARRAY,
    ]  # fmt: skip
    assert not any(each.is_required for each in found.values())
    assert found["amount"].help == "how much, in euros"
    assert [(f.name, f.is_required) for f in found["address"].fields] == [
        ("street", True),
        ("zip", False),
    ]
    assert found["tags"].type == "list: text"


def test_a_dataclass_makes_fields_with_defaults_and_choices() -> None:
    def handler(payload: Picture, ctx: object) -> None: ...

    found = by_name(hints_of(Handler(handler)))

    assert {name: f.is_required for name, f in found.items() if f.is_required} == {"pixels": True}
    assert found["mode"].choices == ("grey", "colour")
    assert (found["mode"].default, found["speed"].default) == ("grey", "fast")
    assert found["speed"].choices == ("fast", "slow")
    assert (found["top"].kind, found["top"].is_nullable) == (Kind.INTEGER, True)
    assert found["notes"].default == []
    assert (found["made"].default, found["made"].help) == (MISSING, "when it was taken")


def test_a_pydantic_model_makes_fields_by_the_names_of_its_json() -> None:
    def handler(payload: Customer) -> None: ...

    found = by_name(hints_of(Handler(handler)))

    assert list(found) == ["name", "age", "bestOf", "address"]
    assert found["name"].help == "as on the bill"
    assert [f.is_required for f in found.values()] == [True, False, True, False]
    assert (found["age"].default, found["address"].kind) == (30, Kind.OBJECT)


GOOGLE = """Reads a picture. Returns a label.

    Args:
        payload: What to read.
            pixels (list of int): the picture
            mode ({"grey", "colour"}): how it is stored. Defaults to "grey".
            top (int, optional): how many labels,
                best first
            - note (str or None): what else
        ctx: the model

    Returns:
        label (str): the best one
    """
NUMPY = """Reads a picture.

    Parameters
    ----------
    pixels : list[int]
        the picture
    mode : {"grey", "colour"}, default "grey"
        how it is stored.
    top : int, optional
        how many labels,
        best first
    note : str or None
        what else

    Returns
    -------
    label : str
    """
SECTION = """Reads a picture.

    Payload:
        pixels (list[int]): the picture
        mode (Literal["grey", "colour"]): how it is stored. Defaults to "grey".
        top (int, optional): how many labels, best first
        note (Optional[str]): what else
    """


@pytest.mark.parametrize("doc", [GOOGLE, NUMPY, SECTION])
def test_a_docstring_makes_the_same_fields_in_each_style(doc: str) -> None:
    def handler(payload: dict[str, Any], ctx: object = None) -> None: ...

    handler.__doc__ = doc
    found = hints_of(Handler(handler))

    fields = by_name(found)
    assert (found.source, found.summary[:16]) == ("docstring", "Reads a picture.")
    assert list(fields) == ["pixels", "mode", "top", "note"]
    assert [f.is_required for f in fields.values()] == [True, False, False, False]
    assert (fields["pixels"].type, fields["pixels"].help) == ("list: whole number", "the picture")
    assert (fields["mode"].choices, fields["mode"].default) == (("grey", "colour"), "grey")
    assert fields["top"].help == "how many labels, best first"
    assert fields["note"].is_nullable


def test_help_of_the_docstring_stands_by_the_fields_of_the_hints() -> None:
    def handler(payload: Address) -> None:
        """Sends it.

        Args:
            payload:
                street: with the number
        """

    (street, _) = hints_of(Handler(handler)).fields

    assert (street.kind, street.is_required, street.help) == (Kind.TEXT, True, "with the number")


class Node(TypedDict):
    value: int
    below: Optional[Node]  # noqa: UP045


def test_a_type_that_holds_itself_ends_somewhere() -> None:
    def handler(payload: Node) -> None: ...

    found, depth = by_name(hints_of(Handler(handler)))["below"], 0
    while found.fields:
        found, depth = found.fields[1], depth + 1

    assert 3 < depth < 10


class Broken:
    def __call__(self, payload: Nonsense) -> None:  # type: ignore[name-defined] # noqa: F821
        """Takes what nobody knows."""


def plain(payload): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    "function", [print, plain, Broken(), functools.partial(plain), lambda payload: payload]
)
def test_a_handler_that_tells_nothing_has_no_fields(function: Any) -> None:
    assert hints_of(Handler(function)).fields == ()


def by_name(found: Hints) -> dict[str, Field]:
    return {each.name: each for each in found.fields}
