"""Programs and packages of other languages, and what it means when one is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest


def missing(what: str) -> NoReturn:
    """Skips the test on a laptop and fails it in CI, where install.sh has run before."""
    reason = f"{what} (tests/interop/install.sh installs what is missing)"
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def found(program: str) -> str:
    """The path of a program; without it the test is skipped, or fails in CI."""
    return shutil.which(program) or missing(f"there is no {program} on PATH")


def output(
    *command: str | Path,
    given: str | None = None,
    folder: Path | None = None,
    environ: Mapping[str, str] | None = None,
    seconds: float = 60,
) -> str:
    """What a program prints; fails the test with its complaint where it exits other than 0."""
    done = subprocess.run(
        [str(word) for word in command],
        input=given,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **(environ or {})},
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]} exited {done.returncode}: {done.stderr.strip()}"
    return done.stdout.rstrip("\n")
