"""One payload or many, from the line or from the cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
import pytest

from runqy_notebook.errors import UsageError
from runqy_notebook.magics.body import payloads


class Polars:
    """As much of a polars DataFrame as matters."""

    def to_dict(self, *, as_series: bool = True) -> object:
        raise AssertionError("polars gives columns here")

    def to_dicts(self) -> list[dict[str, int]]:
        return [{"n": 1}]


class Model:
    """As much of a pydantic model as matters."""

    def model_dump(self) -> dict[str, int]:
        return {"n": 1}

    def __iter__(self) -> Any:
        return iter([("n", 1)])


@dataclass
class Point:
    x: int


FRAME = pd.DataFrame({"n": [1, 2]})
MODEL, POINT, POLARS = Model(), Point(1), type("DataFrame", (Polars,), {})()
NAMES = {"frame": FRAME, "model": MODEL, "point": POINT, "polars": POLARS}


def read(on_line: str | None, body: str | None = None) -> object:
    return payloads(on_line, body, lambda text: eval(text, dict(NAMES)))


def complaint(on_line: str | None, body: str | None) -> str:
    with pytest.raises(UsageError) as caught:
        read(on_line, body)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ('{"a": 1}', {"a": 1}),
        ("model", MODEL),
        ("point", POINT),
        ("frame.iloc[0]", {"n": 1}),
        ("'text'", "text"),
        ("7", 7),
    ],
)
def test_one_thing_is_one_payload(line: str, value: object) -> None:
    assert read(line) == value


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("frame", [{"n": 1}, {"n": 2}]),
        ("polars", [{"n": 1}]),
        ("[{'n': 1}]", [{"n": 1}]),
        ("({'n': n} for n in (1, 2))", [{"n": 1}, {"n": 2}]),
        ("frame.n", [1, 2]),  # a column, which the session refuses with its index
        ("[]", []),
    ],
)
def test_a_list_a_table_and_an_iterable_are_many(line: str, values: list[object]) -> None:
    assert read(line) == values


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ('{"a": 1}\n', {"a": 1}),
        ('{"a": 1};\n', {"a": 1}),
        ('{"a": 1}\n\n  {"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ('{\n"a": 1\n}', {"a": 1}),
        ("{'a': 1}", {"a": 1}),
        ("[{'a': n}\n for n in range(2)]", [{"a": 0}, {"a": 1}]),
        ("frame", [{"n": 1}, {"n": 2}]),
    ],
)
def test_a_body_is_json_json_lines_or_an_expression(body: str, value: object) -> None:
    assert read(None, body) == value


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{"a": 1}\n{"a": \n', "Line 2 of the body is not JSON, though its first line is."),
        ('{"a": 1}\n\n5', "Line 3 of the body is not a JSON object, though its first line is."),
        ("{'a': 1}\n{'a': 2}", "The payload is neither JSON"),
        ("  \n ", "The payload is missing."),
    ],
)
def test_a_broken_body_is_told_where_it_broke(body: str, said: str) -> None:
    assert said in complaint(None, body)


def test_nothing_and_both_are_refused() -> None:
    assert "%%runqy enqueue QUEUE" in complaint(None, None)
    assert "not both" in complaint("{}", "{}")
    assert read("{}", "  \n") == {}
