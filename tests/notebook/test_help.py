"""Help and settings, as a notebook shows them."""

from __future__ import annotations

import pytest

from tests.notebook.kernels import Kernel, Ran


def paged(ran: Ran) -> str:
    (page,) = ran.reply["payload"]
    return str(page["data"]["text/plain"])


@pytest.mark.parametrize("cell", ["%runqy?", "%%runqy?", "?%runqy"])
def test_a_question_mark_shows_every_command(kernel: Kernel, cell: str) -> None:
    page = paged(kernel.run(cell))

    assert "A task queue you can hold in a notebook cell." in page
    for command in ("connect", "enqueue", "worker start", "pending", "task", "result", "wait"):
        assert f"%runqy {command} " in page


@pytest.mark.parametrize("cell", ["%runqy", "%runqy help", "%runqy --help", "%runqy -h"])
def test_no_command_at_all_prints_the_same(kernel: Kernel, cell: str) -> None:
    ran = kernel.run(cell)

    assert ran.stdout.startswith("A task queue you can hold in a notebook cell.")
    assert max(map(len, ran.stdout.splitlines())) <= 120
    assert set(ran.outputs) == {"stream"}


@pytest.mark.parametrize("cell", ["%runqy worker", "%runqy help worker", "%runqy worker --help"])
def test_half_a_command_lists_what_may_follow(kernel: Kernel, cell: str) -> None:
    lines = kernel.run(cell).stdout.splitlines()

    words = [line.split()[:3] for line in lines]
    assert words == [
        ["%runqy", "worker", word] for word in ("start", "stop", "pause", "resume", "status")
    ]


@pytest.mark.parametrize(
    "cell", ["%runqy help enqueue", "%runqy enqueue --help", "%runqy enqueue q {} -h"]
)
def test_help_on_a_command_explains_each_option(kernel: Kernel, cell: str) -> None:
    told = kernel.run(cell).stdout

    assert "--max-retry N" in told
    assert "retries after a failure" in told
    assert kernel.run("frame = %runqy tasks\nlen(frame)").value == "0"


def test_status_tells_connection_and_worker(kernel: Kernel) -> None:
    kernel.run("%runqy enqueue q {'n': 1}")
    idle = kernel.run("%runqy status").stdout
    kernel.run("%runqy worker start q")
    working = kernel.run("%runqy status").stdout
    kernel.run("%runqy disconnect")

    assert idle.startswith("Connected to redis://127.0.0.1:")
    assert ", 1 unfinished task.\nNo worker is running" in idle
    assert "running: serves q (q), 0 of 1 slots busy, 0 completed, 0 failed attempts." in working
    assert "no handler for q" in working
    assert kernel.run("%runqy status").stdout == "Not connected: %runqy connect.\n"


def test_disconnecting_says_what_it_ended(kernel: Kernel) -> None:
    kernel.run("%runqy worker start q")

    said = [kernel.run("%runqy disconnect").stdout for _ in range(2)]

    assert said == [
        "Disconnected and the worker stopped; the tasks stay in Redis.\n",
        "Not connected.\n",
    ]


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("typo = 1", "There is no setting 'typo'"),
        ("concurency = 4", "Did you mean 'concurrency'?"),
        ("concurrency = 'many'", "The setting concurrency wants a whole number"),
        ("lease = 0", "The setting lease must be at least 0.5"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_in_one_line(
    kernel: Kernel, setting: str, said: str
) -> None:
    before = kernel.run("%config Runqy").stdout

    refused = kernel.run(f"%config Runqy.{setting}").stderr

    assert said in refused
    assert refused.strip().count("\n") == 0
    assert kernel.run("%config Runqy").stdout == before


def test_a_refused_setting_does_not_stop_a_reload(kernel: Kernel) -> None:
    kernel.run("%config Runqy.typo = 1")
    kernel.run("%config Runqy.concurrency = 3")

    reloaded = kernel.run("%reload_ext runqy_notebook").stdout.splitlines()

    assert len(reloaded) == 2
    assert "There is no setting 'typo'" in reloaded[0]
    assert reloaded[1].startswith("redis://")
    assert kernel.run("%config Runqy.concurrency").value == "3"


def test_the_settings_are_listed_with_help_and_without_passwords(kernel: Kernel) -> None:
    kernel.run("%config Runqy.url = 'redis://:' + 'ge' 'heim' + '@127.0.0.1/0'")
    kernel.run("%config Runqy.concurrency = '4'")

    listed = kernel.run("%config Runqy").stdout

    assert "Runqy.concurrency = 4\n" in listed
    assert "tasks that a worker runs at a time (default: 1)" in listed
    assert "Runqy.url = 'redis://:***@127.0.0.1/0'" in listed
    assert kernel.run("%config Runqy.url").value == "'redis://:***@127.0.0.1/0'"
    assert "geheim" not in listed
