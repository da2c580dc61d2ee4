"""Where results go. Handlers that deliver by themselves say `deliver.send(url, {...})`."""

from __future__ import annotations

from collections.abc import Sequence

from runqy_notebook.deliver import outlet
from runqy_notebook.errors import UsageError


def send(to: str | Sequence[str], value: object, *, task_id: str = "") -> list[str]:
    """Delivers a value to http(s) URLs, or destinations by name: signed, and retried for days while
    the receiver is down. Gives the ids of the deliveries, at once: it waits for nobody.

    The value is JSON, or more where all of them are destinations that take files. The same as
    `Session.deliver` of the session that was opened last. Raises DestinationError, PayloadError,
    ConnectionFailedError, and UsageError where no session is open.
    """
    deliver = outlet.latest()
    if deliver is None:
        raise UsageError("Nothing can be delivered: no session is open. %runqy connect opens one.")
    sent: list[str] = deliver(to, value, task_id=task_id)
    return sent
