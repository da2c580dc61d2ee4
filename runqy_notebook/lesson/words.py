"""What a lesson says: a sentence or two for each move, in the words of the glossary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runqy_notebook.broker.keys import Snapshot
from runqy_notebook.errors import one_line
from runqy_notebook.lesson.scene import short
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.layout import Layout
from runqy_notebook.wire.outcomes import Archived, Completed, Crashed, Outcome, Retried


def started(worker_id: str, pid: int, guardian: int | None) -> str:
    guard = (
        f"a guardian (process {guardian}) watches it, to give back what it holds should it die"
        if guardian
        else "it has no guardian here, so only its leases protect what it holds"
    )
    return f"A worker started in process {pid}; {guard}. It has taken nothing yet."


def claimed(tasks: Sequence[Task], lease: float) -> str:
    (task,) = tasks
    again = ""
    if task.is_suspect:
        again = " It is a suspect, for it ran when its worker died: it runs apart from now on."
    elif task.retry:
        again = f" It is attempt {task.retry + 1} of {task.max_retry + 1}."
    return (
        f"Task {short(task.id)} went from pending to active, under a lease of {lease:g} s that the "
        f"worker renews, and with a fencing token: only this claim can write its outcome.{again}"
    )


def not_claimed(waiting: Sequence[str], unsound: Sequence[str] = ()) -> str:
    """Why a claim gave no task."""
    if unsound:
        return f"The queue was passed over. {unsound[0]}"
    if waiting:
        return (
            f"The id {short(waiting[0], 20)} has no task hash. Its producer may be slow, so it "
            "goes to the waiting room and is looked at again."
        )
    return "There was nothing to claim: another worker was quicker, or the queue is paused."


def ran(task: Task, outcome: Outcome, seconds: float) -> str:
    """How the handler ended; nothing of it is in Redis yet."""
    lasted = f"{seconds * 1000:.0f} ms" if seconds < 0.1 else f"{seconds:.1f} s"
    head = f"The handler ran for {lasted} and "
    yet = " Redis knows nothing of that yet: until the acknowledgement the task stays active."
    match outcome:
        case Completed():
            return f"{head}returned: task {short(task.id)} is to be completed.{yet}"
        case Retried(error=error):
            return f"{head}raised {one_line(error, 120)}. It is to be retried.{yet}"
        case Archived(error=error):
            return f"{head}failed for the last time ({one_line(error, 120)}).{yet}"
        case Crashed(error=error):
            return (
                f"It ran apart, and {one_line(error, 120)}. Only that process is gone; the worker "
                "lives on."
            )
        case _:
            return f"The task was taken from this worker while it ran: its outcome is dropped.{yet}"


def acknowledged(outcome: Outcome, told: dict[str, Any], *, again: bool) -> str:
    """What the broker answered."""
    task_id = short(outcome.task.id)
    (answer,) = told["answers"] or ["OK"]
    if again:
        head = (
            "The worker asked the same again, with the same nonce. Redis gave the answer that it "
            "gave before, and did nothing twice. "
        )
    else:
        head = "Outcome and state were written in one step, by one script. "
    if answer == "FENCED":
        return (
            f"{head}The token was an old one, as task {task_id} was given to somebody else "
            "meanwhile: this outcome is dropped."
        )
    if answer == "CANCELLED":
        return f"{head}Task {task_id} was cancelled meanwhile, and is archived as that."
    if answer != "OK":
        return f"{head}Task {task_id}: {answer}."
    match outcome:
        case Completed():
            return f"{head}Task {task_id} is completed."
        case Retried(delay=delay):
            return f"{head}Task {task_id} waits in retry, and is due in {delay:.1f} s."
        case Archived():
            return f"{head}Task {task_id} is archived: no attempt is left, or it gave up."
        case Crashed():
            return f"{head}Task {task_id} goes back; it is counted that it killed its process."
        case _:
            return f"{head}Task {task_id} goes back to the front of its queue."


def unanswered() -> str:
    return (
        "Redis wrote the outcome down, but the reply was lost on its way: the worker cannot know. "
        "It will ask again, with the same nonce."
    )


def failed(cause: str) -> str:
    return f"The worker got no answer ({one_line(cause, 120)}). It will ask again."


_SWEPT = {
    "suspect": "The lease of {} has ended. A frozen worker may yet come back, so it is only a "
    "suspect: whoever renews before the second look keeps it.",
    "redelivered": "On the second look the lease of {} was still over: it went back to the front "
    "of its queue. Nobody saw why it was lost, so nobody is blamed.",
    "crashed": "{} was lost with its worker too often; it is archived.",
    "cancelled": "{} was to be cancelled; it is archived.",
    "orphan": "The id {} had no hash on the third look: it is archived as an orphan, and stops "
    "nobody.",
}


def swept(found: Sequence[tuple[str, str]], due: Sequence[str], after: Snapshot, why: str) -> str:
    """What a sweep did: `due` came to pending."""
    said = []
    if due:
        names = ", ".join(short(task_id) for task_id in due[:3])
        more = f" and {len(due) - 3} more" if len(due) > 3 else ""
        said.append(f"{names}{more} came due, and went to pending.")
    said += [
        _SWEPT[kind].format(short(task_id, 20)) for kind, task_id in found[:3] if kind in _SWEPT
    ]
    if after.waiting and not found:
        first = next(iter(after.waiting))
        said.append(f"{short(first, 20)} still has no hash: it is looked at once more.")
    return " ".join(said) or why or "Another worker's sweep was quicker: there was nothing to do."


def nothing_lost(held: Task | None) -> str:
    """What a sweep after a frozen server says where it took nothing away."""
    if held is None:
        return "The sweep looked for leases that ended meanwhile: there was none."
    return (
        f"The sweep took nothing away: the lease of {short(held.id)} was renewed as soon as the "
        "server answered again."
    )


def killed(
    held: Task | None,
    how: str,
    stage: str,
    before: dict[str, str],
    after: dict[str, str],
    *,
    both: bool,
) -> str:
    """What became of what the worker held. `before` and `after` are the task's hash."""
    if held is None:
        return f"The worker {how}. It held nothing, so nothing had to be given back."
    name = short(held.id)
    head = f"The worker {how} {stage}. "
    if both:
        return (
            f"{head}Its guardian died with it, so nobody knows: task {name} stays active until "
            "its lease ends."
        )
    if after.get("claim") == before.get("claim"):
        if "claim" not in before:
            return f"{head}Redis had the outcome of task {name} already: nothing is to be done."
        return f"{head}Task {name} stays active until its lease ends."
    if after.get("state") == "archived":
        return f"{head}Its guardian saw it: {one_line(after.get('error_msg', ''), 80)}; archived."
    blame = "It had not been running, so it is not blamed."
    if after.get("crashes") != before.get("crashes"):
        blame = (
            "It was the only one running there, so it is known to be why: a crash is counted, and "
            "from now on it runs apart."
        )
    elif after.get("losses") != before.get("losses"):
        blame = "It may be why, or not: from now on it runs apart."
    return f"{head}Its guardian gave task {name} back at once, to the front of its queue. {blame}"


def died(held: Task | None) -> str:
    name = f" with task {short(held.id)}" if held else ""
    return f"The worker's process died{name}: Next shows what becomes of that."


def will_lose() -> str:
    return "The answer to the next acknowledgement will be lost. Go on with Next."


def frozen(seconds: float, lease: float, held: Task | None) -> str:
    head = f"For {seconds:g} s the server answered nobody (SIGSTOP), then it went on (SIGCONT). "
    if held is None:
        return f"{head}Nothing was running; what waits still waits."
    return (
        f"{head}That is longer than the lease of {lease:g} s, but leases go by the server's clock, "
        f"and one that has ended makes task {short(held.id)} only a suspect: the worker had time "
        "to renew it."
    )


def pushed(task_id: str) -> str:
    return (
        f"The id {task_id} was pushed without a task hash, as by a producer that died half-way. "
        "Next brings a worker to it."
    )


def nothing(seen: Snapshot, queue: str, due_in: float | None, *, has_handler: bool) -> str:
    """Why there is no move."""
    if seen.odd:
        return (
            f"The key {seen.odd[0]} holds a {seen.odd[1]}, so nothing is claimed until it is "
            "renamed or deleted."
        )
    if seen.is_paused:
        return f"The queue is paused, so nothing is claimed: %runqy resume {queue}."
    if not has_handler:
        return f"No handler takes tasks of {queue}: mark a function with @task."
    if due_in is not None:
        return f"Nothing is due; the next task comes due in {due_in:.0f} s."
    return f"No task waits: enqueue one (%runqy enqueue {queue} {{...}}), then Next."


def hash_of(seen: Snapshot, layout: Layout, task: Task | None) -> dict[str, str]:
    return seen.task(layout, task.id) if task else {}
