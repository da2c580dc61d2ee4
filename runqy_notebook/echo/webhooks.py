"""What a session has of webhooks: at most one receiver, and the receipts of all it ever had."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from os import getpid
from typing import TYPE_CHECKING

from runqy_notebook.deliver.signing import Secret
from runqy_notebook.echo import directory, sending, surroundings
from runqy_notebook.echo.announcing import Announcer, Listener
from runqy_notebook.echo.receipts import Receipts
from runqy_notebook.errors import UsageError

if TYPE_CHECKING:
    from runqy_notebook.echo.server import Receiver


@dataclass(frozen=True, slots=True)
class Status:
    """A running receiver. `verdicts` and `refused` count what it took and what it did not take, by
    reason; `dropped` of the receipts came too fast for those who listen.
    """

    url: str
    relay_url: str | None
    since: datetime
    requires_signature: bool
    verdicts: Mapping[str, int]
    refused: Mapping[str, int]
    dropped: int


class Webhooks:
    """Receives webhooks from `start` to `stop`; the receipts stay.

    `notice` is told what a person should know, `on_move` the URL of the receiver and its secret
    when one has started, and None twice when it stops.
    """

    def __init__(
        self,
        notice: Callable[[str], None] = lambda text: None,
        on_move: Callable[[str | None, Secret | None], None] = lambda url, secret: None,
    ) -> None:
        self.receipts = Receipts()
        self._on_move = on_move
        self._announcer = Announcer(self.receipts, notice)
        self._secrets: tuple[Secret, ...] = ()
        self._running: _Running | None = None

    def start(
        self,
        *,
        require_signature: bool = False,
        secret: str | Secret | Iterable[str | Secret] | None = None,
        relay: bool = False,
    ) -> str:
        """Starts the receiver and gives its URL; one that runs already with the same options stays.

        A webhook that is signed must be so with `secret` (one or several); without one, the session
        makes one, see `secret`. One that is not signed is taken too, unless `require_signature`.
        With `relay` the Jupyter server passes on signed ones, see `relay_url`. Raises UsageError.
        """
        asked = _secrets_of(secret)
        if self._running is not None:
            if not self._running.fits(require_signature, relay) or asked not in ((), self._secrets):
                raise UsageError(
                    "A receiver is running already, with other options: stop it first (%runqy "
                    "webhook stop)."
                )
            return self._running.receiver.url
        self._secrets = asked or self._secrets or (Secret.new(),)
        from runqy_notebook.echo.app import (
            Desk,  # tornado takes a while, and not everybody starts it
        )
        from runqy_notebook.echo.screening import SignatureCheck
        from runqy_notebook.echo.server import Receiver

        check = SignatureCheck(self._secrets, is_required=require_signature)
        self._running = _Running(Receiver(Desk(check, self.receipts)), relay=relay)
        self._announcer.start()
        self._on_move(self.url, self.secret)
        return self._running.receiver.url

    def stop(self) -> bool:
        """Stops the receiver; False where none runs. Its URL will never work again."""
        running, self._running = self._running, None
        if running is None:
            return False
        self._on_move(None, None)
        running.stop()
        self._announcer.stop()
        return True

    @property
    def url(self) -> str | None:
        """Where webhooks are taken, from this machine, while a receiver runs."""
        return self._running.receiver.url if self._running else None

    @property
    def relay_url(self) -> str | None:
        """Where the Jupyter server takes them, while it does."""
        return self._running.relay_url if self._running else None

    @property
    def secret(self) -> Secret | None:
        """What senders sign with, once a receiver was started; `secret.reveal()` is its text."""
        return self._secrets[0] if self._secrets else None

    @property
    def status(self) -> Status | None:
        """None where no receiver runs."""
        if self._running is None:
            return None
        desk = self._running.receiver.desk
        return Status(
            url=self._running.receiver.url,
            relay_url=self._running.relay_url,
            since=self._running.since,
            requires_signature=desk.check.is_required,
            verdicts=dict(desk.verdicts),
            refused=dict(desk.refused),
            dropped=self._announcer.dropped,
        )

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Has `listener` called with each receipt, in order, on a thread of ours; what is given
        back ends that. One too slow misses receipts, never holds up a webhook.
        """
        return self._announcer.listen(listener)

    def replay(self, receipt_id: str, to: str | None = None) -> sending.Answer:
        """Sends a receipt's webhook again, to `to` or to the receiver; raises UsageError."""
        receipt = self.receipts.get(receipt_id)
        url = to or self.url
        if url is None:
            raise UsageError(
                "No receiver is running: start one (%runqy webhook start), or say where to "
                "(--to URL)."
            )
        return sending.send(receipt, url, self._secrets)


class _Running:
    """A receiver, and its listing if the relay is to know of it."""

    def __init__(self, receiver: Receiver, *, relay: bool) -> None:
        self.receiver = receiver
        self.since = datetime.now(timezone.utc)
        self.relay_url: str | None = None
        self._listing: directory.Listing | None = None
        receiver.start()
        if relay:
            try:
                self._list()
            except UsageError:
                receiver.stop()
                raise

    def fits(self, require_signature: bool, relay: bool) -> bool:
        """Whether it was started with these options."""
        was_required = self.receiver.desk.check.is_required
        return was_required == require_signature and (self._listing is not None) == relay

    def stop(self) -> None:
        if self._listing is not None:
            self._listing.close()
        self.receiver.stop()

    def _list(self) -> None:
        token = secrets.token_urlsafe(32)
        entry = directory.Entry(
            port=self.receiver.port,
            relay_key=self.receiver.desk.relay_key,
            pid=getpid(),
            since=time.time(),
            notebook=surroundings.notebook_name(),
        )
        self._listing = directory.Listing(surroundings.runtime_folder(), token, entry)
        self.relay_url = surroundings.relay_url(token)


def _secrets_of(given: str | Secret | Iterable[str | Secret] | None) -> tuple[Secret, ...]:
    if given is None:
        return ()
    several = (given,) if isinstance(given, (str, Secret)) else tuple(given)
    return tuple(one if isinstance(one, Secret) else Secret.of(one) for one in several)
