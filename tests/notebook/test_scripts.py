"""The code of a cell as a plain script: `run()` works in the foreground until interrupted."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis as redis_py

from runqy_notebook.session import Session
from tests.notebook.kernels import kernel_environment
from tests.waiting import wait_until

SCRIPT = """
import pathlib, time
from runqy_notebook import load, run, task

@load
def setup():
    return 2

@task(queue="squares")
def square(payload, ctx):
    if payload.get("hold"):
        pathlib.Path(__file__).with_name("holding").touch()
        time.sleep(60)
    return payload["n"] ** ctx

if __name__ == "__main__":
    run(store_results=True)
"""


@pytest.fixture
def script(tmp_path: Path, url: str) -> subprocess.Popen[str]:
    """The script, running."""
    path = tmp_path / "handlers.py"
    path.write_text(SCRIPT)
    environment = kernel_environment(tmp_path, RUNQY_REDIS_URL=url, RUNQY_SHUTDOWN_TIMEOUT="0.2")
    return subprocess.Popen(
        [sys.executable, str(path)], env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_a_script_works_its_queue_until_told_to_end(
    script: subprocess.Popen[str],
    session: Session,
    redis: redis_py.Redis,
    tmp_path: Path,
    ending: signal.Signals,
) -> None:
    with script:
        result = session.enqueue("squares_default", {"n": 3}).result(20)
        held = session.enqueue("squares_default", {"n": 4, "hold": True})
        wait_until((tmp_path / "holding").exists, "the task did not start")
        assert script.stderr is not None
        said = script.stderr.readline()  # by then it listens to signals
        script.send_signal(ending)
        said += script.communicate(timeout=20)[1]

    assert result == 9
    assert script.returncode == 0
    assert "serves squares of redis://127.0.0.1:" in said
    assert held.id in said
    assert "Traceback" not in said
    assert redis.lrange("asynq:squares_default:active", 0, -1) == []
    assert held.state == "pending"
