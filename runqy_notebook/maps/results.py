"""The results of a map as a DataFrame."""

from __future__ import annotations

import json
from typing import Any, Final

import pandas as pd

from runqy_notebook.errors import PayloadError
from runqy_notebook.flattening import Columns
from runqy_notebook.frames import column_of, dtype_of
from runqy_notebook.wire.payload import decode

RESULT: Final = "result"
ERROR: Final = "error"


def frame_of(
    index: pd.Index[Any],
    results: list[bytes | None],
    errors: dict[int, str],
    *,
    with_errors: bool,
) -> pd.DataFrame:
    """A row a result, in the order given. Lets go of `results` as it reads them.

    An object's parts become columns: `label`, `opt.lr`, a key that is no plain word in brackets, as
    in history. The column `result` has what is no object, or more than fits, and is there where
    there is such a thing, or no result at all. `with_errors`, the column `error` says why a row has
    none. A part that is called like one of these two stands in brackets.
    """
    parts, left = Columns(len(results), ""), [None] * len(results)
    n_read = n_left = 0
    for at, text in enumerate(results):
        if text is None:
            continue
        results[at] = None
        try:
            value: Any = decode(text)
        except PayloadError as error:
            errors[at] = f"the result is unusable: {error.problem}"
            continue
        n_read += 1
        if not parts.put(at, value):
            left[at], n_left = value, n_left + 1
    has_result = bool(n_left) or not n_read

    series: dict[str, pd.Series[Any]] = {}
    taken = {RESULT} if has_result else set()
    taken |= {ERROR} if with_errors else set()
    for path in list(parts.named):
        values, name = parts.named.pop(path), path.removeprefix(".")
        series[f"[{json.dumps(name)}]" if name in taken else name] = _column(values)
    if has_result:
        series[RESULT] = _column(left)
    if with_errors:
        series[ERROR] = column_of([errors.get(at) for at in range(len(results))], "object")
    frame: pd.DataFrame = (
        pd.DataFrame(series) if series else pd.DataFrame(index=range(len(results)))
    )
    frame.index = index
    return frame


def _column(values: list[Any]) -> pd.Series[Any]:
    return column_of(values, dtype_of(values) if values else "object")
