"""How a `%runqy` line falls into words, and how a payload is read."""

from __future__ import annotations

import contextlib
import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runqy_notebook.errors import UsageError
from runqy_notebook.magics.words import Word, read_payload, split_line


def texts(line: str) -> list[str]:
    return [word.text for word in split_line(line)]


def expressions(line: str) -> list[str]:
    return [word.text for word in split_line(line) if word.is_expression]


def complaint(line: str) -> str:
    with pytest.raises(UsageError) as caught:
        split_line(line)
    return str(caught.value)


# Words


def test_a_line_with_a_payload_and_options_falls_into_words() -> None:
    payload = '{"pixels": [1, 2], "note": "it\'s fine"}'
    line = f"enqueue inference_high {payload} --max-retry 5 --id 'my id'"

    assert texts(line) == [
        "enqueue",
        "inference_high",
        payload,
        "--max-retry",
        "5",
        "--id",
        "my id",
    ]
    assert expressions(line) == [payload]


def test_words_know_where_they_stand() -> None:
    assert split_line("  a 'b c'  ") == [Word("a", 2, 3, False), Word("b c", 4, 9, False)]


@pytest.mark.parametrize("line", ["", "   ", "\t\n"])
def test_an_empty_line_has_no_words(line: str) -> None:
    assert split_line(line) == []


@pytest.mark.parametrize(
    "word",
    [
        "dict(a=1, b=[2, 3])",
        'make(x, "a b")',
        '--opt={"a": 1}',
        "[{'a': (1, 2)} for i in range(3)]",
        "row['a b'].to_dict()",
        "{'a': 'it\\'s ) fine'}",
        "{'a': '''one ' two '' ( three'''}",
        '{"a": f"{x} (", "b": rb\'\\\'}\'}',
        "(\n1,\n2)",
    ],
)
def test_brackets_hold_a_word_together(word: str) -> None:
    assert texts(f"enqueue q {word} --id x") == ["enqueue", "q", word, "--id", "x"]
    assert expressions(f"enqueue q {word} --id x") == [word]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("'my id'", ["my id"]),
        ('"my id"', ["my id"]),
        ("'''my 'id' '''", ["my 'id' "]),
        ("''", [""]),
        ("'it\\'s'", ["it's"]),
        ("'a\\\\'", ["a\\"]),
        ("'C:\\new dir'", ["C:\\new dir"]),
        ("--id='my id'", ["--id=my id"]),
        ("'{\"a\": 1}'", ['{"a": 1}']),
        ("f'{a b}'", ["f'{a b}'"]),
        ("'a''b c'", ["'a''b c'"]),
        ("'a b'.split", ["'a b'.split"]),
    ],
)
def test_only_one_plain_string_loses_its_quotes(line: str, expected: list[str]) -> None:
    assert texts(line) == expected
    assert expressions(line) == []


@pytest.mark.parametrize("word", ["don't", "O'Brien's", "--note=don't", 'a"b', "5'", "#", "#x"])
def test_quotes_in_a_bare_word_and_hashes_are_letters(word: str) -> None:
    assert texts(f"a {word} b") == ["a", word, "b"]
    assert expressions(f"a {word} b") == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('q {"a": [1, 2}', "The } at column 14 closes nothing: the [ at column 9 is still open."),
        ('q {"a": [1, 2]', "The { at column 3 is never closed."),
        ("q )", "The ) at column 3 closes nothing."),
        ("q 'a b", "The ' at column 3 is never closed."),
        ("q {'a b}", "The ' at column 4 is never closed."),
        ("q '''a'", "The ''' at column 3 is never closed."),
        ("q 'a\\", "The ' at column 3 is never closed."),
    ],
)
def test_a_missing_half_is_named_with_its_column(line: str, message: str) -> None:
    assert complaint(line) == message


@given(st.text() | st.text(alphabet="ab fr'\"\\()[]{}=- \n#"))
def test_any_line_falls_into_words_or_is_a_usage_error(line: str) -> None:
    try:
        words = split_line(line)
    except UsageError:
        return
    for before, after in itertools.pairwise(words):
        assert line[before.end : after.start].isspace()
    for word in words:
        assert line[word.start : word.end] == word.text or line[word.end - 1] in "'\""


values = st.recursive(
    st.integers() | st.text() | st.binary(), lambda inner: st.lists(inner) | st.tuples(inner, inner)
)


@settings(max_examples=50)
@given(st.lists(values, max_size=5))
def test_python_literals_in_brackets_are_one_word(value: object) -> None:
    assert texts(f"q {value!r} x") == ["q", repr(value), "x"]


# Payloads


def evaluate(text: str) -> object:
    row = {"a": 1}
    return eval(text, {"row": row, "bad": HostileError})


class HostileError(Exception):
    def __init__(self) -> None:
        raise self

    def __str__(self) -> str:
        raise RuntimeError


def problem(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        read_payload(text, evaluate)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("text", ['{"a": [1, null, true]}', ' {"a": 1}\n', "[1]", "1", '"a"'])
def test_json_comes_first(text: str) -> None:
    assert read_payload(text, lambda _: pytest.fail("evaluated")) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{'a': None}", {"a": None}),
        ("  row", {"a": 1}),
        ("dict(x=row['a'],\n  y=2)", {"x": 1, "y": 2}),
    ],
)
def test_what_is_not_json_is_a_python_expression(text: str, expected: object) -> None:
    assert read_payload(text, evaluate) == expected


def test_what_looks_like_json_is_told_the_column() -> None:
    assert problem('{"a": 1, "b" 2}').startswith(
        "The payload is neither JSON (Expecting ':' delimiter at column 14) nor Python ("
    )
    assert "at line 2 column 6)" in problem('{"a": 1,\n "b" 2}')


def test_what_does_not_look_like_json_is_told_both_reasons() -> None:
    assert problem("a b").startswith("The payload is neither JSON (Expecting value) nor Python (")


def test_an_unknown_name_is_named() -> None:
    assert "nor Python (NameError: name 'rows' is not defined" in problem("{'a': rows}")


@pytest.mark.parametrize(
    ("name", "python"), [("true", "True"), ("false", "False"), ("null", "None")]
)
def test_the_names_of_json_get_a_hint(name: str, python: str) -> None:
    assert f"'{name}' is not defined" in problem(f"{{'a': {name}}}")
    assert f"it is {python} in Python" in problem(f"{{'a': {name}}}")


def test_what_the_users_code_raised_is_named() -> None:
    assert problem("row['x']") == "The payload expression raised KeyError: 'x'"
    assert problem("1/0") == "The payload expression raised ZeroDivisionError: division by zero"
    assert "HostileError" in problem("bad()")


def test_a_missing_payload_is_told_so() -> None:
    assert problem("  \n") == "The payload is missing: give JSON or a Python expression."


@pytest.mark.parametrize("text", ["[" * 100_000, "(" * 100, "1" * 5_000, "\0", "lambda", "x := 1"])
def test_monstrous_payloads_are_usage_errors(text: str) -> None:
    assert len(problem(text)) < 600


@given(st.text(alphabet="[]{}()\"':,ab01. \\\n\0é"))
def test_any_text_is_a_value_or_a_usage_error(text: str) -> None:
    with contextlib.suppress(UsageError):
        read_payload(text, lambda expression: compile(expression, "<payload>", "eval"))
