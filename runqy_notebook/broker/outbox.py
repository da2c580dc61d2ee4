"""The outbox: what is on its way to receivers, kept in Redis until they have it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import redis

from runqy_notebook.broker import scripts
from runqy_notebook.broker.boundary import explained
from runqy_notebook.broker.records import moment, shown
from runqy_notebook.wire.deliveries import DeliveryState, Parcel
from runqy_notebook.wire.documented import count, seconds
from runqy_notebook.wire.layout import DOCUMENTED, Layout, to_bytes, to_text

_FIELDS = (
    "to",
    "task_id",
    "queue",
    "status",
    "state",
    "attempts",
    "answer",
    "error",
    "created_at",
    "attempted_at",
    "due_at",
    "finished_at",
    "seconds",
)


@dataclass(frozen=True, slots=True)
class Kept:
    """How long finished deliveries are kept (seconds), and how many of them."""

    ttl: float = 86_400.0
    cap: int = 1_000


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery that this process holds, under a lease; `made` attempts were made before."""

    id: str
    token: bytes
    to: str
    lane: str
    body: bytes
    task_id: str
    queue: str
    made: int
    status: str = ""  # of the task; none where a handler, or a person, delivers
    spooled: str = ""  # what lies in a spool of it; see Spooled
    result_url: str = ""  # where another destination has the result
    result_at: str = ""  # that destination's name, /, and the place there; see deliver/whereabouts


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery as Redis holds it now. `to` may hold secrets: mask it before it is shown."""

    id: str
    to: str
    task_id: str
    queue: str
    status: str  # of the task
    state: DeliveryState
    attempts: int
    answer: int | None  # the status of the last answer
    error: str | None  # why the last attempt failed
    created_at: datetime | None
    attempted_at: datetime | None
    due_at: datetime | None  # of the next attempt
    finished_at: datetime | None
    seconds: float | None  # that the last attempt took


class Outbox:
    """Its methods raise ConnectionFailedError. Threads may share it."""

    def __init__(
        self,
        client: redis.Redis,
        where: str,
        kept: Kept,
        layout: Layout = DOCUMENTED,
        *,
        news: Callable[[], bytes] = bytes,
    ) -> None:
        self._client = client
        self._where = where
        self._layout = layout
        self._key = layout.outbox
        self._news = news  # see Channels.news; by default nobody is told of attempts
        self.kept = kept

    def post(self, parcel: Parcel) -> None:
        """Writes the rows of a parcel."""
        self._call(scripts.POST, parcel.encoded(ttl=self.kept.ttl, cap=self.kept.cap))

    def collect(
        self, lanes: Sequence[str], token: str, *, lease: float, most: int, busy: Sequence[str]
    ) -> tuple[Row | None, float | None]:
        """Takes a row that is due, and tells in how many seconds the next one is.

        `busy` are the destinations of the attempts under way here, of which no one gets more than
        `most` at a time.
        """
        wanted = (token, 1, lease, most, self.kept.ttl, self.kept.cap)
        until, *rows = self._call(scripts.COLLECT, *wanted, len(lanes), *lanes, *busy)
        found = _row(*rows[0]) if rows else None
        return found, float(until) if until else None

    def attempted(
        self,
        row: Row,
        state: DeliveryState,
        *,
        wait: float = 0.0,
        answer: int | None = None,
        error: str = "",
        took: float = 0.0,
        note: str = "",
        result_url: str = "",
        result_at: str = "",
    ) -> bool:
        """Writes down an attempt: WAITING for another in `wait` seconds, or how the row ended.

        `note` goes to whoever listens, `result_url` and `result_at` to the rows that wait for it.
        False where the row is not ours any more.
        """
        verb = "later" if state is DeliveryState.WAITING else state.value
        told = (answer or "", to_bytes(error), f"{took:.3f}")
        kept = (self.kept.ttl, self.kept.cap)
        base = self._layout.queue(row.queue).base
        news = (self._news() if row.queue else b"", to_bytes(base), to_bytes(note))
        outcome = (verb, wait, *told, *kept, *news, to_bytes(result_url), to_bytes(result_at))
        made = self._call(scripts.ATTEMPTED, row.id, row.token, *outcome)
        return bool(made)

    def hold(self, row: Row, lease: float) -> bool:
        """Lengthens the lease of an attempt under way; False where it is not ours any more."""
        return bool(self._call(scripts.HOLD, row.id, row.token, lease))

    def redeliver(self, delivery_id: str) -> str:
        """Has a delivery attempted again; OK, UNKNOWN, SENDING or DELIVERED."""
        return to_text(self._call(scripts.REDELIVER, to_bytes(delivery_id)))

    def leave(self, lane: str) -> None:
        """Ends what waits in the lane of a receiver that is no more."""
        while self._call(scripts.LEAVE, lane, self.kept.ttl, self.kept.cap):
            pass

    def delivered(self, ids: Sequence[str]) -> set[str]:
        """Which of these are known to be delivered."""
        pipe = self._client.pipeline(transaction=False)
        for each in ids:
            pipe.hget(f"{self._key}:row:{each}", "state")
        with explained(self._where):
            states = pipe.execute(raise_on_error=False) if ids else []
        return {each for each, state in zip(ids, states, strict=True) if state == b"delivered"}

    def records(self, limit: int) -> list[DeliveryRecord]:
        """The newest deliveries first."""
        with explained(self._where):
            ids = cast("list[bytes]", self._client.zrevrange(self._key, 0, limit - 1))
            pipe = self._client.pipeline(transaction=False)
            for each in ids:
                pipe.hmget(self._key.encode() + b":row:" + each, _FIELDS)
            found = pipe.execute(raise_on_error=False) if ids else []
        records = zip(ids, found, strict=True)
        return [_record(each, values) for each, values in records if _is_there(values)]

    def _call(self, script: scripts.Script, *args: Any) -> Any:
        with explained(self._where):
            return script(self._client, [self._key], args)


def _row(
    row_id: bytes,
    token: bytes,
    to: bytes,
    lane: bytes,
    body: bytes,
    task_id: bytes,
    queue: bytes,
    made: bytes,
    status: bytes,
    spooled: bytes,
    result_url: bytes,
    result_at: bytes,
) -> Row:
    told = (to_text(to), to_text(lane), body, shown(task_id), shown(queue), count(made))
    more = (shown(status), to_text(spooled), to_text(result_url), to_text(result_at))
    return Row(to_text(row_id), token, *told, *more)


def _is_there(values: object) -> bool:
    return isinstance(values, list) and values[0] is not None


def _record(row_id: bytes, values: Sequence[bytes | None]) -> DeliveryRecord:
    held = dict(zip(_FIELDS, values, strict=True))
    state = DeliveryState(shown(held["state"] or b"waiting"))
    waits = state in (DeliveryState.WAITING, DeliveryState.SENDING)
    return DeliveryRecord(
        id=shown(row_id),
        to=shown(held["to"] or b""),
        task_id=shown(held["task_id"] or b""),
        queue=shown(held["queue"] or b""),
        status=shown(held["status"] or b""),
        state=state,
        attempts=count(held["attempts"]),
        answer=count(held["answer"]) or None,
        error=shown(held["error"] or b"") or None,
        created_at=moment(held["created_at"]),
        attempted_at=moment(held["attempted_at"]),
        due_at=moment(held["due_at"]) if waits else None,
        finished_at=None if waits else moment(held["finished_at"]),
        seconds=seconds(held["seconds"]),
    )
