"""Where the result of a task can be had, for those who are told of it after a file was made."""

from __future__ import annotations

from runqy_notebook.broker.outbox import Row
from runqy_notebook.deliver.directory import Directory
from runqy_notebook.deliver.sink import Addressed


def whereabouts(row: Row, directory: Directory, seconds: float) -> str:
    """The address that this attempt tells: one that is signed now, for a receiver may have been
    down for longer than a signature lasts. Who does not know the place, or cannot sign, has the
    address from when the file was written. Nothing where there is no file.
    """
    name, _, place = row.result_at.partition("/")
    if not place:
        return row.result_url
    try:
        sink = directory.known(name)
        return sink.address(place, seconds) if isinstance(sink, Addressed) else row.result_url
    except Exception:  # noqa: BLE001 - stores raise errors of many libraries
        return row.result_url
