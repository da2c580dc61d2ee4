"""What `%runqy help` prints and `%runqy?` shows."""

from __future__ import annotations

from collections.abc import Sequence

from runqy_notebook.magics.parser import Command, find

_OVERVIEW = """A task queue you can hold in a notebook cell.

{commands}

%runqy help COMMAND tells its options.

PAYLOAD is a JSON object or a Python expression: {{"pixels": row}}, dict(x=1), df; a list or a
DataFrame enqueues a task for each item. It may contain spaces and stand before or after options.
%%runqy enqueue QUEUE takes it from the cell's body: JSON, JSON lines, or a Python expression.
QUEUE is one queue, or a parent queue with all its sub-queues (inference: inference_high, ...).
DURATION is seconds, or 500ms, 10m, 1h30m. TIME is 18:30, or 2030-01-31T18:30.
Elsewhere than in payloads {{expression}} and $name are filled in: %runqy task {{t.id}}.

    t = %runqy enqueue inference {{"x": 1}}      a handle: await t, t.result(timeout=10), t.state
    %runqy worker start inference              runs @task handlers of this notebook
    df.runqy.map("inference")                  a task for each row; their results as a DataFrame
    %config Runqy.concurrency = 4              settings; %config Runqy lists them
"""

_ASKING = ("help", "--help", "-h")


def overview(commands: Sequence[Command]) -> str:
    """Every command, a line each, and what the words in capitals stand for."""
    return _OVERVIEW.format(commands=_table(commands))


def help_asked_for(commands: Sequence[Command], words: Sequence[str]) -> str | None:
    """The help that a line asks for; None where it names a command to be done.

    No word at all asks for the overview, half a command ("worker") for what may follow. Raises
    UsageError for help on a command that there is not.
    """
    for at, word in enumerate(words):
        if word in _ASKING[1:] or (at == 0 and word == "help"):
            return _help_on(commands, words[:at] or words[at + 1 :])
    is_half = any(c.words[: len(words)] == tuple(words) != c.words for c in commands)
    return _help_on(commands, words) if is_half else None


def _help_on(commands: Sequence[Command], words: Sequence[str]) -> str:
    if not words:
        return overview(commands)
    group = [c for c in commands if c.words[: len(words)] == tuple(words[: len(c.words)])]
    if len(group) > 1:
        return _table(group)
    return (group[0] if group else find(commands, words)).parser.format_help()


def _table(commands: Sequence[Command]) -> str:
    width = max(len(command.synopsis) for command in commands)
    return "\n".join(f"  %runqy {c.synopsis:{width}}  {c.help}" for c in commands)
