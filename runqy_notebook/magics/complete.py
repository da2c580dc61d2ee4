"""Tab completion of `%runqy` lines: commands, options, their values, queue names, task ids."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from IPython.core.completer import SimpleCompletion, context_matcher

from runqy_notebook import current
from runqy_notebook.errors import RunqyError
from runqy_notebook.magics.parser import Command
from runqy_notebook.tasks import REGISTRY

_LINE = re.compile(r"^(?:[^%]*=\s*|\s*(?:await\s+)?)%{1,2}runqy\s+(?P<typed>.*)$")


def matcher(commands: list[Command]) -> Any:
    """A completer's matcher for lines of these commands; it never raises."""

    @context_matcher(identifier="runqy_notebook")  # type: ignore[untyped-decorator]
    def runqy_matcher(context: Any) -> Any:
        found = _LINE.match(context.text_until_cursor)
        if not found:
            return {"completions": [], "suppress": False}
        typed = found["typed"]
        fragment = re.split(r"\s", typed)[-1]
        try:
            texts = list(_candidates(commands, typed[: len(typed) - len(fragment)], fragment))
        except RunqyError:
            texts = []  # Redis is away: nothing to offer, nothing to say
        return {
            "completions": [
                SimpleCompletion(text=text, type="runqy")
                for text in dict.fromkeys(texts)
                if text.startswith(fragment)
            ],
            "matched_fragment": fragment,
            "suppress": True,
        }

    return runqy_matcher


def _candidates(commands: list[Command], before: str, fragment: str) -> Iterable[str]:
    words = before.split()
    for command in commands:
        if tuple(words[: len(command.words)]) == command.words:
            return _arguments(command, words[len(command.words) :], fragment)
    depth = len(words)
    return [
        c.words[depth] for c in commands if len(c.words) > depth and list(c.words[:depth]) == words
    ]


def _arguments(command: Command, words: list[str], fragment: str) -> Iterable[str]:
    values = command.parser.option_values(words[-1]) if words and words[-1][:1] == "-" else None
    if values is not None:
        return values
    if fragment.startswith("-"):
        return command.parser.options()
    positionals = command.parser.positionals()
    given = _given(command, words)
    if not positionals or (given >= len(positionals) and positionals[-1].nargs not in ("*", "+")):
        return command.parser.options()
    return _values(positionals[min(given, len(positionals) - 1)].dest, fragment)


def _given(command: Command, words: list[str]) -> int:
    """How many positional words there are already."""
    count, skip = 0, False
    for word in words:
        if skip:
            skip = False
        elif word.startswith("-"):
            skip = command.parser.option_values(word) is not None
        else:
            count += 1
    return count


def _values(kind: str, fragment: str) -> Iterable[str]:
    if not current.has_session():
        return []
    if kind == "queue":
        known = current.session().known_queues()
        return [*REGISTRY.queues(), *known]
    if kind == "id":
        return current.session().find_tasks(fragment)
    return []
