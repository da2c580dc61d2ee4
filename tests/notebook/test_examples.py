"""The example notebooks run to their end, as `make examples` runs them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat

from runqy_notebook.broker import embedded
from tests.notebook.kernels import ROOT, kernel_environment


def test_the_webhooks_of_the_example_arrive(tmp_path: Path) -> None:
    try:
        ran = subprocess.run(
            [sys.executable, ROOT / "examples" / "execute.py", "webhooks.ipynb", "--to", tmp_path],
            env=kernel_environment(tmp_path),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        embedded.stop(tmp_path / "state")

    assert ran.returncode == 0, ran.stderr
    assert "2 tasks, 2 runs, 1 message in 2 requests" in ran.stdout
    notebook = nbformat.read(tmp_path / "webhooks.ipynb", as_version=4)
    saved = "".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    for shown in ("unsigned, ", "verified, ", "duplicate, ", "delivered: orders · attempt "):
        assert shown in saved
