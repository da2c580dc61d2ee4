"""What the settle script is told beside the outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runqy_notebook.broker.exchanges import Exchange, Retention
from runqy_notebook.wire.layout import Layout


@dataclass(frozen=True, slots=True)
class Asking:
    """The parts of a call that are the same from one exchange to the next.

    `replies` begins the key of each slot's reply, which the other `keys` follow. `number` is that
    of each queue among them, from 1; those to claim from come first.
    """

    replies: str
    keys: tuple[str, ...]
    number: Mapping[str, int]
    prefixes: tuple[str, str]
    terms: tuple[object, ...]

    @classmethod
    def of(
        cls, layout: Layout, exchange: Exchange, kept: Retention, lease: float, news: bytes
    ) -> Asking:
        """`kept` and `news` as in `Broker.retention` and `Channels.news`; `lease` in seconds."""
        queues = dict.fromkeys([*exchange.queues, *(o.task.queue for o in exchange.outcomes)])
        ours = (layout.ours + "waiting", layout.ours + "trimmed", layout.outbox)
        bases = (layout.queue(queue).base for queue in queues)
        return cls(
            layout.reply(""),
            (*ours, *bases),
            {queue: n for n, queue in enumerate(queues, 1)},
            (layout.tasks, layout.results),
            (
                lease,
                len(set(exchange.queues)),
                *kept.of_completed,
                *kept.of_archived,
                news,
                kept.terms(layout),
            ),
        )

    def call(
        self, exchange: Exchange, outcomes: Sequence[object] = (), *, again: bool = False
    ) -> tuple[list[object], list[object]]:
        """The script's KEYS and ARGV; `outcomes` nine by nine."""
        flags = (exchange.nonce, int(again), exchange.want)
        return (
            [self.replies + exchange.slot, *self.keys],
            [*self.prefixes, *flags, *self.terms, *outcomes],
        )

    def knows(self, queues: set[str]) -> bool:
        """Whether all of these are among the keys."""
        return self.number.keys() >= queues
