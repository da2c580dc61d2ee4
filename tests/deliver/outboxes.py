"""Outboxes and couriers as tests need them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import redis as redis_py

from runqy_notebook.broker.outbox import DeliveryRecord, Kept, Outbox, Row
from runqy_notebook.deliver.courier import Courier, Rules
from runqy_notebook.deliver.directory import Directory
from runqy_notebook.deliver.schedule import Schedule
from runqy_notebook.deliver.webhook import Endpoint
from runqy_notebook.wire.deliveries import Address, Parcel

QUICK = Rules(Schedule((0.0, 0.05, 0.1)), deadline=2.0)
_names = itertools.count(1)


def outbox_of(client: redis_py.Redis, **kept: Any) -> Outbox:
    return Outbox(client, "the test server", Kept(**kept))


def post(
    outbox: Outbox,
    to: str = "orders",
    *,
    id: str = "msg_1",
    lane: str | None = None,
    wait: float = 0.0,
    body: bytes = b'{"n": 1}',
) -> None:
    """One row, by default for the destination named orders."""
    lane = lane or ("url" if "://" in to else f"name:{to}")
    outbox.post(Parcel((Address(to, lane, wait, id),), body, "t1", "mail_default", "completed"))


def collect(
    outbox: Outbox, *lanes: str, lease: float = 10.0, most: int = 2, busy: tuple[str, ...] = ()
) -> Row | None:
    """The row that is due, as a courier takes it."""
    token = f"test:{next(_names)}"
    wanted = lanes or ("name:orders",)
    return outbox.collect(wanted, token, lease=lease, most=most, busy=busy)[0]


def record(outbox: Outbox, id: str = "msg_1") -> DeliveryRecord:
    (found,) = [each for each in outbox.records(1_000) if each.id == id]
    return found


def directory_of(url: str, name: str = "orders") -> Directory:
    """A session's directory that knows one destination, on this machine."""
    directory = Directory()
    directory.add(name, Endpoint(url, allow_private=True))
    return directory


@contextmanager
def delivering(
    outbox: Outbox, directory: Directory, rules: Callable[[], Rules] = lambda: QUICK, **told: Any
) -> Iterator[Courier]:
    courier = Courier(outbox, directory, f"courier-{next(_names)}", rules, **told)
    courier.start()
    try:
        yield courier
    finally:
        courier.stop(5)
