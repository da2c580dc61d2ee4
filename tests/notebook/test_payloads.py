"""Payloads as people type them: on the line, in the cell, in a loop, in a function."""

from __future__ import annotations

import json
from typing import Any

import pytest
import redis as redis_py

from tests.notebook.kernels import Kernel


def enqueued(redis: redis_py.Redis) -> list[Any]:
    """The payloads of all tasks of the queue q, the oldest first."""
    ids: list[Any] = redis.lrange("asynq:q:pending", 0, -1)
    found = [redis.hget(b"asynq:t:" + task_id, "payload") for task_id in reversed(ids)]
    return [json.loads(payload or "") for payload in found]


@pytest.mark.parametrize(
    ("line", "payload"),
    [
        ('{"a": 1}', {"a": 1}),
        ('{"a": [1, {"b": "x y"}], "c": null}', {"a": [1, {"b": "x y"}], "c": None}),
        ("""{"note": "it's {fine} & $HOME"}""", {"note": "it's {fine} & $HOME"}),
        ("{'a': (1, 2), 'it': \"don't\"}", {"a": [1, 2], "it": "don't"}),
        ("dict(a=1, b=[2, 3])", {"a": 1, "b": [2, 3]}),
        ("{**row, 'n': len(row)}", {"x": 7, "n": 1}),
        ("row", {"x": 7}),
        ("rows[0]", {"x": 1}),
        ("{k: v * 2 for k, v in row.items()}", {"x": 14}),
        ("{'f': f'{row[\"x\"]:03d}'}", {"f": "007"}),
        ("{'when': when, 'size': size}", {"when": "2030-01-31T18:30:00", "size": 2.5}),
        ('{"a": "#1;"}', {"a": "#1;"}),
        ('{"umlaut": "ä", "emoji": "🦆"}', {"umlaut": "ä", "emoji": "🦆"}),
    ],
)
@pytest.mark.parametrize("form", ["{0}", "{0} --max-retry 5", "--id mine --max-retry 5 {0}"])
def test_a_payload_stands_before_or_after_options(
    kernel: Kernel, redis: redis_py.Redis, form: str, line: str, payload: object
) -> None:
    kernel.run(
        "import datetime, numpy\nrow, rows = {'x': 7}, [{'x': 1}]\n"
        "when, size = datetime.datetime(2030, 1, 31, 18, 30), numpy.float32(2.5)"
    )

    kernel.run(f"t = %runqy enqueue q {form.format(line)}")

    assert enqueued(redis) == [payload]


def test_a_semicolon_at_the_end_is_no_part_of_it(kernel: Kernel, redis: redis_py.Redis) -> None:
    kernel.run("t = %runqy enqueue q {'a': 1};")
    kernel.run("%runqy enqueue q {'a': 2} --max-retry 1 ;")

    assert enqueued(redis) == [{"a": 1}, {"a": 2}]
    assert kernel.run("t.state").value == "'pending'"


@pytest.mark.parametrize(
    ("body", "payloads"),
    [
        ('{"a": 1}', [{"a": 1}]),
        ('\n{\n  "a": [1,\n 2]\n}\n', [{"a": [1, 2]}]),
        ('{"a": 1}\n{"a": 2}\n\n{"a": 3}\n', [{"a": 1}, {"a": 2}, {"a": 3}]),
        ('[{"a": 1}, {"a": 2}]', [{"a": 1}, {"a": 2}]),
        ("[{'n': n}\n for n in range(3)]", [{"n": 0}, {"n": 1}, {"n": 2}]),
        ("dict(\n  a=1,\n)", [{"a": 1}]),
        ("frame", [{"n": 1, "word": "a"}, {"n": 2, "word": None}]),
        ("frame.iloc[0]", [{"n": 1, "word": "a"}]),
        ("({'n': n} for n in frame.n)", [{"n": 1}, {"n": 2}]),
        ('{"brace": "{frame} $frame"}', [{"brace": "{frame} $frame"}]),
    ],
)
def test_the_body_of_a_cell_is_one_payload_or_many(
    kernel: Kernel, redis: redis_py.Redis, body: str, payloads: list[Any]
) -> None:
    kernel.run("import pandas as pd\nframe = pd.DataFrame({'n': [1, 2], 'word': ['a', None]})")

    ran = kernel.run(f"%%runqy enqueue q --max-retry 1\n{body}")

    assert enqueued(redis) == payloads
    assert ran.value


def test_a_dataframe_on_the_line_is_a_task_for_each_row(
    kernel: Kernel, redis: redis_py.Redis
) -> None:
    kernel.run("import pandas as pd\nframe = pd.DataFrame({'n': range(1200)})")

    ran = kernel.run("g = %runqy enqueue q frame\nlen(g)")

    assert ran.value == "1200"
    assert enqueued(redis) == [{"n": n} for n in range(1200)]


def test_a_loop_and_a_function_see_their_own_names(kernel: Kernel, redis: redis_py.Redis) -> None:
    kernel.run("for n in range(2):\n    %runqy enqueue q {'n': n} --id loop{n}")
    kernel.run(
        "def submit(n):\n"
        "    offset = 10\n"
        "    t = %runqy enqueue q [{'n': n + offset} for _ in range(2)]\n"
        "    return t\n"
        "g = submit(5)"
    )

    assert [p["n"] for p in enqueued(redis)] == [0, 1, 15, 15]
    assert redis.exists("asynq:t:loop0", "asynq:t:loop1") == 2


def test_options_reach_the_task(kernel: Kernel, redis: redis_py.Redis) -> None:
    kernel.run("%runqy enqueue q {} --id 'my id' --max-retry 0 --timeout 1m30s --type resize")
    kernel.run("%runqy enqueue q {} --id later --in 1h --store")

    fields = redis.hgetall("asynq:t:my id")
    assert (fields[b"max_retry"], fields[b"timeout"], fields[b"type"]) == (b"0", b"90", b"resize")
    assert redis.hget("asynq:t:later", "store") == b"1"
    assert redis.zrange("asynq:q:scheduled", 0, -1) == [b"later"]


@pytest.mark.parametrize("line", ["{'n': 1} --unique", "--unique {'n': 1}", "{'n': 1} --unique k"])
def test_a_unique_task_is_given_back_when_the_cell_is_run_again(
    kernel: Kernel, redis: redis_py.Redis, line: str
) -> None:
    first = kernel.run(f"t = %runqy enqueue q {line}\nt.id").value
    second = kernel.run(f"t = %runqy enqueue q {line}\nt.id").value

    assert first == second
    assert redis.llen("asynq:q:pending") == 1


def test_waiting_gives_the_result_itself(kernel: Kernel) -> None:
    kernel.run("from runqy_notebook import task\n@task\ndef act(payload): return payload['n'] * 2")
    kernel.run("%runqy worker start q")

    assert kernel.run("%runqy enqueue q {'n': 4} --wait").value == "8"
    assert kernel.run("x = %runqy enqueue q [{'n': 1}, {'n': 2}] --wait\nx").value == "[2, 4]"
