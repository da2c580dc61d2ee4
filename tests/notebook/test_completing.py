"""Tab in a `%runqy` line, asked as a frontend asks it."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from runqy_notebook.magics.grammar import all_commands
from tests.notebook.kernels import Kernel
from tests.servers import running_server

PREFIXES = ["%runqy ", "  %runqy ", "x = %runqy ", "x=%runqy ", "a, b = %runqy ", "await %runqy "]


def offered(kernel: Kernel, code: str) -> list[str]:
    """The words that Tab offers at the end of `code`."""
    at = max(code.rfind(" "), code.rfind("\n")) + 1
    return [line[at:] for line in kernel.complete(code)]


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("pen", ["pending"]),
        ("wor", ["worker", "workers"]),
        ("worker st", ["start", "stop", "status"]),
        ("help wai", ["wait"]),
        ("pending images_high --l", ["--limit"]),
        ("tasks --state ", ["pending", "active", "scheduled", "retry", "completed", "archived"]),
        ("tasks --state co", ["completed"]),
        ("worker start images_high --con", ["--concurrency", "--config"]),
        ("worker stop ", ["--timeout"]),
        ("worker stop --t", ["--timeout"]),
        ("connect --emb", ["--embedded"]),
    ],
)
def test_commands_options_and_their_values(
    kernel: Kernel, prefix: str, typed: str, words: list[str]
) -> None:
    assert offered(kernel, prefix + typed) == sorted(words)


def test_every_command_is_offered_after_the_magic(kernel: Kernel) -> None:
    commands = {command.words[0] for command in all_commands()}

    assert offered(kernel, "%runqy ") == sorted({*commands, "help"})


@pytest.mark.parametrize("typed", ["pending ", "%enqueue ", "worker start ", "worker start x "])
def test_queue_names_of_redis_and_of_handlers(patient_kernel: Kernel, typed: str) -> None:
    patient_kernel.run("%runqy enqueue images_high {'n': 1}\n%runqy enqueue mail {'n': 1}")
    defined = "from runqy_notebook import task\n@task(queue='sounds')\ndef act(payload): pass"
    patient_kernel.run(defined)
    line = f"%%runqy {typed[1:]}" if typed[0] == "%" else f"%runqy {typed}"

    assert offered(patient_kernel, line) == ["images_high", "mail", "sounds"]
    assert offered(patient_kernel, f"{line}im") == ["images_high"]


@pytest.mark.parametrize("typed", ["task ", "result ", "wait ", "wait n1 "])
def test_ids_of_tasks(patient_kernel: Kernel, typed: str) -> None:
    patient_kernel.run("for n in range(3):\n    %runqy enqueue q {'n': n} --id n{n}")
    patient_kernel.run("%runqy enqueue q {} --id 'not plain'")

    assert sorted(offered(patient_kernel, f"%runqy {typed}")) == ["n0", "n1", "n2"]
    assert offered(patient_kernel, f"%runqy {typed}n2") == ["n2"]


def test_a_cell_magic_offers_what_takes_a_body(kernel: Kernel) -> None:
    assert offered(kernel, "%%runqy ") == ["enqueue"]
    assert offered(kernel, "%%runqy enqueue q --uni") == ["--unique", "--unique-ttl"]


def test_options_come_after_a_payload_with_spaces_and_only_once(kernel: Kernel) -> None:
    line = "%runqy enqueue q {'a': [1, 2], 'b': 'x y'} --id 'my id' --un"

    assert offered(kernel, line) == ["--unique", "--unique-ttl"]
    assert "--id" not in offered(kernel, line.removesuffix("--un") + "--")


@pytest.mark.parametrize(
    "line",
    ["%runqy enqueue q my_pay", "%runqy enqueue q {'a': my_pay", "x = %runqy enqueue q [my_"],
)
def test_python_names_are_offered_within_a_payload(kernel: Kernel, line: str) -> None:
    kernel.run("my_payload = {'n': 1}")

    assert any(found.endswith("my_payload") for found in kernel.complete(line))


@pytest.mark.parametrize("line", ["x = 1\nx.re", "%run", "await foo %runqy pen", "# %runqy pen"])
def test_other_lines_are_none_of_our_business(kernel: Kernel, line: str) -> None:
    assert not any(found.endswith(" pending") for found in kernel.complete(line))


def test_with_redis_gone_tab_is_quick_and_silent(kernel: Kernel, tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        kernel.run(f"%runqy connect {server.url}\n%runqy enqueue images {{'n': 1}}")

    for line in ("%runqy pending im", "%runqy task n", "%runqy pending --li"):
        took, found = timed(kernel, line)
        assert not {"images", "n1"} & set(found)
        assert took < 10
    assert kernel.run("pass").outputs == []


def test_a_redis_that_hangs_does_not_hold_tab_up(kernel: Kernel, tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        kernel.run(f"%runqy connect {server.url}\n%runqy enqueue images {{'n': 1}}")

        server.process.send_signal(signal.SIGSTOP)
        first, *others = [timed(kernel, "%runqy pending im") for _ in range(21)]
        server.process.send_signal(signal.SIGCONT)

    assert not any("images" in found for _, found in (first, *others))
    assert first[0] < 10
    assert sum(took for took, _ in others) < 5  # of the half second that each could have waited


def test_without_a_connection_commands_are_offered_still(kernel: Kernel) -> None:
    kernel.run("%runqy disconnect")

    assert offered(kernel, "%runqy pending --l") == ["--limit"]
    assert offered(kernel, "%runqy con") == ["connect"]
    assert kernel.run("%runqy status").stdout.startswith("Not connected")


def timed(kernel: Kernel, line: str) -> tuple[float, list[str]]:
    """How many seconds Tab took, and what it offered."""
    began = time.monotonic()
    found = offered(kernel, line)
    return time.monotonic() - began, found
