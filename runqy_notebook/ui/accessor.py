"""`df.runqy` and `series.runqy`: there as soon as pandas is, which nobody has to import for it."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from runqy_notebook.worker.on_import import OnImport

if TYPE_CHECKING:
    import pandas as pd

    from runqy_notebook.session import Session

NAME: Final = "runqy"


class RunqyAccessor:
    """What runqy does with a DataFrame or a Series, in the current session."""

    def __init__(self, data: pd.DataFrame | pd.Series[Any]) -> None:
        self._data = data

    def map(
        self,
        queue: str,
        columns: object = None,
        *,
        name: str = "",
        fresh: bool = False,
        retry_failed: bool = True,
        errors: str = "column",
        keep: object = "1d",
        batch: int = 500,
        ahead: int = 2_000,
        progress: bool = True,
        **options: Any,
    ) -> pd.DataFrame:
        """Puts a task for each row into `queue`, waits for all of them and gives their results: a
        DataFrame with the same index, a column for each part of a result that is an object, any
        other result in the column `result`.

        Run again, after an interrupt, a crash or just so, it sends only what is missing: results
        stay in Redis for `keep`, and rows that are on their way are waited for.

        columns: which columns go into the payload; all unless told
        name: which map this is; without one, a map of these very rows. Rows that a map of that name
            has done already are not sent again, although others came, went or changed
        fresh: True runs every row, whatever is there from earlier: when the handler has changed
        retry_failed: whether rows that failed in an earlier run are run again
        errors: "column" tells why a row failed in the column `error`; "raise" raises the first one
        keep: how long results stay in Redis: seconds, a timedelta, or text such as "1h30m"
        batch: rows sent in one round trip
        ahead: rows that are sent and not done, at most
        progress: whether it shows how far it is
        type, max_retry, timeout, deliver_to: of each task, as in `Session.enqueue`
        """
        asked = {"name": name, "fresh": fresh, "retry_failed": retry_failed, "errors": errors}
        more = {"keep": keep, "batch": batch, "ahead": ahead, "progress": progress}
        return _session().map(self._data, queue, columns, **asked, **more, **options)

    async def amap(self, queue: str, columns: object = None, **options: Any) -> pd.DataFrame:
        """`map` to be awaited: the kernel is free meanwhile. Options as there."""
        return await _session().amap(self._data, queue, columns, **options)


def _session() -> Session:
    from runqy_notebook import current  # when it is used: naming it costs nobody anything

    return current.session()


def _register(pandas: ModuleType) -> None:
    for kind, decorator in _kinds(pandas):
        if getattr(kind, NAME, None) is not RunqyAccessor:
            decorator(NAME)(RunqyAccessor)


def _unregister(pandas: ModuleType) -> None:
    """Undoes what registering does in all versions of pandas, which knows no such thing."""
    for kind, _ in _kinds(pandas):
        if getattr(kind, NAME, None) is RunqyAccessor:
            delattr(kind, NAME)
            kind._accessors.discard(NAME)


def _kinds(pandas: Any) -> list[tuple[Any, Any]]:
    extend = pandas.api.extensions
    return [
        (pandas.DataFrame, extend.register_dataframe_accessor),
        (pandas.Series, extend.register_series_accessor),
    ]


_on_import = OnImport("pandas", _register, _unregister)


def offer() -> None:
    """Has every frame know `runqy`, from now on or from when pandas is imported."""
    _on_import.stop()
    _on_import.start()


def withdraw() -> None:
    """Undoes `offer`."""
    _on_import.stop()
