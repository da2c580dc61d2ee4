"""The words of a `%runqy` line, and the payload that one of them spells.

A word ends at white space outside of brackets and quotes, so that `{"pixels": [1, 2]}`,
`dict(a=1, b="x y")` and `--opt={"a": 1}` are one word each. `#` starts no comment.
"""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from runqy_notebook.errors import UsageError, one_line

_OPENED_BY = {")": "(", "]": "[", "}": "{"}
_OPENING = frozenset(_OPENED_BY.values())

# A quote opens a string unless it stands in a bare word: don't. What may come before it is
# nothing, anything but a letter or a digit, and a prefix of strings after that.
_BEFORE_A_STRING = re.compile(r"(?:^|\W)[rRbBuUfF]{0,2}\Z")

# 'my id' and --id='my id', whole; a backslash protects the quote and itself, nothing else, as
# 'C:\new' would not survive Python's rules.
_QUOTED = re.compile(r"(--?[A-Za-z][\w-]*=)?('''|\"\"\"|'|\")(.*)\2", re.DOTALL)
_ESCAPED = re.compile(r"\\([\\'\"])")

_AS_IN_OTHER_MAGICS = re.compile(r"\{\s*([A-Za-z_][\w.]*)\s*\}|\$([A-Za-z_][\w.]*)")
_ELSEWHERE = {"true": "True", "false": "False", "null": "None"}


@dataclass(frozen=True, slots=True)
class Word:
    """One word; `line[start:end]` is how it was typed.

    `text` is that, less the quotes of a plainly quoted value. `is_expression` tells of a bracket
    outside of quotes.
    """

    text: str
    start: int
    end: int
    is_expression: bool

    @property
    def is_quoted(self) -> bool:
        """Whether it stood in quotes, which are gone."""
        return len(self.text) < self.end - self.start


def split_line(line: str) -> list[Word]:
    """The words of `line`; UsageError for a bracket or quote without its other half."""
    words: list[Word] = []
    at = _skip_space(line, 0)
    while at < len(line):
        word = _word(line, at)
        words.append(word)
        at = _skip_space(line, word.end)
    return words


def _skip_space(line: str, at: int) -> int:
    while at < len(line) and line[at].isspace():
        at += 1
    return at


def _word(line: str, start: int) -> Word:
    at, is_expression = start, False
    strings: list[int] = []  # where each begins
    open_at: list[int] = []  # where each bracket stands that is open
    while at < len(line) and (open_at or not line[at].isspace()):
        char = line[at]
        if char in "'\"" and (open_at or _BEFORE_A_STRING.search(line[max(0, at - 3) : at])):
            strings.append(at)
            at = _string_end(line, at)
            continue
        if char in _OPENING:
            open_at.append(at)
            is_expression = True
        elif char in _OPENED_BY:
            _close(line, open_at, at)
        at += 1
    if open_at:
        raise UsageError(f"The {line[open_at[-1]]} at column {open_at[-1] + 1} is never closed.")
    return Word(_unquoted(line[start:at], len(strings)), start, at, is_expression)


def _string_end(line: str, start: int) -> int:
    quote = line[start] * (3 if line.startswith(line[start] * 3, start) else 1)
    at = start + len(quote)
    while at < len(line):
        if line.startswith(quote, at):
            return at + len(quote)
        at += 2 if line[at] == "\\" else 1
    raise UsageError(f"The {quote} at column {start + 1} is never closed.")


def _close(line: str, open_at: list[int], at: int) -> None:
    if not open_at:
        raise UsageError(f"The {line[at]} at column {at + 1} closes nothing.")
    opened = open_at.pop()
    if line[opened] != _OPENED_BY[line[at]]:
        raise UsageError(
            f"The {line[at]} at column {at + 1} closes nothing: "
            f"the {line[opened]} at column {opened + 1} is still open."
        )


def _unquoted(typed: str, n_strings: int) -> str:
    """`typed`, less the quotes where all of it, or of an option's value, is one plain string."""
    quoted = _QUOTED.fullmatch(typed)
    if quoted is None or n_strings != 1:
        return typed
    option, _, content = quoted.groups()
    return (option or "") + _ESCAPED.sub(r"\1", content)


def read_payload(text: str, evaluate: Callable[[str], object]) -> object:
    """The value that `text` spells as JSON or, failing that, as a Python expression.

    `evaluate` runs the expression where the user's names are. Raises nothing but UsageError,
    which tells what JSON and Python have against the text, or what the user's code raised.
    """
    if not text.strip():
        raise UsageError("The payload is missing: give JSON or a Python expression.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        not_json = _json_problem(text, error)
    try:
        return evaluate(text.strip())
    except SyntaxError as error:
        not_python = one_line(error.msg or "invalid syntax")
    except NameError as error:
        not_python = _name_problem(error)
    except Exception as error:
        problem = f"The payload expression raised {_type_and_message(error)}"
        raise UsageError(_with_hint(problem, text)) from error
    problem = f"The payload is neither JSON ({not_json}) nor Python ({not_python})."
    raise UsageError(_with_hint(problem, text))


def _with_hint(problem: str, text: str) -> str:
    """The problem and, for {name} and $name, which other magics fill in, what to write instead."""
    found = _AS_IN_OTHER_MAGICS.fullmatch(text.strip())
    if found is None:
        return problem
    return f"{problem.rstrip('.')}. Write the name alone: {found[1] or found[2]}"


def _json_problem(text: str, error: Exception) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return "nested too deeply" if isinstance(error, RecursionError) else "a huge number"
    problem = error.msg.rstrip(" :")
    if text.lstrip()[0] not in '{["':
        return problem
    line = f"line {error.lineno} " if "\n" in text.strip() else ""
    return f"{problem} at {line}column {error.colno}"


def _name_problem(error: NameError) -> str:
    hint = _ELSEWHERE.get(error.name or "")
    return _type_and_message(error) + (f"; it is {hint} in Python" if hint else "")


def _type_and_message(error: Exception) -> str:
    # Not str(error), which is the user's code and may raise too.
    return one_line("".join(traceback.format_exception_only(error)))
