"""A claim that is sent before there is anything to claim.

It stands behind the `BLMOVE` that waits for a task, on the same connection: the server runs it the
moment the wait is over, so that an idle worker has the task by one answer instead of a question and
its answer. It stands behind several waits at a time, and the slot may ask for it outright as well:
all are the same exchange, by its nonce, so it takes tasks once, and one that comes after a later
exchange of the slot takes none.
"""

from __future__ import annotations

from typing import Any

from runqy_notebook.broker.exchanges import Exchange


class Ahead:
    """A slot's next claim, under way. It is over once it took tasks, or was *called in*: asked for
    again with nothing wanted, which brings what it took, or else keeps it from taking any more.
    """

    __slots__ = ("answer", "command", "exchange", "has_tasks", "queues")

    def __init__(self, exchange: Exchange, command: bytes) -> None:
        self.exchange = exchange
        self.queues = frozenset(exchange.queues)
        self.command = command  # as it is sent
        self.answer: Any = None  # the script's; None: nobody heard one yet
        self.has_tasks = False  # whether it is known to have taken tasks

    def is_same_as(self, other: Ahead | None) -> bool:
        """Whether both are the same exchange, so that only one of them can take tasks."""
        return other is not None and self.exchange.nonce == other.exchange.nonce

    def answered(self, answer: Any) -> None:
        """Takes note of an answer; one that took tasks stays."""
        if isinstance(answer, list) and not self.has_tasks:
            self.answer = answer
            self.has_tasks = bool(answer[1])
