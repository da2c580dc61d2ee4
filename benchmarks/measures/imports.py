"""What importing and loading cost in a fresh kernel, beyond an empty cell."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import kernels
from benchmarks.harness import Bench, Figures, Goal, Row, row
from runqy_notebook.broker import embedded

IMPORT = Goal("<= 60 ms", at_most=60, of="value")
LOAD = Goal("<= 150 ms", at_most=150, of="value")
COLD = Goal("<= 450 ms", at_most=450, of="value")


def _extra(code: str, **settings: str) -> Figures:
    """Milliseconds of a cell in a fresh kernel, less those of an empty one."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            with kernels.running(Path(folder), **settings) as kernel:
                empty = min(kernel.run("pass") for _ in range(5))
                return {"ms": (kernel.run(code) - empty) * 1e3}
        finally:
            embedded.stop(Path(folder) / "state")


def measure(bench: Bench) -> list[Row]:
    cold = "%load_ext, cold embedded server"
    up = "%load_ext, Redis up"
    names = "from runqy_notebook import Session, task"
    cells: dict[str, tuple[str, dict[str, str], Goal | None]] = {
        "import redis": ("import redis", {}, None),
        "import runqy_notebook": ("import runqy_notebook", {}, IMPORT),
        names: (names, {}, None),
        up: ("%load_ext runqy_notebook", {"RUNQY_URL": bench.url}, LOAD),
        cold: ("%load_ext runqy_notebook", {"RUNQY_EMBEDDED": "1"}, COLD),
    }

    _extra("%load_ext runqy_notebook", RUNQY_URL=bench.url)  # so that all has its bytecode

    def contender(code: str, settings: dict[str, str]) -> Callable[[], Figures]:
        return lambda: _extra(code, **settings)

    samples = bench.interleaved(
        {name: contender(code, settings) for name, (code, settings, _) in cells.items()}
    )
    return [
        row("import", name, samples, "ms", "ms", against="import redis", goal=goal)
        for name, (_, _, goal) in cells.items()
    ]
