"""The tests of what is live, once more with the oldest ipykernel that the package takes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.notebook.kernels import ROOT

PYTHON = ROOT / ".venv-ipykernel629" / "bin" / "python"  # `make test` makes it
PATIENCE = 180  # seconds

OLD = [
    "tests/notebook/test_board.py",
    "tests/notebook/test_cards.py",
    "tests/notebook/test_lessons.py",
    "tests/notebook/test_streams.py",
    "tests/notebook/test_saying.py",
    "tests/notebook/test_waiting.py",
]


def test_what_is_live_works_on_ipykernel_6_29(tmp_path: Path) -> None:
    """In a run of its own, as its kernels are another Python's; the tests of it are those marked
    `any_kernel`.
    """
    if "RUNQY_TEST_KERNEL" in os.environ:
        pytest.skip("these tests run with a kernel of choice already")
    if not PYTHON.exists():
        missing = f"no {PYTHON}: make test, or make .venv-ipykernel629/made"
        pytest.fail(missing) if "CI" in os.environ else pytest.skip(missing)
    asked = [str(PYTHON), "-c", "import ipykernel; print(ipykernel.__version__)"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert version.stdout.startswith("6.29.")

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "any_kernel", "-p", "no:cacheprovider", *OLD],
        cwd=ROOT,
        env={**os.environ, "RUNQY_TEST_KERNEL": str(PYTHON)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert ran.returncode == 0, ran.stdout[-6_000:] + ran.stderr[-1_000:]
    assert " passed" in ran.stdout
    assert "skipped" not in ran.stdout
