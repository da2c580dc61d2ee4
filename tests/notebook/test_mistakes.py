"""What people mistype: one sentence each, with a reply that stops papermill and nbclient."""

from __future__ import annotations

import pytest

from tests.notebook.kernels import Kernel


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("%runqy enqeue q {}", "There is no command 'enqeue'. Did you mean 'enqueue'?"),
        ("%runqy frobnicate", "There is no command 'frobnicate'. The commands are connect, "),
        ("%runqy worker strat q", "not 'strat'. Did you mean 'start'?"),
        ("%runqy help nothing", "There is no command 'nothing'."),
        ("%%runqy pending\nbody", "takes no body"),
        ("%%runqy\nbody", "There is no command ''."),
        ("%runqy enqueue", "Missing: QUEUE."),
        ("%runqy task", "Missing: ID."),
        ("%runqy enqueue q {} --tiemout 5", "'--tiemout' is not understood here. Did you mean '--"),
        ("%runqy pending --limt=5", "Did you mean '--limit'?"),
        ("%runqy pending --limit -1", "--limit"),
        ("%runqy pending --limit none", "'none' is not a whole number from 1"),
        ("%runqy enqueue q {} --in soon", "'soon' is not a duration; write seconds, or 500ms"),
        ("%runqy enqueue q {} --at noon", "'noon' is not a moment; write 18:30"),
        ("%runqy tasks --state complet", "Did you mean 'completed'?"),
        ("%runqy enqueue q {} {}", "'{}' is not understood here."),
        ("%runqy connect redis://x --embedded", "not both"),
        ("%runqy worker pause", "No worker is running in this kernel"),
        ("%runqy worker start", "No queue to serve"),
    ],
)
def test_a_mistyped_command_is_told_what_was_meant(kernel: Kernel, cell: str, said: str) -> None:
    line = kernel.fail(cell)

    assert said in line
    assert line.split(": ")[0] in ("UsageError", "HandlerError")


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("", "The payload is missing."),
        ('{"a": 1', "The { at column 11 is never closed."),
        ('{"a": 1, "b" 2}', "neither JSON (Expecting ':' delimiter at column 14) nor Python"),
        ("{'a': nope}", "NameError: name 'nope' is not defined"),
        ("{'a': true}", "it is True in Python"),
        ("1/0", "raised ZeroDivisionError: division by zero"),
        ("{row}", "Write the name alone: row"),
        ("$row", "Write the name alone: row"),
        ("row | row", "A payload with spaces stands in brackets"),
        ("5", "payload: an int is not a JSON object"),
        ('"text"', "payload: a str is not a JSON object"),
        ("None", "payload: None is not a JSON object"),
        ("[1, 2]", "payloads[0]: an int is not a JSON object"),
        ("[{'a': 1}, 'x']", "payloads[1]: a str is not a JSON object"),
        ("{'a': {'b': object()}}", "payload['a']['b']"),
    ],
)
def test_a_payload_that_is_none_is_told_why(kernel: Kernel, payload: str, said: str) -> None:
    kernel.run("row = {'x': 1}")

    assert said in kernel.fail(f"%runqy enqueue q {payload}")
    assert kernel.run("frame = %runqy tasks\nlen(frame)").value == "0"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("\n", "The payload is missing."),
        ('{"a": 1}\n{"a": 2\n{"a": 3}', "Line 2 of the body is not JSON"),
        ('{"a": 1}\n\n5', "Line 3 of the body is not a JSON object"),
        ('{"a":\n 1,,}', "at line 2 column 4"),
    ],
)
def test_a_broken_body_is_told_where(kernel: Kernel, body: str, said: str) -> None:
    assert said in kernel.fail(f"%%runqy enqueue q\n{body}")


def test_a_payload_on_the_line_and_in_the_body_is_one_too_many(kernel: Kernel) -> None:
    assert "not both" in kernel.fail('%%runqy enqueue q {"a": 1}\n{"a": 2}')


@pytest.mark.parametrize("command", ["pending", "active", "tasks", "queues"])
def test_an_unknown_queue_is_named_with_the_known_ones(kernel: Kernel, command: str) -> None:
    kernel.run("%runqy enqueue images {'n': 1}")

    line = kernel.fail(f"%runqy {command} image")

    assert line.startswith("UnknownQueueError: No queue 'image'")
    assert "images" in line


@pytest.mark.parametrize("command", ["task nope", "result nope", "wait nope"])
def test_an_unknown_task_is_named(kernel: Kernel, command: str) -> None:
    assert kernel.fail(f"%runqy {command}").startswith("UnknownTaskError: No task 'nope'")


@pytest.mark.parametrize("cell", ["%runqy task {gone.id}", "%runqy task $gone"])
def test_a_name_that_cannot_be_filled_in_is_named(kernel: Kernel, cell: str) -> None:
    line = kernel.fail(cell)

    assert "cannot be filled in: NameError: name 'gone' is not defined" in line


def test_an_impossible_queue_name_is_refused(kernel: Kernel) -> None:
    assert kernel.fail("%runqy enqueue 'my queue' {}").startswith("QueueNameError: 'my queue'")
    assert kernel.fail("%runqy worker start t").startswith("QueueNameError")


def test_the_id_of_an_unfinished_task_is_taken(kernel: Kernel) -> None:
    kernel.run("%runqy enqueue q {'n': 1} --id mine")

    line = kernel.fail("%runqy enqueue q {'n': 2} --id mine")

    assert line.startswith("TaskConflictError: Task 'mine' already exists and is pending.")
    assert "--unique" in line
    assert "one task" in kernel.fail("%runqy enqueue q [{}, {}] --id mine")


def test_a_lost_server_is_one_line(kernel: Kernel, tmp_path: object) -> None:
    kernel.run("t = %runqy enqueue q {'n': 1}")
    kernel.run("%runqy disconnect")
    kernel.run("%config Runqy.url = 'redis://127.0.0.1:1/0'")

    for cell in ("%runqy pending", "%runqy enqueue q {'n': 1}", "%runqy worker start q"):
        assert kernel.fail(cell).startswith("ConnectionFailedError: redis://127.0.0.1:1/0")
