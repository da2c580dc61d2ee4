"""A contender's process: it waits until it is its turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from benchmarks import places
from benchmarks.program import MARK

ROOT = Path(__file__).parents[1]
PATIENCE = 900.0  # seconds until a contender that hangs fails its measure


class Contender:
    """A process of `benchmarks.program`. Use it as a context manager. It leaves the server's core
    alone unless it is to run `everywhere`.
    """

    def __init__(
        self,
        module: str,
        function: str,
        python: Path | None = None,
        *,
        everywhere: bool = False,
        **arguments: object,
    ) -> None:
        self._name = f"{module}.{function}"
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by __exit__
        self._process = subprocess.Popen(
            [
                str(python or sys.executable),
                *("-m", "benchmarks.program", module, function, json.dumps(arguments)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(),
            cwd=ROOT,
        )
        if not everywhere:
            places.keep_client(self._process.pid)

    def __enter__(self) -> Contender:
        return self

    def __exit__(self, *exc_info: object) -> None:
        try:
            self._process.communicate(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._errors.close()

    def turn(self) -> Any:
        """What it gives next; its own words and SystemExit where it fails."""
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended, and its last words say why
        ends = time.monotonic() + PATIENCE
        over = threading.Timer(PATIENCE, self._process.kill)
        over.start()
        try:
            for line in self._process.stdout:
                if line.startswith(MARK):
                    return json.loads(line.removeprefix(MARK))
        finally:
            over.cancel()
        self._errors.seek(0)
        what = "failed" if time.monotonic() < ends else f"hung for {PATIENCE:g} s"
        raise SystemExit(f"{self._name} {what}:\n{self._errors.read()}")


def environment(**more: str) -> dict[str, str]:
    """This process's, without Redis settings, with this source tree first; bytecode is kept, as it
    is where a package was installed.
    """
    without = ("RUNQY_", "REDIS_", "PYTHONDONTWRITEBYTECODE")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(without)}
    return {**kept, "PYTHONPATH": str(ROOT), **more}
