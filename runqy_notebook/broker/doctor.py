"""Finds what only an outsider can break, and what keeps tasks from running; mends it on request.

A healthy Redis gives no findings. What a task looks like while a foreign worker moves it (taken out
of one list, not yet in the next) counts only if it looks so again `patience` seconds later: the
first sight is remembered in Redis. So tasks that were lost show from the second examination on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from math import inf
from typing import Final

import redis

from runqy_notebook.broker import checkup, diagnosis
from runqy_notebook.broker.boundary import explained
from runqy_notebook.broker.checkup import Staff
from runqy_notebook.broker.diagnosis import Sight, Verdict
from runqy_notebook.broker.doubts import Doubts
from runqy_notebook.broker.findings import Finding as Finding
from runqy_notebook.broker.findings import Kind as Kind
from runqy_notebook.broker.findings import counted
from runqy_notebook.broker.records import WorkerRecord
from runqy_notebook.broker.rounds import Rounds
from runqy_notebook.broker.scripts import Script
from runqy_notebook.wire.layout import DOCUMENTED, Layout, to_bytes

PATIENCE: Final = 60.0
MOST_REPAIRS: Final = 10_000
"""Repairs of one examination: each has to look along the queue that it lengthens."""

_REQUEUE: Final = Script("requeue")
_TAKE_BACK: Final = Script("take_back")
_MEND_LEASE: Final = Script("mend_lease")
_REPAIRS: Final = {
    Kind.LOST: _REQUEUE,
    Kind.LATE_HASH: _REQUEUE,
    Kind.ABANDONED: _TAKE_BACK,
    Kind.UNLEASED: _TAKE_BACK,
    Kind.UNLISTED: _MEND_LEASE,
}
_RESULTS: Final = {
    b"REQUEUED": "put at the front of its queue",
    b"DROPPED": "taken out of active; it stands elsewhere too",
    b"RELISTED": "put back into active",
    b"REMOVED": "lease removed",
    b"UNSOUND": "left alone: a key of its queue has a wrong type",
}
_MOVED: Final = "left alone: it moved meanwhile"


class Doctor:
    """Examines one Redis."""

    def __init__(self, client: redis.Redis, where: str, layout: Layout = DOCUMENTED) -> None:
        self._client = client
        self._where = where
        self._layout = layout

    def examine(
        self,
        *,
        repair: bool = False,
        patience: float = PATIENCE,
        served: Collection[str] = (),
        has_handler: Callable[[str], bool] | None = None,
        handled: Collection[str] = (),
    ) -> list[Finding]:
        """All that is wrong, the server first; with `repair` what could be repaired has a result.

        `served`, `has_handler` and `handled` speak of the worker in this process: the names that it
        serves, whether it can run the tasks of a queue, and the names that its handlers have. Tasks
        of live foreign workers are never touched. Raises ConnectionFailedError.
        """
        with explained(self._where):
            facts = checkup.server_facts(self._client)
            found = list(checkup.judge_server(facts))
            if not checkup.takes_writes(facts):
                return found  # nothing can be remembered here, nor be repaired
            doubts = Doubts(self._client, self._layout)
            rounds = Rounds(self._client, self._layout)
            census = rounds.census()
            found += checkup.wrong_types(self._client, self._layout, census.queues)
            suspects = rounds.suspects(census.queues, patience=patience)
            names = sorted({*census.queues, *suspects.queues})
            workers = rounds.workers(census.worker_ids)
            found += self._judge_tasks(rounds.look(suspects.ids, names), doubts, workers, patience)
            if repair:
                found = self._repaired(found, names)
            found += self._judge_queues(names, Staff(workers, served, has_handler, handled))
            return found

    def _judge_tasks(
        self,
        sights: Iterator[list[Sight]],
        doubts: Doubts,
        workers: Sequence[WorkerRecord],
        patience: float,
    ) -> list[Finding]:
        found: list[Finding] = []
        doubtful = 0
        for page in sights:
            verdicts = [v for sight in page for v in diagnosis.judge(sight, workers, self._layout)]
            ages = doubts.ages([v.doubt for v in verdicts if v.is_doubt])
            sure = [v.finding for v in verdicts if ages.get(v.doubt, inf) >= max(patience, 0)]
            doubtful += len(verdicts) - len(sure)
            found += sure
        doubts.forget_others()
        found = diagnosis.foreign_together(found)
        return [*found, _doubt_note(doubtful, patience)] if doubtful else found

    def _judge_queues(self, names: Sequence[str], staff: Staff) -> list[Finding]:
        charts = checkup.charts(
            self._client, self._layout, names, [w for w in staff.workers if w.is_live]
        )
        return [found for chart in charts for found in checkup.judge_queue(chart, staff)]

    def _repaired(self, findings: Sequence[Finding], names: Sequence[str]) -> list[Finding]:
        """The same findings; those that can be repaired now say what came of it."""
        left = MOST_REPAIRS
        done = []
        for finding in findings:
            if finding.can_repair and left:
                left -= 1
                finding = replace(finding, result=self._repair(finding, names))
            done.append(finding)
        return done

    def _repair(self, finding: Finding, names: Sequence[str]) -> str:
        """One script call, which looks first whether the finding still holds."""
        queue, task_id = finding.queue or "", finding.task_id or ""
        others = [name for name in names if name != queue]
        ours = self._layout.ours
        answer = _REPAIRS[finding.kind](
            self._client,
            [
                ours + "doubts",
                ours + "waiting",
                *(self._layout.queue(name).base for name in (queue, *others)),
            ],
            [self._layout.tasks, to_bytes(task_id), to_bytes(Verdict(finding).doubt)],
        )
        return _RESULTS.get(answer, _MOVED)


def _doubt_note(number: int, patience: float) -> Finding:
    return Finding(
        Kind.DOUBT,
        None,
        None,
        f"{counted(number)} may be on the way from one list to another, or lost there.",
        f"%runqy doctor, {patience:g} s from now, tells which.",
        is_note=True,
    )
