"""Printed text as lines."""

from __future__ import annotations

import pytest

from runqy_notebook.worker.screen import LONGEST_LINE, Screen


def shown(*texts: str) -> list[str]:
    lines: list[str] = []
    screen = Screen(lines.append, lambda: lines.pop() if lines else None)
    for text in texts:
        screen.feed(text)
    screen.end()
    return lines


@pytest.mark.parametrize(
    ("texts", "lines"),
    [
        (("a\nb\n",), ["a", "b"]),
        (("a", "b", "\n", "c"), ["ab", "c"]),
        (("one\r\ntwo\r\n",), ["one", "two"]),
        (("\r 10%", "\r 50%", "\r100%", "\n"), ["100%"]),
        (("\n\n",), ["", ""]),
        (("\x1b[31mred\x1b[0m\n",), ["red"]),
        (("\x1b]0;title\x07text\n",), ["text"]),
        (("wrong\x1b[2K\rright\n",), ["right"]),
        (("a\x07\x00b\u202ec\td\n",), ["abc\td"]),
        (("a\u00a0b\u2028c\n",), ["a b c"]),
        (("\ud800x\n",), ["x"]),
    ],
    ids=repr,
)
def test_text_becomes_the_lines_that_a_terminal_shows(
    texts: tuple[str, ...], lines: list[str]
) -> None:
    assert shown(*texts) == lines


def test_nested_bars_stay_two_lines() -> None:
    outer = ["\r outer 0", "\n", "\r inner 1", "\x1b[A", "\n", "\r inner 2", "\x1b[A", "\r outer 1"]

    assert shown(*outer) == [" outer 1", " inner 2"]


def test_the_start_of_an_endless_line_stays_with_the_length_of_the_rest() -> None:
    (line,) = shown("x" * 1_000, "y" * 1_000_000, "\n")

    assert line == "x" * 1_000 + "y" * (LONGEST_LINE - 1_000) + "… (999000 more characters)"
