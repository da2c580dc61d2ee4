"""What a session receives: webhooks, as receipts and as events of their tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runqy_notebook.broker.broker import Retention
from runqy_notebook.broker.server import Server
from runqy_notebook.deliver.signing import Secret
from runqy_notebook.delivering import Delivering
from runqy_notebook.echo.receipts import Receipt
from runqy_notebook.echo.webhooks import Webhooks
from runqy_notebook.wire.events import Event, Kind

if TYPE_CHECKING:
    import pandas as pd


class Echoing(Delivering):
    """The receiving half of a session: what arrives at `webhooks` becomes receipts and events."""

    def __init__(
        self, server: Server, retention: Retention, on_notice: Callable[[str], None]
    ) -> None:
        super().__init__(server, retention, on_notice)
        self.webhooks = Webhooks(on_notice, self._receiver_moved)
        self.webhooks.listen(self._received)

    def echoes(self, limit: int | None = None) -> pd.DataFrame:
        """The webhooks that were received, the newest first; at most the newest 1,000 are kept."""
        from runqy_notebook import frames

        return frames.echoes(self.webhooks.receipts.newest(limit))

    def echoed(self, task_id: str) -> list[Event]:
        """The webhooks of this task that are kept, as events, the newest last."""
        kept = self.webhooks.receipts.newest()
        return [self._echo_of(each) for each in reversed(kept) if each.task_id == task_id]

    def _receiver_moved(self, url: str | None, secret: Secret | None) -> None:
        self.echo_at(url, secret.reveal() if secret else None)

    def _received(self, receipt: Receipt) -> None:
        if self.events.subscriptions:
            self.events.publish(self._echo_of(receipt))

    def _echo_of(self, receipt: Receipt) -> Event:
        """The news of a receipt: in `lines` its request line, its headers, an empty line and its
        body; in `note` its verdict and its latency.
        """
        handle = self._inbox.handle_of(receipt.task_id) if receipt.task_id else None
        headers = [f"{name}: {value}" for name, value in receipt.headers.items()]
        return Event(
            Kind.ECHO,
            receipt.task_id or "",
            handle.queue if handle else "",
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
