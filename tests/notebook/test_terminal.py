"""Plain IPython in a terminal: lines of text, and Ctrl-C."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_py

from runqy_notebook.session import Session
from tests.notebook.kernels import ROOT, kernel_environment
from tests.waiting import wait_until

pexpect = pytest.importorskip("pexpect", reason="no pseudo-terminals here")

PROMPT = r"In \[\d+\]: "
PATIENCE = 30  # seconds

HANDLER = """
import threading; from runqy_notebook import task
gate = threading.Event()
act = task(queue='q')(lambda payload: (gate.wait(60 * payload.get('holds', 0)), 7)[1])
%runqy worker start q
"""


class Terminal:
    """`ipython` in a terminal of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--simple-prompt", "--no-banner", "--colors=NoColor"],
            env=kernel_environment(folder, RUNQY_REDIS_URL=url, TERM="dumb", COLUMNS="200"),
            cwd=str(ROOT),
            encoding="utf-8",
            timeout=PATIENCE,
            echo=False,
            dimensions=(50, 200),
        )
        self.child.expect(PROMPT)

    def run(self, line: str) -> str:
        """What a line printed."""
        self.child.sendline(line)
        return self.until_prompt()

    def until_prompt(self) -> str:
        self.child.expect(PROMPT)
        return str(self.child.before).replace("\r\n", "\n")


@pytest.fixture
def terminal(tmp_path: Path, url: str) -> Iterator[Terminal]:
    """A terminal with the extension and a worker of `q`."""
    opened = Terminal(tmp_path, url)
    opened.run("%load_ext runqy_notebook")
    for line in HANDLER.strip().splitlines():
        opened.run(line)
    yield opened
    opened.child.sendline("gate.set(); exit()")
    opened.child.expect(pexpect.EOF)
    opened.child.close()


def test_a_stream_prints_lines_until_its_limit_or_an_interrupt(
    terminal: Terminal, session: Session, redis: redis_py.Redis
) -> None:
    terminal.child.sendline("%runqy stream q --limit 3")
    wait_until(redis.pubsub_numpat, "nobody listens")
    session.enqueue("q_default", {}, id="theirs").result(10)

    lines = [line.split()[1:4] for line in terminal.until_prompt().splitlines() if line.strip()]

    assert lines == [
        ["enqueued", "q_default", "theirs"],
        ["started", "q_default", "theirs"],
        ["completed", "q_default", "theirs"],
    ]
    terminal.child.sendline("%runqy stream q")

    def is_told() -> bool:
        session.enqueue("q_default", {}).result(10)
        return bool(terminal.child.expect([pexpect.TIMEOUT, "completed +q_default"], timeout=0.3))

    wait_until(is_told, "nothing was printed")
    terminal.child.sendintr()
    assert "Traceback" not in terminal.until_prompt()


def test_an_interrupt_ends_a_wait_at_once_and_says_that_the_task_goes_on(
    terminal: Terminal, redis: redis_py.Redis
) -> None:
    assert "<Task held in q_default: " in terminal.run(
        "t = get_ipython().run_line_magic('runqy', \"enqueue q {'holds': 1} --id held\"); t"
    )
    wait_until(lambda: redis.llen("asynq:q_default:active"), "the task did not start")
    terminal.child.sendline("threading.Timer(0.2, print, ['it', 'waits']).start(); t.result()")
    terminal.child.expect("it waits")

    asked_at = time.monotonic()
    terminal.child.sendintr()
    said = terminal.until_prompt()
    took = time.monotonic() - asked_at

    assert "KeyboardInterrupt" in said
    assert "The wait was interrupted. Task held goes on: wait again" in said
    assert took < 10  # of the minute that the tasks hold on
    assert ": 7\n" in terminal.run("gate.set(); t.result(10)")


def test_the_board_is_a_table(terminal: Terminal, session: Session) -> None:
    session.enqueue("mail", {})

    printed = terminal.run("%runqy board")

    assert re.search(r"^queue +pending +active", printed, re.MULTILINE)
    assert re.search(r"^mail +1 +0", printed, re.MULTILINE)
    assert "Valkey" in printed
    assert "This kernel's worker: running, serves q" in printed
    assert terminal.run("%runqy board --close").strip() == "No board is open."


def test_a_map_shows_a_line_and_an_interrupt_says_how_to_go_on(
    terminal: Terminal, session: Session
) -> None:
    terminal.run("import pandas as pd; df = pd.DataFrame({'n': range(600)})")
    done = terminal.run("out = df.runqy.map('q')")
    terminal.child.sendline("df.assign(holds=1).runqy.map('q')")
    terminal.child.expect("q_default: 0 of 600 rows")
    wait_until(lambda: len(session.pending("q")) + len(session.active("q")) == 600, "not all sent")

    asked_at = time.monotonic()
    terminal.child.sendintr()
    said = terminal.until_prompt()
    took = time.monotonic() - asked_at
    terminal.run("gate.set()")

    assert "q_default: 600 of 600 rows, " in done
    # The interrupt may come before the answer to the last hundred did.
    told = r"MapInterrupted: 0 of 600 rows are done, and [56]00 more were sent and go on\. Run"
    assert re.search(told, said)
    assert "Traceback" not in said
    assert took < 10  # of the minute that the tasks hold on


def test_a_lesson_is_text_and_each_call_one_move(terminal: Terminal) -> None:
    terminal.run("%runqy worker stop")
    terminal.run("act = task(queue='q')(lambda payload: 7)")
    terminal.run("t = %runqy enqueue q {} --id mine;")

    moves = [terminal.run("%runqy step q") for _ in range(4)]

    assert "Move 1: a worker starts" in moves[0]
    assert "LPUSH asynq:q_default:active mine" in moves[1]
    assert "Move 4: acknowledge" in moves[3]
    assert "<" not in moves[3].replace("<Move", "")
    assert "The lesson is over." in terminal.run("%runqy step --stop")
