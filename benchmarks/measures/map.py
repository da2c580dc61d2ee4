"""A DataFrame mapped by the worker of the same process, a no-op handler; and the memory it takes.

Memory is the process's resident peak over the map, less what it had before, the results included.
The data are the frame itself, as pandas counts them.
"""

from __future__ import annotations

from typing import Any

from benchmarks import ours, raw
from benchmarks.harness import Bench, Figures, Goal, Row, row
from benchmarks.measures.listing import forget_peak, resident

WARM_UP = 2_000  # rows
BOUNDED = Goal("peak <= 4x the data", at_most=4.0)


def handler(payload: Any) -> Any:
    return payload["n"]


def frame_of(rows: int) -> Any:
    """Whole numbers, fractions and text: about what a row of a table is."""
    import numpy as np
    import pandas as pd

    columns = {"n": np.arange(rows), "x": np.random.default_rng(0).random(rows)}
    return pd.DataFrame({**columns, "text": [f"a row of text, number {n}" for n in range(rows)]})


def runqy(url: str, rows: int) -> Figures:
    with ours.session(url) as session:
        ours.serve(session, handler).resume()
        session.map(frame_of(WARM_UP), ours.PARENT, progress=False)
        frame = frame_of(rows)
        data = float(frame.memory_usage(deep=True).sum()) / 2**20
        forget_peak()
        before = resident()
        found = []
        took = raw.timed(lambda: found.append(session.map(frame, ours.PARENT, progress=False)))
        peak = resident("VmHWM") - before
        assert (found[0]["result"] == frame["n"]).all()
        again = raw.timed(lambda: session.map(frame, ours.PARENT, progress=False))
        return {"rate": rows / took, "again": rows / again, "peak": peak, "data": data}


def measure(bench: Bench) -> list[Row]:
    rows = bench.size(100_000, 20_000)

    def contender() -> Figures:
        figures: Figures = bench.call(__name__, "runqy", rows=rows)
        return figures

    title, who = f"map of {rows:,} rows", "runqy_notebook"
    samples = bench.interleaved({who: contender})
    samples["the data"] = samples[who]
    return [
        row(title, who, samples, "rate", "rows/s", against=None),
        row(f"{title}, all results there", who, samples, "again", "rows/s", against=None),
        row(title, "the data", samples, "data", "MB", against=None),
        row(
            f"{title}, peak",
            who,
            samples,
            "peak",
            "MB",
            against="the data",
            base="data",
            goal=BOUNDED,
        ),
    ]
