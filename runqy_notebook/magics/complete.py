"""Tab completion of `%runqy` lines: commands, options, their values, queue names, task ids."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from IPython.core.completer import SimpleCompletion, context_matcher

from runqy_notebook import current
from runqy_notebook.errors import UsageError
from runqy_notebook.magics.parser import Command
from runqy_notebook.magics.words import split_line
from runqy_notebook.tasks import REGISTRY

PATIENCE = 0.5
"""Seconds that Tab waits for Redis: the kernel does nothing else meanwhile."""

_LINE = re.compile(r"^(?:[^%]*=\s*|\s*(?:await\s+)?)(?P<magic>%{1,2})runqy\s+(?P<typed>.*)$")

# What may stand in a line as it is; other ids (outsiders choose their own) would need quotes.
_PLAIN = re.compile(r"[^\s'\"()\[\]{}$-][^\s'\"()\[\]{}]*")


def matcher(commands: Sequence[Command], names: Iterable[str]) -> Any:
    """A completer's matcher for lines of these commands; it never raises. `names` are those of the
    notebook, for payloads: IPython itself offers them within brackets only.
    """

    @context_matcher(identifier="runqy_notebook")  # type: ignore[untyped-decorator]
    def runqy_matcher(context: Any) -> Any:
        found = _LINE.match(context.text_until_cursor)
        if not found:
            return _nothing()
        typed = found["typed"]
        fragment = re.split(r"\s", typed)[-1]
        among = [c for c in commands if c.takes_body or found["magic"] == "%"]
        try:
            before = [word.text for word in split_line(typed[: len(typed) - len(fragment)])]
        except UsageError:  # within the brackets or quotes of a payload
            return _nothing()
        texts = _candidates(among, before, fragment, names)
        if not before and found["magic"] == "%":
            texts = [*(texts or ()), "help"]
        return _nothing() if texts is None else _offer(texts, fragment)

    return runqy_matcher


def _offer(texts: Iterable[str], fragment: str) -> dict[str, Any]:
    return {
        "completions": [
            SimpleCompletion(text=text, type="runqy")
            for text in dict.fromkeys(texts)
            if text.startswith(fragment)
        ],
        "matched_fragment": fragment,
        "suppress": True,
    }


def _nothing() -> dict[str, Any]:
    return {"completions": [], "suppress": False}  # anew each time: IPython writes into it


def _candidates(
    commands: Sequence[Command], words: list[str], fragment: str, names: Iterable[str]
) -> Iterable[str] | None:
    """What could stand at the cursor; None where it is Python or a file, which IPython knows."""
    if words[:1] == ["help"]:
        words = words[1:]
    for command in commands:
        if tuple(words[: len(command.words)]) == command.words:
            return _arguments(command, words[len(command.words) :], fragment, names)
    depth = len(words)
    return [c.words[depth] for c in commands if c.words[:depth] == tuple(words) != c.words]


def _arguments(
    command: Command, words: list[str], fragment: str, names: Iterable[str]
) -> Iterable[str] | None:
    argument = command.parser.next_argument(words)
    is_value = argument is not None and bool(argument.option_strings)
    if argument is None or (fragment.startswith("-") and not is_value):
        return [option for option in command.parser.options() if option not in words]
    if argument.choices is not None:
        return map(str, argument.choices)
    if argument.dest == "payload":
        return names if fragment.isidentifier() else None
    if argument.dest in ("config", "url"):
        return None
    if argument.dest == "queue":
        return [*REGISTRY.queues(), *_soon(lambda: current.session().known_queues())]
    if argument.dest in ("webhook", "deliver_to"):
        return ["echo", *(current.session().destinations if current.has_session() else ())]
    if argument.dest == "id" and not is_value:
        ids = _soon(lambda: current.session().find_tasks(fragment))
        return [task_id for task_id in ids if _PLAIN.fullmatch(task_id)]
    return []


_looking: threading.Thread | None = None


def _soon(look: Callable[[], list[str]]) -> list[str]:
    """What `look` finds in Redis; nothing if it takes too long, fails, or an earlier look still
    hangs.
    """
    global _looking
    if not current.has_session() or (_looking is not None and _looking.is_alive()):
        return []
    found: list[str] = []

    def work() -> None:
        try:
            found.extend(look())
        except Exception:  # noqa: BLE001 - Redis is away: nothing to offer, nothing to say
            return

    _looking = threading.Thread(target=work, name="runqy-complete", daemon=True)
    _looking.start()
    _looking.join(PATIENCE)
    return list(found)
