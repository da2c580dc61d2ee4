"""Changing what was enqueued: cancel, run now, delete, pause, resume, purge.

Each is one script call, so it happens wholly or not at all. A task is looked for in the queues that
its hash names, and only if it is not there in all that are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from runqy_notebook.broker import listing
from runqy_notebook.broker.boundary import explained
from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.exchanges import WrongTypeError
from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.broker.scripts import Script
from runqy_notebook.wire.layout import to_bytes, to_text
from runqy_notebook.wire.states import State

PAGE: Final = 50
"""Tasks changed by one call, at most."""

STEPS: Final = 500_000
"""Ids that one call passes on its walks along the lists, about: each task costs one such walk, and
the server does nothing else meanwhile (some 20 ms).
"""

PURGE_PAGE: Final = 200
"""Tasks that one call of a purge removes."""

_CANCEL: Final = Script("cancel")
_RUN_NOW: Final = Script("run_now")
_DELETE: Final = Script("delete")
_PAUSE: Final = Script("pause")
_RESUME: Final = Script("resume")
_PURGE: Final = Script("purge")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a wish concerning a task.

    CANCELLED: it will never run. CANCELLING: it runs, and its worker is told. NEXT, AGAIN: it is
    the next to run, AGAIN after it had been finished. DELETED. Or why not: FINISHED, RUNNING (with
    one of our workers), FOREIGN (with another), WAITING (for its hash, or the end of its present
    run), NOWHERE (in no list, though unfinished), GONE (unknown), WRONGTYPE (`problem` says where).
    """

    task_id: str
    word: str
    at: float  # unix seconds by the server's clock
    queue: str = ""  # where it is or was; "" where no list holds it
    state: str = ""  # of FINISHED, NOWHERE and DELETED
    problem: WrongTypeError | None = None


class Switched(NamedTuple):
    """When queues were paused or resumed, and those of them that were not so before."""

    at: float
    names: list[str]


class Control:
    """The hands of one Redis. Threads may share it; all raises ConnectionFailedError.

    What is done is published where somebody else listens; the caller tells its own listeners.
    """

    def __init__(self, broker: Broker, inspector: Inspector) -> None:
        self._broker = broker
        self._layout = broker.layout
        self._inspector = inspector
        self._waiting = self._layout.ours + "waiting"
        self._prefixes = (self._layout.tasks, *self._layout.leftovers)

    def cancel(self, ids: Sequence[str]) -> list[Answer]:
        """CANCELLED, CANCELLING or why not, for each."""
        kept, channels = self._broker.retention, self._broker.channels

        def run(page: Sequence[str], names: Sequence[str]) -> list[Answer]:
            trimmed, outbox = self._layout.ours + "trimmed", self._layout.outbox
            keys = [self._waiting, trimmed, outbox, *self._bases(names)]
            args = [self._layout.tasks, *kept.of_archived, channels.control, self._news()]
            args += [kept.terms(self._layout), *map(to_bytes, page)]
            return self._answers(page, self._broker.call(_CANCEL, keys, args))

        return self._each(ids, run)

    def delete(self, ids: Sequence[str]) -> list[Answer]:
        """DELETED or why not, for each."""

        def run(page: Sequence[str], names: Sequence[str]) -> list[Answer]:
            keys, args = [self._waiting, *self._bases(names)], [*self._prefixes, self._news()]
            return self._answers(
                page, self._broker.call(_DELETE, keys, [*args, *map(to_bytes, page)])
            )

        with explained(self._broker.where):
            known = self._inspector.known_queues(scan=False)
        return self._each(ids, run, known)  # a hash that goes must be missed nowhere

    def run_now(self, task_id: str) -> Answer:
        """NEXT, AGAIN or why not."""
        hints = self._hints([task_id])[task_id]
        home = self._layout.queue(hints[-1]).base if hints else ""

        def run(page: Sequence[str], names: Sequence[str]) -> list[Answer]:
            keys = [self._waiting, *self._bases(names)]
            args = [*self._prefixes, to_bytes(task_id), home, self._news()]
            return self._answers(page, self._broker.call(_RUN_NOW, keys, args))

        return self._each([task_id], run)[0]

    def pause(self, names: Sequence[str], others: Sequence[str] = ()) -> Switched:
        """Pauses these queues, and without a word some that may come to be."""
        return self._switched(_PAUSE, names, others, [to_bytes(self._broker.name or "1")])

    def resume(self, names: Sequence[str], others: Sequence[str] = ()) -> Switched:
        """Has these queues claimed from again."""
        return self._switched(_RESUME, names, others, [])

    def purge(self, name: str, state: State, most: int) -> Iterator[Answer]:
        """Deletes up to `most` tasks of one queue, 200 a call; each of them. Raises
        WrongTypeError.
        """
        with explained(self._broker.where):
            known = self._inspector.known_queues(scan=False)
        everywhere = list(dict.fromkeys([name, *known]))
        keys = [*self._bases([name]), self._waiting, *self._bases(everywhere)]
        while most > 0:
            args = [*self._prefixes, state.value, min(PURGE_PAGE, most), self._news()]
            word, *rest = self._broker.call(_PURGE, keys, args)
            if word == b"WRONGTYPE":
                raise WrongTypeError(*map(to_text, rest))
            at, *ids = rest
            if not ids:
                return
            most -= len(ids)
            for task_id in map(to_text, ids):
                yield Answer(task_id, "DELETED", float(at), name, state.value)

    # --- inside ---------------------------------------------------------------------------------

    def _switched(
        self,
        script: Script,
        names: Sequence[str],
        others: Sequence[str],
        args: Sequence[object],
    ) -> Switched:
        bases = self._bases([*names, *others])
        at, *changed = self._broker.call(script, bases, [*args, len(names), self._news()])
        switched = zip(names, changed[: len(names)], strict=True)
        return Switched(float(at), [name for name, has_changed in switched if has_changed])

    def _each(
        self,
        ids: Sequence[str],
        act: Callable[[Sequence[str], Sequence[str]], list[Answer]],
        everywhere: Sequence[str] = (),
    ) -> list[Answer]:
        """The answers in the order of `ids`; those not found where they should be, or in the
        queues `everywhere`, are looked for in all queues.
        """
        found: dict[str, Answer] = {}
        each_once = list(dict.fromkeys(ids))
        for at in range(0, len(each_once), PAGE):
            page = each_once[at : at + PAGE]
            hints = self._hints(page)
            hinted = (name for task_id in page for name in hints[task_id])
            names = dict.fromkeys([*hinted, *everywhere])
            size = self._size(list(names))
            for first in range(0, len(page), size):
                answers = act(page[first : first + size], list(names))
                found.update((answer.task_id, answer) for answer in answers)
            for task_id in page:
                is_unhinted = found[task_id].word == "WRONGTYPE" and not hints[task_id]
                if is_unhinted or found[task_id].word in ("GONE", "NOWHERE"):
                    with explained(self._broker.where):
                        known = self._inspector.known_queues(scan=not hints[task_id])
                    (found[task_id],) = act([task_id], known)
        return [found[task_id] for task_id in ids]

    def _size(self, names: Sequence[str]) -> int:
        """How many tasks one call may change in queues of this length."""
        pipe = self._broker.client.pipeline(transaction=False)
        for name in names:
            pipe.llen(self._layout.queue(name).pending)
        with explained(self._broker.where):
            lengths = listing.answers(pipe)
        return max(1, min(PAGE, STEPS // (1 + sum(length or 0 for length in lengths))))

    def _hints(self, ids: Sequence[str]) -> dict[str, list[str]]:
        """The queues that a task's hash names, the one of its claim first."""
        pipe = self._broker.client.pipeline(transaction=False)
        for task_id in ids:
            pipe.hmget(self._layout.task(task_id), ("claim", "queue"))
        with explained(self._broker.where):
            held = listing.answers(pipe)
        each_held = (each or (None, None) for each in held)
        return {
            task_id: listing.likely_queues(self._layout, claim, queue)
            for task_id, (claim, queue) in zip(ids, each_held, strict=True)
        }

    def _news(self) -> bytes:
        return self._broker.channels.news(self._broker.name)

    def _bases(self, names: Sequence[str]) -> list[str]:
        return [self._layout.queue(name).base for name in names]

    def _answers(self, ids: Sequence[str], raw: Sequence[Any]) -> list[Answer]:
        at, *each = raw
        return [
            self._answer(t, float(at), *map(to_text, a)) for t, a in zip(ids, each, strict=True)
        ]

    def _answer(self, task_id: str, at: float, word: str, *rest: str) -> Answer:
        if word == "WRONGTYPE":
            return Answer(task_id, word, at, problem=WrongTypeError(*rest))
        if word in ("FINISHED", "NOWHERE"):
            return Answer(task_id, word, at, state=rest[0])
        queue = self._layout.queue_of_base(rest[0]) if rest else ""
        return Answer(task_id, word, at, queue, rest[1] if len(rest) > 1 else "")
