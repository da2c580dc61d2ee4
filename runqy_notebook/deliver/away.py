"""Delivering from a process that has no session: what is to be sent goes to the one that has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runqy_notebook.deliver import outlet
from runqy_notebook.deliver.directory import checked_places
from runqy_notebook.errors import RunqyError, UsageError
from runqy_notebook.wire.deliveries import new_delivery_id
from runqy_notebook.wire.payload import decode, encode_value


class Away:
    """Stands for a session in its process; `hand_over` takes what `receive` takes there."""

    def __init__(self, hand_over: Callable[..., None]) -> None:
        self._hand_over = hand_over

    def deliver(self, to: str | Sequence[str], value: object, *, task_id: str = "") -> list[str]:
        """As `Session.deliver`, but that nobody waits for Redis."""
        places = checked_places(to)
        text = encode_value(value, "value")
        ids = [new_delivery_id() for _ in places]
        self._hand_over(places, text, task_id, ids)
        return ids


def receive(places: Sequence[str], text: bytes, task_id: str, ids: Sequence[str]) -> str:
    """Delivers through this process's session what was handed over; why not, or nothing."""
    deliver = outlet.latest()
    try:
        if deliver is None:
            raise UsageError("no session is open.")
        deliver(places, decode(text), task_id=task_id, ids=ids)
    except RunqyError as error:
        return f"It could not deliver: {error}"
    return ""
