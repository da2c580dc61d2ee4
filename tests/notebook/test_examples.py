"""The example notebooks: as they are kept in the repository, and run once more."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

from runqy_notebook.broker import embedded
from tests.notebook.kernels import ROOT, kernel_environment

EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.ipynb"))


def code_of(path: Path) -> list[Any]:
    cells = nbformat.read(path, as_version=4).cells
    return [cell for cell in cells if cell.cell_type == "code"]


def executed(name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The example run as `make examples` does, into this folder, on a server of its own."""
    command = [sys.executable, str(ROOT / "examples" / "execute.py"), name, "--to", str(folder)]
    env = kernel_environment(folder, **environment)
    try:
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    finally:
        embedded.stop(folder / "state")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_kept_as_it_ran_from_top_to_bottom(name: str) -> None:
    cells = code_of(ROOT / "examples" / name)

    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert str(ROOT) not in str(outputs)
    kinds = {kind for output in outputs for kind in output.get("data", {})}
    assert not [kind for kind in kinds if "widget" in kind]


def test_the_live_cells_run(tmp_path: Path) -> None:
    name = "live-cells.ipynb"
    ran = executed(name, tmp_path, RUNQY_EMBEDDED_TTL="60")

    assert ran.returncode == 0, ran.stderr
    cells = code_of(tmp_path / name)
    shown = {cell.source.split(" = ")[0]: str(cell.outputs) for cell in cells}
    assert "completed (in " in shown["first"]
    assert "Cell In[2], line 21, in train" in shown["bad"]
    assert "cancelled (in " in shown["long"]
    assert "16 completed · 4 archived" in shown["grid"]
    assert "Did you mean 'training'?" in shown["%runqy doctor"]


def test_each_row_of_the_example_is_run_once(tmp_path: Path) -> None:
    name = "dataframe-map.ipynb"
    ran = executed(name, tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert "5,000 runs of the handler for 5,000 rows" in ran.stdout
    shown = {cell.source.split(" = ")[0]: str(cell.outputs) for cell in code_of(tmp_path / name)}
    assert "5,000 done · 1 failed" in shown["out"]
    assert "Results stay in Redis for 24 h" in shown["taken_up"]


def test_the_webhooks_of_the_example_arrive(tmp_path: Path) -> None:
    name = "webhooks.ipynb"
    ran = executed(name, tmp_path)

    assert ran.returncode == 0, ran.stderr
    assert "2 tasks, 2 runs, 1 message in 2 requests" in ran.stdout
    notebook = nbformat.read(tmp_path / "webhooks.ipynb", as_version=4)
    saved = "".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    for shown in ("unsigned, ", "verified, ", "duplicate, ", "delivered: orders · attempt "):
        assert shown in saved


def test_the_lesson_goes_as_it_is_told(tmp_path: Path) -> None:
    name = "lesson.ipynb"
    ran = executed(name, tmp_path, RUNQY_LEASE="1")  # it is waited for

    assert ran.returncode == 0, ran.stderr
    cells = code_of(tmp_path / name)
    bundles = [output.get("data", {}) for cell in cells for output in cell.outputs]
    told = "\n".join(bundle.get("text/plain", "") for bundle in bundles)
    for move in ("claim", "run the handler", "acknowledge", "sweep", "ask again"):
        assert re.search(rf"^Move \d+: {move}$", told, re.MULTILINE), move
    for fault in ("kill the worker", "drop an acknowledgement", "freeze the server"):
        assert re.search(rf"^Fault \d+: {fault}$", told, re.MULTILINE), fault
    assert "On the second look the lease of Eve was still over" in told
    assert "archived as an orphan" in told
    assert sum("data:image/svg+xml" in bundle.get("text/html", "") for bundle in bundles) > 20
