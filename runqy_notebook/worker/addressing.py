"""From the outcome of a task to what is delivered of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from runqy_notebook.deliver.directory import MOST_PLACES, Directory, places_of
from runqy_notebook.errors import DestinationError, PayloadError, one_line
from runqy_notebook.registry import Registry
from runqy_notebook.wire.deliveries import (
    LARGEST_RESULT,
    Address,
    Parcel,
    body_of,
    new_delivery_id,
)
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Archived, Completed, Crashed, Outcome
from runqy_notebook.wire.payload import encode_value
from runqy_notebook.wire.states import State


class Addressing:
    """Puts parcels to outcomes that end a task, for whoever is to hear of it.

    `first_wait` gives the seconds until the first attempt; `on_posted` is called when parcels lie
    in the outbox; `notice` is told of what cannot be delivered.
    """

    def __init__(
        self,
        registry: Registry,
        directory: Directory,
        *,
        first_wait: Callable[[], float],
        on_posted: Callable[[], None],
        notice: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._first_wait = first_wait
        self._on_posted = on_posted
        self._notice = notice
        self._told: set[str] = set()

    def addressed(self, outcome: Outcome) -> Outcome:
        """The outcome with its parcel; never raises."""
        if not isinstance(outcome, (Completed, Archived, Crashed)):
            return outcome
        addresses = self._addresses(outcome.task)
        if not addresses:
            return outcome
        task, status = outcome.task, State.ARCHIVED
        if isinstance(outcome, Completed):
            status = State.COMPLETED
            told: dict[str, object] = {"result": self._result(outcome)}
        else:
            told = {"error": outcome.error}
        body = body_of(task.id, task.queue, status.value, task.retry + 1, **told)  # type: ignore[arg-type]
        parcel = Parcel(addresses, body, task.id, task.queue, status.value)
        return replace(outcome, parcel=parcel)

    def posted(self, outcomes: Sequence[Outcome]) -> None:
        """Takes note that these were written down."""
        if any(getattr(outcome, "parcel", None) for outcome in outcomes):
            self._on_posted()

    def _addresses(self, task: Task) -> tuple[Address, ...]:
        """What the task says goes before what its handler says."""
        handler = self._registry.handler_for(task.queue, task.type)
        places = places_of(task.deliver) or (handler.deliver_to if handler else ())
        found = []
        for to in places[:MOST_PLACES]:
            try:
                lane = self._directory.lane_of(to)
            except DestinationError as error:
                self._tell(f"A task in {task.queue} is not delivered: {error.problem}.")
                continue
            if not self._directory.can_serve(lane):
                self._tell(
                    f"Results for {one_line(to, 80)!r} wait: this session knows no destination of "
                    f"that name. session.destination({to!r}, URL) makes it known."
                )
            found.append(Address(to, lane, self._first_wait(), new_delivery_id()))
        return tuple(found)

    def _result(self, outcome: Completed) -> bytes:
        """The result as JSON, null where it cannot be sent."""
        name = one_line(outcome.task.id, 80)
        try:
            text = outcome.result or outcome.told or encode_value(outcome.value)
        except PayloadError as error:
            problem = one_line(error)
        except Exception as error:  # noqa: BLE001 - a value may run any code
            problem = type(error).__name__
        else:
            if len(text) <= LARGEST_RESULT:
                return text
            problem = f"it takes {len(text) / 2**20:.1f} MB; send its path or URL"
        self._notice(f"Task {name} is done, but is delivered without its result: {problem}")
        return b"null"

    def _tell(self, text: str) -> None:
        if text not in self._told and len(self._told) < 1_000:
            self._told.add(text)
            self._notice(text)
