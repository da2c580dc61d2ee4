"""The rows as a table to read and as JSON to compare."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.harness import Row


def markdown(machine: Mapping[str, str], rows: Sequence[Row]) -> str:
    """A table, under what it was made on."""
    about = "\n".join(f"- {name}: {words}" for name, words in machine.items())
    head = "| measure | contender | median | range | ratio | goal |\n|---|---|---:|---:|---:|---|\n"
    return f"{about}\n\n{head}" + "".join(map(_line, rows))


def write(folder: Path, machine: Mapping[str, str], rows: Sequence[Row]) -> None:
    """benchmarks.md and benchmarks.json in this folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "benchmarks.md").write_text(markdown(machine, rows), encoding="utf-8")
    told = {"machine": dict(machine), "rows": [asdict(row) for row in rows]}
    (folder / "benchmarks.json").write_text(json.dumps(told, indent=1), encoding="utf-8")


def _line(row: Row) -> str:
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}x {row.against}"
    mark = {None: "", True: ": met", False: ": **missed**"}[row.is_met]
    cells = (
        row.measure,
        row.contender,
        f"{_short(row.value)} {row.unit}",
        f"{_short(row.low)} to {_short(row.high)}",
        ratio,
        f"{row.goal}{mark}",
    )
    return f"| {' | '.join(cells)} |\n"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
