"""From the outcome of a task to what is delivered of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from runqy_notebook.deliver.directory import MOST_PLACES, Directory, places_of
from runqy_notebook.deliver.packing import About, Packer
from runqy_notebook.errors import DestinationError, one_line
from runqy_notebook.registry import Registry
from runqy_notebook.wire.deliveries import Address, new_delivery_id
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Archived, Completed, Crashed, Outcome
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
        packer: Packer,
        *,
        first_wait: Callable[[], float],
        on_posted: Callable[[], None],
        notice: Callable[[str], None],
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._packer = packer
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
        task = outcome.task
        status = State.COMPLETED if isinstance(outcome, Completed) else State.ARCHIVED
        about = About(task.id, task.queue, status.value, task.retry + 1)
        if isinstance(outcome, Completed):
            known = outcome.result or outcome.told
            parcel = self._packer.of_result(about, addresses, outcome.value, known)
            return replace(outcome, parcel=parcel)
        return replace(outcome, parcel=self._packer.of_error(about, addresses, outcome.error))

    def posted(self, outcomes: Sequence[Outcome], answers: Sequence[str]) -> None:
        """Takes note of what was written down, and of what was not."""
        parcels = [getattr(outcome, "parcel", None) for outcome in outcomes]
        if any(parcels):
            self._on_posted()
        for parcel, answer in zip(parcels, answers, strict=True):
            if parcel and answer != "OK":
                self._packer.drop(parcel)

    def _addresses(self, task: Task) -> tuple[Address, ...]:
        """What the task says goes before what its handler says."""
        places = places_of(task.deliver)
        if not places and (handler := self._registry.handler_for(task.queue, task.type)):
            places = handler.deliver_to
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

    def _tell(self, text: str) -> None:
        if text not in self._told and len(self._told) < 1_000:
            self._told.add(text)
            self._notice(text)
