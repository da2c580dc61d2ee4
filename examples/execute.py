"""Executes an example notebook in a real kernel, saves it with its outputs, tells its figures.

python examples/execute.py quickstart.ipynb --to out
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

HERE = Path(__file__).parent
VOLATILE = ("execution", "papermill")
"""Cell metadata that changes with every run and tells a reader nothing."""


def main() -> int:
    """Runs the notebook named on the command line; 1 if a cell failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", help="a file name in examples/")
    parser.add_argument("--to", type=Path, default=Path("out"), help="folder for the result")
    asked = parser.parse_args()

    notebook = nbformat.read(HERE / asked.notebook, as_version=4)
    os.environ["RUNQY_EMBEDDED"] = "1"  # whatever runs on port 6379
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(HERE)}},
        extra_arguments=["--log-level=ERROR"],  # no word on unencrypted loopback TCP
    )
    print(f"Executing {asked.notebook} in a real kernel ...", flush=True)
    began = time.monotonic()
    try:
        client.execute()
        failure = None
    except CellExecutionError as error:
        failure = error
    target = asked.to / asked.notebook
    save(notebook, target)
    if failure is not None:
        print(f"{failure}\nThe notebook so far: {target}", file=sys.stderr)
        return 1
    print(figures(notebook))
    print(f"Executed in {time.monotonic() - began:.1f} s; the notebook with its outputs: {target}")
    return 0


def save(notebook: nbformat.NotebookNode, target: Path) -> None:
    """Writes the notebook without what differs between two equal runs."""
    for cell in notebook.cells:
        for name in VOLATILE:
            cell.metadata.pop(name, None)
    language = notebook.metadata.get("language_info", {})
    language.pop("version", None)
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)


def figures(notebook: nbformat.NotebookNode) -> str:
    """What the cells tagged `figures` printed."""
    return "".join(
        output.text
        for cell in notebook.cells
        if "figures" in cell.metadata.get("tags", [])
        for output in cell.get("outputs", [])
        if output.output_type == "stream"
    ).rstrip()


if __name__ == "__main__":
    sys.exit(main())
