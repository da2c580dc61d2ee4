"""How the words of a `%runqy` line become arguments, and what help there is."""

from __future__ import annotations

import argparse
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runqy_notebook.errors import UsageError
from runqy_notebook.magics.expand import expanded
from runqy_notebook.magics.grammar import all_commands
from runqy_notebook.magics.help import help_asked_for, overview
from runqy_notebook.magics.parser import find, typed
from runqy_notebook.magics.values import count, count_or_zero, duration, moment, one_of
from runqy_notebook.magics.words import split_line

COMMANDS = all_commands()
NAMES = {"row": {"x": 1}, "level": "high", "n": 3}


def evaluate(text: str) -> object:
    return eval(text, {}, NAMES)


def parsed(line: str) -> dict[str, Any]:
    words = typed(line)
    command = find(COMMANDS, [word.text for word in words])
    arguments = command.parse(words[len(command.words) :], evaluate)
    return {name: value for name, value in arguments.items() if value not in (None, False)}


def complaint(line: str) -> str:
    with pytest.raises(UsageError) as caught:
        parsed(line)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Lines


@pytest.mark.parametrize(
    "line",
    [
        "enqueue q {'a': [1, 2]} --max-retry 5 --id 'my id'",
        "enqueue --max-retry 5 q --id='my id' {'a': [1, 2]}",
        "enqueue --id 'my id' --max-retry=5 q {'a': [1, 2]};",
        "  enqueue q --max-retry 5 {'a': [1, 2]} --id 'my id' ; ",
    ],
)
def test_options_stand_anywhere(line: str) -> None:
    assert parsed(line) == {
        "queue": "q",
        "payload": "{'a': [1, 2]}",
        "max_retry": 5,
        "id": "my id",
    }


def test_names_are_filled_in_except_in_payloads() -> None:
    line = "enqueue inference_{level} {row} --id {level}{n} --max-retry {n} --type $level"

    assert parsed(line) == {
        "queue": "inference_high",
        "payload": "{row}",
        "id": "high3",
        "max_retry": 3,
        "type": "high",
    }


@pytest.mark.parametrize(
    "text", ["plain", "$5", "a$level", "'{level}'", "'$level'", "redis://:{level}@host/0", "{}"]
)
def test_what_is_quoted_a_url_or_no_name_stays_as_it_is(text: str) -> None:
    (word,) = split_line(text)

    assert expanded(word, evaluate) == text.strip("'")


@pytest.mark.parametrize("text", ["{level.nope}", "{1/0}", "$gone", "{a b}", "{gone}"])
def test_what_cannot_be_filled_in_is_named(text: str) -> None:
    assert f"{text} cannot be filled in: " in complaint(f"task {text}")


def test_a_flag_that_may_take_a_key_takes_a_payload_as_it_is() -> None:
    assert parsed("enqueue q --unique {row}") == {"queue": "q", "unique": "{row}"}
    assert parsed("enqueue q {row} --unique") == {"queue": "q", "payload": "{row}", "unique": True}


@pytest.mark.parametrize(
    ("typed", "payload"),
    [("'{\"a\": 1}'", '{"a": 1}'), ('"[1]"', "[1]"), ("'a text'", "'a text'"), ("'x'", "'x'")],
)
def test_json_may_stand_in_quotes_and_a_text_keeps_them(typed: str, payload: str) -> None:
    assert parsed(f"enqueue q {typed} --unique 'a key'") == {
        "queue": "q",
        "payload": payload,
        "unique": "a key",
    }


def test_several_queues_and_ids_are_collected() -> None:
    assert parsed("worker start a b --concurrency 2 c")["queue"] == ["a", "b", "c"]
    assert parsed("wait a b")["id"] == ["a", "b"]


@given(st.text() | st.text(alphabet="abq {}[]'\"-=$\\ enqueue"))
def test_any_line_is_arguments_or_one_sentence(line: str) -> None:
    def nothing(text: str) -> object:
        raise LookupError(text)

    told = ""
    try:
        words = typed(f"enqueue {line}")
        find(COMMANDS, ["enqueue"]).parse(words[1:], nothing)
    except UsageError as error:
        told = str(error)
    assert "\n" not in told


# Values


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("0.5", 0.5), ("500ms", 0.5), ("10m", 600), ("1h30m", 5400), ("2d", 172_800)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "soon", "-1", "1x", "h1", "nan", "inf", "1e300", "99999999w", "9" * 400 + "d"]
)
def test_what_is_no_duration_says_how_to_write_one(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not a duration; write seconds"):
        duration(text)


def test_a_time_of_day_is_the_next_one() -> None:
    asked_at = datetime.now(timezone.utc)

    at = moment("18:30")

    assert (at.hour, at.minute, at.second) == (18, 30, 0)
    assert timedelta(0) < at - asked_at <= timedelta(days=1, hours=1)


def test_a_moment_keeps_its_zone() -> None:
    assert moment("2030-01-31T18:30:00Z") == datetime(2030, 1, 31, 18, 30, tzinfo=timezone.utc)
    assert moment("2030-01-31T18:30").tzinfo is not None


@pytest.mark.parametrize("text", ["", "noon", "25:00", "2030-13-01", "18:30:99"])
def test_what_is_no_moment_says_how_to_write_one(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="write 18:30 or 2030-01-31T18:30"):
        moment(text)


@pytest.mark.parametrize("text", ["", "-1", "1.5", "many", "1" * 10, "²", "٣"])
def test_counts_are_whole_numbers(text: str) -> None:
    assert (count("1"), count_or_zero("0")) == (1, 0)
    for read in (count, count_or_zero):
        with pytest.raises(argparse.ArgumentTypeError, match="is not a whole number from"):
            read(text)


def test_a_choice_is_guessed() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"none of red, green.*'green'\?"):
        one_of(["red", "green"])("gren")


# Mistakes and help


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("enqeue q", "There is no command 'enqeue'. Did you mean 'enqueue'?"),
        ("xyzzy", "The commands are connect, disconnect, "),
        ("worker strt", "not 'strt'. Did you mean 'start'?"),
        ("enqueue", "Missing: QUEUE. %runqy enqueue --help"),
        ("enqueue q {} --uniqe", "'--uniqe' is not understood here. Did you mean '--unique'?"),
        ("enqueue q {} --uniqe=5", "Did you mean '--unique'?"),
        ("enqueue q a + b", "A payload with spaces stands in brackets."),
        ("pending a b", "'b' is not understood here. %runqy pending --help"),
        ("enqueue q {} --id", "--id: expected one argument. %runqy enqueue --help"),
        ("pending --limit x", "--limit: 'x' is not a whole number from 1. %runqy pending --help"),
    ],
)
def test_mistakes_are_one_sentence_each(line: str, said: str) -> None:
    assert said in complaint(line)


@pytest.mark.parametrize("words", [[], ["help"], ["--help"], ["-h"]])
def test_no_command_asks_for_the_overview(words: list[str]) -> None:
    told = help_asked_for(COMMANDS, words)

    assert told == overview(COMMANDS)
    for command in COMMANDS:
        assert f"%runqy {command.synopsis} " in told


@pytest.mark.parametrize(
    "line", ["help pending", "pending --help", "pending images -h", "--help pending"]
)
def test_help_on_one_command(line: str) -> None:
    told = help_asked_for(COMMANDS, line.split())

    assert told is not None
    assert told.startswith("usage: %runqy pending [--limit N] [QUEUE]")
    assert "at most so many" in told


@pytest.mark.parametrize("line", ["worker", "help worker", "worker --help"])
def test_half_a_command_asks_for_what_may_follow(line: str) -> None:
    told = help_asked_for(COMMANDS, line.split())

    assert told is not None
    assert [text.split()[2] for text in told.splitlines()] == [
        "start",
        "stop",
        "pause",
        "resume",
        "status",
    ]


@pytest.mark.parametrize(
    "line", ["pending", "worker start", "worker strt", "xyzzy", "enqueue help"]
)
def test_a_command_to_be_done_asks_for_no_help(line: str) -> None:
    assert help_asked_for(COMMANDS, line.split()) is None


def test_every_option_is_explained() -> None:
    for command in COMMANDS:
        for action in command.parser._actions:
            assert action.help or action.dest == "id", (command.words, action.dest)
