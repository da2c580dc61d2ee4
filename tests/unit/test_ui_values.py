"""How results are shown."""

from __future__ import annotations

import base64
import builtins
import json
import traceback
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from runqy_notebook.ui.text import LARGEST, cleaned, cleaned_line, duration
from runqy_notebook.ui.tracebacks import readable
from runqy_notebook.ui.values import LARGEST_PICTURE, of_json, of_value, picture
from runqy_notebook.wire.payload import TaskPayload

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 40


@pytest.fixture(scope="module")
def shell() -> Any:
    made = InteractiveShell.instance()
    made.display_formatter.active_types = made.display_formatter.format_types
    yield made
    InteractiveShell.clear_instance()
    vars(builtins).pop("__IPYTHON__", None)  # which a shell leaves behind: here is no notebook


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "None"),
        (3.5, "3.5"),
        ("one\ntwo", "one\ntwo"),
        ({"label": 7, "at": (1, 2)}, '{"label": 7, "at": [1, 2]}'),
        ([1, {2, 3}], '[1, "{2, 3}"]'),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        ((1, "é"), "(1, 'é')"),
    ],
)
def test_plain_values_are_text(shell: Any, value: object, text: str) -> None:
    shown = of_value(value, shell)

    assert (shown.text, shown.rich) == (text, {})


def test_long_values_are_indented_and_cut(shell: Any) -> None:
    shown = of_value({"rows": [{"n": n} for n in range(10_000_000)[:100_000]]}, shell)

    assert shown.text.startswith('{\n  "rows": [\n')
    assert LARGEST <= len(shown.text) < LARGEST + 80
    assert shown.text.endswith("…")


def test_an_array_within_json_is_its_numbers(shell: Any) -> None:
    import numpy as np

    assert of_value({"a": np.arange(3), "b": np.float32(0.5)}, shell).text == (
        '{"a": [0, 1, 2], "b": 0.5}'
    )


def test_a_table_is_its_own_html_escaped_and_cut(shell: Any) -> None:
    import pandas as pd

    frame = pd.DataFrame({"x": ["<script>alert(1)</script>"] * 1_000})

    html = of_value(frame, shell).rich["text/html"]

    assert "<script>alert" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<tr") < 80


class Plot:
    def _repr_png_(self) -> bytes:
        return PNG


class Bundled:
    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> Any:
        return {"text/html": "<b>x</b>", "application/javascript": "alert(1)"}, {"a": {}}


class Broken:
    def _repr_html_(self) -> str:
        raise SystemExit

    def __repr__(self) -> str:
        raise ValueError


def test_a_picture_is_base64(shell: Any) -> None:
    assert of_value(Plot(), shell).rich == {"image/png": base64.b64encode(PNG).decode()}


def test_of_a_bundle_what_acts_is_left_out(shell: Any) -> None:
    assert of_value(Bundled(), shell).rich == {"text/html": "<b>x</b>"}


def test_a_value_that_fails_to_show_itself_is_named(shell: Any) -> None:
    assert of_value(Broken(), shell).text == "a Broken, which cannot be shown (SystemExit)"


def test_what_came_over_redis_is_text() -> None:
    assert of_json(b'{"a":"<b>"}').text == '{"a": "<b>"}'
    assert of_json(b"\xff<").text == "\ufffd<"
    assert of_json(b"[" * 100_000).rich == {}
    assert len(of_json(json.dumps("x" * 10_000_000).encode()).text) < LARGEST + 80


def test_only_png_and_jpeg_are_pictures() -> None:
    text = base64.b64encode(PNG).decode()

    assert picture("image/png", f"{text[:20]}\n{text[20:]}\n") == text
    assert picture("image/jpeg", text) is None
    assert picture("image/png", base64.b64encode(b"<svg onload=alert(1)>").decode()) is None
    assert picture("image/png", "A" * (LARGEST_PICTURE + 1)) is None


def test_escape_sequences_and_control_characters_are_gone() -> None:
    assert cleaned("\x1b[31mred\x1b[0m\x00\x07 \x1b]0;title\x07\u202eok\tx\ny") == "red ok\tx\ny"
    assert cleaned_line("10%\r20%\r30%\n") == "30%"
    assert cleaned("x" * (LARGEST + 5)).endswith("… (5 more characters)")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12 ms"), (3.21, "3.2 s"), (59.6, "1 min 0 s"), (250, "4 min 10 s"),
     (7_500, "2 h 5 min")],
)  # fmt: skip
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_traceback_names_the_cell_and_shows_the_lines_around(shell: Any) -> None:
    code = "def act(payload):\n    n = 1\n    raise ValueError('no')\n"
    name = shell.compile.cache(code, 3)
    names: dict[str, Any] = {}
    exec(compile(code, name, "exec"), names)
    text = (
        f"Traceback (most recent call last):\n"
        f'  File "/lib/other.py", line 5, in call\n    x\n'
        f"  File \"{name}\", line 3, in act\n    raise ValueError('no')\n"
        f"ValueError: no\n"
    )

    told = readable(text, shell.compile.format_code_name)

    assert told.splitlines() == [
        '  File "/lib/other.py", line 5, in call',
        "    x",
        "  Cell In[3], line 3, in act",
        "        1 def act(payload):",
        "        2     n = 1",
        "---->   3     raise ValueError('no')",
    ]


def test_a_key_that_a_payload_lacks_points_at_the_cell_and_not_into_this_package(
    shell: Any,
) -> None:
    code = "def act(payload):\n    return payload['rate']\n"
    name = shell.compile.cache(code, 4)
    names: dict[str, Any] = {}
    exec(compile(code, name, "exec"), names)
    try:
        names["act"](TaskPayload({}, "t1"))
    except KeyError:
        text = traceback.format_exc()

    told = readable(text, shell.compile.format_code_name)

    assert "payload.py" not in told
    assert told.splitlines()[-2:] == [
        "        1 def act(payload):",
        "---->   2     return payload['rate']",
    ]
