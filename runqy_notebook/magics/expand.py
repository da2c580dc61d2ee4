"""Filling in `{expression}` and `$name`, as other magics do, in all words but payloads.

IPython's own expansion is off for `%runqy`: it mangles the braces of a dict, and leaves a whole
line as it is where one name is unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from runqy_notebook.errors import UsageError, one_line
from runqy_notebook.magics.words import Word

_IN_BRACES = re.compile(r"\{([^{}]+)\}")
_NAME = re.compile(r"\$([A-Za-z_]\w*(?:\.\w+)*)")


def expanded(word: Word, evaluate: Callable[[str], object]) -> str:
    """The word's text, each {expression} in it, or the $name it is, replaced by its value.

    A quoted word stays as it is. Raises UsageError for an expression that fails.
    """
    if name := _NAME.fullmatch(word.text):
        return word.text if word.is_quoted else _value(name, evaluate)
    if not word.is_expression or _is_url(word.text):  # a URL's password is nobody's expression
        return word.text
    return _IN_BRACES.sub(lambda found: _value(found, evaluate), word.text)


def _is_url(text: str) -> bool:
    return "://" in text.partition("{")[0]


def _value(found: re.Match[str], evaluate: Callable[[str], object]) -> str:
    try:
        return str(evaluate(found[1].strip()))
    except Exception as error:
        problem = one_line(f"{type(error).__name__}: {error}")
        raise UsageError(f"{one_line(found[0], 80)} cannot be filled in: {problem}.") from error
