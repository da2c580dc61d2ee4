"""What a session receives: webhooks, as receipts and as events of their tasks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from runqy_notebook.broker.exchanges import Retention
from runqy_notebook.broker.server import Server
from runqy_notebook.deliver.signing import Secret
from runqy_notebook.delivering import Delivering
from runqy_notebook.echo.receipts import Receipt
from runqy_notebook.echo.webhooks import Webhooks
from runqy_notebook.handles import TaskHandle
from runqy_notebook.wire.events import Event, Kind

if TYPE_CHECKING:
    import pandas as pd

_MOST_EXPECTED = 10_000  # tasks of which webhooks are expected


class Echoing(Delivering):
    """The receiving half of a session: what arrives at `webhooks` becomes receipts and events."""

    def __init__(
        self, server: Server, retention: Retention, on_notice: Callable[[str], None]
    ) -> None:
        super().__init__(server, retention, on_notice)
        self.webhooks = Webhooks(on_notice, self._receiver_moved)
        self.webhooks.listen(self._received)
        self._echo_queues: OrderedDict[str, str] = OrderedDict()  # of tasks that make webhooks

    def echoes(self, limit: int | None = None) -> pd.DataFrame:
        """The webhooks that were received, the newest first; at most the newest 1,000 are kept."""
        from runqy_notebook import frames

        return frames.echoes(self.webhooks.receipts.newest(limit))

    def echoed(self, task_id: str) -> list[Event]:
        """The webhooks of this task that are kept, as events, the newest last."""
        kept = self.webhooks.receipts.newest()
        return [self._echo_of(each) for each in reversed(kept) if each.task_id == task_id]

    def _expect_echoes(self, handles: Sequence[TaskHandle]) -> None:
        """Remembers the queues of these tasks: what comes of them may come when nobody holds a
        handle any more, and is to be seen by who looks at their queue.
        """
        for handle in handles:
            self._echo_queues[handle.id] = handle.queue
        while len(self._echo_queues) > _MOST_EXPECTED:
            self._echo_queues.popitem(last=False)

    def _receiver_moved(self, url: str | None, secret: Secret | None) -> None:
        self.echo_at(url, secret.reveal() if secret else None)

    def _received(self, receipt: Receipt) -> None:
        if self.events.subscriptions:
            self.events.publish(self._echo_of(receipt))

    def _echo_of(self, receipt: Receipt) -> Event:
        """The news of a receipt: in `lines` its request line, its headers, an empty line and its
        body; in `note` its verdict and its latency.
        """
        task_id = receipt.task_id or ""
        handle = self._inbox.handle_of(task_id)
        headers = [f"{name}: {value}" for name, value in receipt.headers.items()]
        return Event(
            Kind.ECHO,
            task_id,
            handle.queue if handle else self._echo_queues.get(task_id, ""),
            receipt.received_at.timestamp(),
            self.id,
            note=f"{receipt.verdict}, {receipt.latency_ms:.0f} ms",
            lines=(
                f"{receipt.method} {receipt.path or '/'} from {receipt.source}",
                *headers,
                "",
                *receipt.text().splitlines(),
            ),
        )
