"""The destinations that stand in code, as `@task(deliver_to="s3://...")`. Each has an internal
name: only that goes to Redis, and whoever runs the same code knows what it means.
"""

from __future__ import annotations

from pathlib import PurePath

from runqy_notebook.deliver.directory import MOST_PLACES, checked_place
from runqy_notebook.deliver.places import IN_CODE
from runqy_notebook.deliver.sinks import open_sink
from runqy_notebook.deliver.urls import SinkURL
from runqy_notebook.errors import DestinationError, one_line


def checked_in_code(to: object) -> tuple[str, ...]:
    """One destination or several, as a task's row names them: http(s) URLs and names as they are,
    any other URL by its internal name. Raises DestinationError.
    """
    given = [to] if isinstance(to, str) or not isinstance(to, (list, tuple, set)) else list(to)
    if len(given) > MOST_PLACES:
        raise DestinationError(f"{len(given)} destinations are more than {MOST_PLACES}")
    return tuple(dict.fromkeys(map(_place, given)))


def _place(to: object) -> str:
    if isinstance(to, PurePath) or (isinstance(to, str) and to.startswith(("/", "./", "~"))):
        raise DestinationError(
            f"{one_line(str(to), 80)!r} is a path; write a URL, such as "
            "'file:///data/{task_id}.json'"
        )
    is_sink = isinstance(to, str) and "://" in to
    if not isinstance(to, str) or not is_sink or to.lower().startswith(("http:", "https:")):
        return checked_place(to)
    open_sink(to)  # only to see whether it can be
    name = SinkURL.of(to).internal_name()
    IN_CODE[name] = to
    return name
