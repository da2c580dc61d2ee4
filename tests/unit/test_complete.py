"""What Tab offers, asked without a kernel: no connection, the names of a notebook."""

from __future__ import annotations

from typing import Any

import pytest
from IPython.core.completer import CompletionContext

from runqy_notebook.magics.complete import matcher
from runqy_notebook.magics.grammar import all_commands
from runqy_notebook.tasks import task
from runqy_notebook.wire.states import State

MATCH = matcher(all_commands(), {"my_row": 1, "other": 2})


def asked(line: str) -> Any:
    return MATCH(CompletionContext("", line, len(line), 0, 100))


def offered(line: str) -> list[str]:
    return [found.text for found in asked(line)["completions"]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("%runqy worker re", ["resume"]),
        ("x = %runqy act", ["active"]),
        ("\t%runqy dis", ["disconnect"]),
        ("%%runqy ", ["enqueue"]),
        ("%runqy help worker p", ["pause"]),
        ("%runqy tasks --state ", [state.value for state in State]),
        ("%runqy tasks --limit 5 --st", ["--state"]),
        ("%runqy tasks --limit=5 q --st", ["--state"]),
        ("%runqy tasks --limit ", []),
        ("%runqy worker start --lease 5 --st", ["--store-results"]),
        ("%runqy worker start --store-results --st", []),
        ("%runqy disconnect x ", []),
        ("%runqy enqueue q {'a b': 1} --st", ["--store"]),
        ("%runqy enqueue q my", ["my_row"]),
        ("%runqy wrong ", []),
    ],
)
def test_what_is_offered(line: str, words: list[str]) -> None:
    assert offered(line) == words


@pytest.mark.parametrize(
    "line",
    [
        "%runqyx p",
        "%runqy",
        "runqy p",
        "print('%runqy p",
        "%time %runqy p",
        "%runqy enqueue q {'a': my",
        "%runqy enqueue q 'my ro",
        "%runqy enqueue q my_row.x",
        "%runqy worker start --config my",
        "%runqy connect my",
    ],
)
def test_where_ipython_knows_better_we_stand_back(line: str) -> None:
    assert asked(line) == {"completions": [], "suppress": False}


def test_an_answer_is_nobody_elses() -> None:
    asked("x")["matched_fragment"] = "written by IPython"

    assert "matched_fragment" not in asked("x")


def test_queues_of_handlers_are_offered_without_a_connection() -> None:
    task(queue="images")(lambda payload: None)

    assert offered("%runqy pending im") == ["images"]
    assert offered("%runqy worker start other i") == ["images"]
