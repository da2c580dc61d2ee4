"""Whole notebooks, executed by nbclient with the worker in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from tests.notebook.kernels import ThisPython, kernel_environment


class OurManager(AsyncKernelManager):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{**options, "kernel_spec_manager": ThisPython()})


CELLS = [
    "%load_ext runqy_notebook",
    """
from runqy_notebook import load, task

@load(queue="squares")
def setup():
    return {"power": 2}

@task(queue="squares")
def square(payload, ctx):
    return {"n": payload["n"], "square": payload["n"] ** ctx["power"]}
""",
    "%runqy worker start squares --concurrency 2",
    "g = %runqy enqueue squares [{'n': n} for n in range(200)]",
    "results = await g\nlen(results), sum(r['square'] for r in results)",
    "finished = %runqy tasks squares --state completed\nlen(finished)",
    "%runqy pending squares",
    "%runqy worker stop",
]


def executed(folder: Path, url: str, cells: list[str]) -> list[list[dict[str, Any]]]:
    """The outputs of each cell, in order."""
    v4: Any = nbformat.v4
    notebook = v4.new_notebook(cells=[v4.new_code_cell(source.strip()) for source in cells])
    client = NotebookClient(notebook, kernel_manager_class=OurManager, timeout=60)
    client.execute(env=kernel_environment(folder, RUNQY_REDIS_URL=url), cwd=str(folder))
    nbformat.validate(notebook)
    return [cell.outputs for cell in notebook.cells]


def test_a_notebook_with_its_worker_keeps_every_output_in_its_cell(
    tmp_path: Path, url: str
) -> None:
    loaded, defined, started, enqueued, summed, finished, pending, stopped = executed(
        tmp_path, url, CELLS
    )

    assert loaded == [{"output_type": "stream", "name": "stdout", "text": f"{url}\n"}]
    assert defined == []
    assert "200 tasks in squares_default" in enqueued[0]["data"]["text/plain"]
    assert "Worker serves squares" in started[0]["text"]
    assert summed[0]["data"]["text/plain"] == f"(200, {sum(n * n for n in range(200))})"
    assert finished[0]["data"]["text/plain"] == "200"
    assert "Empty DataFrame" in pending[0]["data"]["text/plain"]
    assert stopped[0]["text"].startswith("Worker stopped")
    assert [len(outputs) for outputs in (summed, finished, pending, stopped)] == [1, 1, 1, 1]


@pytest.mark.parametrize("cell", ["%runqy enqeue q {}", "%runqy result nope"])
def test_an_error_stops_the_notebook(tmp_path: Path, url: str, cell: str) -> None:
    with pytest.raises(CellExecutionError) as stopped:
        executed(tmp_path, url, ["%load_ext runqy_notebook", cell, "print('not reached')"])

    assert stopped.value.ename in ("UsageError", "UnknownTaskError")
