"""What a session delivers: results to receivers, through the outbox."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runqy_notebook.broker.embedded import default_state_dir
from runqy_notebook.broker.outbox import Kept, Outbox
from runqy_notebook.deliver import outlet
from runqy_notebook.deliver.courier import Courier, Report, Rules
from runqy_notebook.deliver.directory import Directory, checked_places
from runqy_notebook.deliver.guard import destination
from runqy_notebook.deliver.packing import About, Packer
from runqy_notebook.deliver.schedule import Schedule
from runqy_notebook.deliver.signing import Secret
from runqy_notebook.deliver.sinks import open_sink
from runqy_notebook.deliver.spool import Bounds, Spool
from runqy_notebook.deliver.webhook import Endpoint
from runqy_notebook.errors import EmbeddedServerError, SettingsError, UsageError, one_line
from runqy_notebook.listening import Listening
from runqy_notebook.settings import Settings
from runqy_notebook.tasks import REGISTRY
from runqy_notebook.wire.deliveries import Address, new_delivery_id
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.payload import encode_value
from runqy_notebook.worker.addressing import Addressing

if TYPE_CHECKING:
    import pandas as pd

ECHO = "echo"
"""The word for this session's own receiver, wherever a destination is named."""


class Delivering(Listening):
    """The delivering half of a session. Its methods raise ConnectionFailedError."""

    settings: Settings

    def _open_outbox(self) -> None:
        self._spool = Spool(_spool_folder(self.settings), _bounds(self.settings), self._on_notice)
        self._directory = Directory(_secrets(self.settings), self._spool)
        self._packer = Packer(self._directory, self._spool, self._on_notice)
        self._outbox = Outbox(
            self.server.client,
            self.server.where,
            _kept(self.settings),
            news=lambda: self._broker.channels.news(self.id),
        )
        self._own: frozenset[tuple[str, int]] = frozenset()
        self._echo: tuple[str, str] | None = None  # its URL, and the name it is delivered by
        self._courier = Courier(
            self._outbox,
            self._directory,
            self.id,
            self._rules,
            spool=self._spool,
            on_attempt=self._tell_attempt,
            notice=self._on_notice,
        )
        outlet.opened(self.deliver)

    def _reconfigure_outbox(self) -> None:
        self._directory.sign_with(_secrets(self.settings))
        self._outbox.kept = _kept(self.settings)
        self._spool.bounds = _bounds(self.settings)

    def _close_outbox(self) -> None:
        outlet.closed(self.deliver)
        self._courier.stop(self.settings.shutdown_timeout)
        self._directory.close()

    def destination(
        self,
        name: str,
        url: str,
        *,
        secret: str | Sequence[str] | None = None,
        allow_private: bool = False,
        **options: Any,
    ) -> None:
        """Gives a place that results go to a name, for `deliver_to`: an http(s) URL, or one of
        blob storage, a database or a message queue (docs/destinations.md), which may have options
        of its own: `statement` for a database.

        `secret` (`whsec_...`) signs what goes there, by default the setting `webhook_secret`; two
        of them sign while one replaces the other. `allow_private`: it may be at an address that
        only machines here can reach. Raises DestinationError, UsageError for a bad secret.
        """
        if name == ECHO:
            raise UsageError(f"{ECHO!r} is this session's own receiver; choose another name.")
        if not url.lower().startswith(("http:", "https:")):
            if secret is not None or allow_private:
                raise UsageError("secret and allow_private are for http:// and https:// alone.")
            self._directory.add(name, open_sink(url, **options))
            self._courier.wake()
            return
        if options:
            raise UsageError(f"A webhook takes no {', '.join(options)}.")
        texts = [secret] if isinstance(secret, str) else secret
        keys = _secrets(self.settings) if texts is None else tuple(map(Secret.of, texts))
        self._directory.add(name, Endpoint(url, keys, allow_private))
        self._courier.wake()

    @property
    def destinations(self) -> list[str]:
        """The names that were given."""
        return [name for name in self._directory.names() if not name.startswith(f"{ECHO}-")]

    def deliver(self, to: str | Sequence[str], value: object, *, task_id: str = "") -> list[str]:
        """Has a value delivered to URLs or destinations, signed and retried like a result: JSON,
        unless all of them are destinations of this session that take files. Gives the ids
        of the deliveries. Raises DestinationError, PayloadError.
        """
        places = checked_places(self._without_echo(to))
        takes_files = all(self._packer.takes_files(place) for place in places)
        text = b"" if takes_files else encode_value(value, "value")
        addresses = tuple(
            Address(place, self._directory.lane_of(place), 0.0, new_delivery_id())
            for place in places
        )
        self._outbox.post(self._packer.of_result(About(task_id), addresses, value, text))
        self._courier.start()
        return [each.id for each in addresses]

    def deliveries(self, limit: int = 1_000) -> pd.DataFrame:
        """What was and is to be delivered, the newest first."""
        from runqy_notebook import frames

        records = self._outbox.records(limit)
        return frames.deliveries([replace(r, to=self._directory.shown(r.to)) for r in records])

    def retry_delivery(self, delivery_id: str) -> None:
        """Has a delivery attempted at once, and then by its schedule; a receiver that was gone is
        tried again. Raises UsageError where there is nothing to send.
        """
        answer = self._outbox.redeliver(delivery_id)
        if answer != "OK":
            raise UsageError(f"Delivery {one_line(delivery_id, 80)!r} {_WHY_NOT[answer]}.")
        self._courier.start()

    def echo_at(self, url: str | None, secret: str | None = None) -> None:
        """Makes `echo` mean the receiver at this URL, at an IP address of this machine; None: it is
        no more.
        """
        if url is None:
            self._echo, self._own = None, frozenset()
            return
        to = destination(url)
        name = f"{ECHO}-{secrets.token_hex(8)}"
        keys = (Secret.of(secret),) if secret else ()
        self._directory.add(name, Endpoint(url, keys, allow_private=True))
        self._echo, self._own = (url, name), frozenset({(to.host, to.port)})

    def echo_url(self) -> str:
        """Where `echo` is; raises UsageError where no receiver runs."""
        return self._echo_or_raise()[0]

    # --- inside ---------------------------------------------------------------------------------

    def _without_echo(self, to: Any) -> Any:
        """`echo` among destinations replaced by a name that no other session has."""
        if to == ECHO:
            return self._echo_or_raise()[1]
        if isinstance(to, (list, tuple, set)):
            return [self._without_echo(each) for each in to]
        return to

    def _echo_or_raise(self) -> tuple[str, str]:
        if self._echo is None:
            raise UsageError("No receiver runs in this kernel: %runqy webhook start.")
        return self._echo

    def _resolved(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Options of `enqueue` in which `echo` means this session's receiver."""
        resolved = dict(options)
        if resolved.get("webhook") == ECHO:
            resolved["webhook"] = self.echo_url()
        if resolved.get("deliver_to") is not None:
            resolved["deliver_to"] = self._without_echo(resolved["deliver_to"])
        return resolved

    def _addressing(self) -> Addressing:
        """What the worker puts to the outcomes of its tasks."""
        return Addressing(
            REGISTRY,
            self._directory,
            self._packer,
            first_wait=self._first_wait,
            on_posted=self._courier.wake,
            notice=self._on_notice,
        )

    def _first_wait(self) -> float:
        return Schedule.of(self.settings.deliver_schedule).waits[0]

    def _rules(self) -> Rules:
        schedule = Schedule.of(self.settings.deliver_schedule)
        return Rules(schedule, self.settings.deliver_deadline, self._own)

    def _tell_attempt(self, report: Report) -> None:
        row = report.row
        if not row.queue:
            return
        self.events.publish(
            Event(
                Kind.DELIVERED,
                row.task_id,
                row.queue,
                report.at,
                self.id,
                attempt=report.made,
                error=report.error,
                note=report.note,
            )
        )


_WHY_NOT = {
    "UNKNOWN": "is not known (any more)",
    "SENDING": "is just being attempted",
    "DELIVERED": "was delivered, and what was sent is no longer held",
}


def checked(settings: Settings) -> Settings:
    """The same settings; raises SettingsError for a secret that is none."""
    _secrets(settings)
    return settings


def _kept(settings: Settings) -> Kept:
    return Kept(settings.deliveries_ttl, settings.deliveries_cap)


def _bounds(settings: Settings) -> Bounds:
    return Bounds(settings.spool_ttl, settings.spool_mb * 2**20)


def _spool_folder(settings: Settings) -> Path:
    if settings.state_dir:
        return Path(settings.state_dir).expanduser() / "spool"
    try:
        return default_state_dir() / "spool"
    except EmbeddedServerError:  # a user without a home
        return Path(tempfile.gettempdir(), f"runqy_notebook-{os.getuid()}-spool")


def _secrets(settings: Settings) -> tuple[Secret, ...]:
    """The setting's secrets, the newest first; raises SettingsError, which does not quote them."""
    try:
        return tuple(map(Secret.of, (settings.webhook_secret or "").split()))
    except UsageError as error:
        raise SettingsError(f"The setting webhook_secret: {error}") from None
