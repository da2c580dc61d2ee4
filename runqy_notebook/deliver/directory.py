"""Who may be delivered to: URLs of anybody, and names that this session gave to destinations."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from runqy_notebook.deliver.guard import destination, masked
from runqy_notebook.deliver.places import IN_CODE
from runqy_notebook.deliver.signing import Secret
from runqy_notebook.deliver.sink import Sink
from runqy_notebook.deliver.sinks import open_sink
from runqy_notebook.deliver.spool import LANE, Spool
from runqy_notebook.deliver.urls import shown
from runqy_notebook.deliver.webhook import Endpoint
from runqy_notebook.errors import DestinationError, one_line

MOST_PLACES: Final = 10
"""Destinations of one task; a task's hash may come from anybody."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_URL_LANE, _NAME_LANE = "url", "name:"


def places_of(text: str) -> tuple[str, ...]:
    """The URLs and names in a task's field `deliver`, where they are separated by spaces."""
    return tuple(dict.fromkeys(text.split()))[:MOST_PLACES] if text else ()


def checked_place(to: object) -> str:
    """A URL or a name to deliver to, as given; raises DestinationError."""
    if not isinstance(to, str) or "://" not in to:
        if isinstance(to, str) and _NAME.fullmatch(to):
            return to
        raise DestinationError(
            f"{one_line(repr(to), 80)} is neither a URL nor a name such as 'orders' "
            "(a letter, then letters, digits, _ and -)"
        )
    if not to.lower().startswith(("http:", "https:")):
        raise DestinationError(
            f"{shown(to)!r} is not a plain http:// or https:// URL, which alone may come with a "
            "task: give it a name, as session.destination('results', URL), or the handler, as "
            "@task(deliver_to=URL)"
        )
    destination(to)
    return str(to)


def checked_places(to: object) -> tuple[str, ...]:
    """One URL or name, or several; raises DestinationError."""
    given = [to] if isinstance(to, str) or not isinstance(to, (list, tuple, set)) else list(to)
    if len(given) > MOST_PLACES:
        raise DestinationError(f"{len(given)} destinations are more than {MOST_PLACES}")
    return tuple(dict.fromkeys(checked_place(each) for each in given))


@dataclass(frozen=True, slots=True)
class _Known:
    """The destinations at one moment; replaced, never changed, for threads read it."""

    by_name: dict[str, Sink]
    secrets: tuple[Secret, ...]


class Directory:
    """What one session knows of destinations. A *lane* is what must be known to deliver: the name
    of a destination, or the secret that signs what goes to a URL. So a session never takes what
    it would deliver to another place, or unsigned. What lies in a spool has lanes of its own.
    """

    def __init__(self, secrets: Sequence[Secret] = (), spool: Spool | None = None) -> None:
        self._known = _Known({}, tuple(secrets))
        self._spool = spool
        self._in_code: dict[str, tuple[str, Sink]] = {}  # opened, with the URL they were opened of
        self._lock = threading.Lock()

    def sign_with(self, secrets: Sequence[Secret]) -> None:
        """The secrets for URLs from now on, the newest first."""
        self._known = _Known(self._known.by_name, tuple(secrets))

    def add(self, name: str, sink: Sink) -> None:
        """Names a destination; raises DestinationError for a bad name or URL."""
        if not _NAME.fullmatch(name):
            raise DestinationError(f"{one_line(repr(name), 80)} is no name; write one as 'orders'")
        if isinstance(sink, Endpoint):
            destination(sink.url)
        before = self._known.by_name.get(name)
        self._known = _Known({**self._known.by_name, name: sink}, self._known.secrets)
        if before:
            before.close()

    def names(self) -> list[str]:
        return sorted(self._known.by_name)

    def lanes(self) -> list[str]:
        """The lanes that this session can deliver in."""
        known = self._known
        own = dict.fromkeys((*known.by_name, *IN_CODE))
        signed = [f"{_URL_LANE}:{_fingerprint(secret)}" for secret in known.secrets]
        lanes = [_URL_LANE, *signed, *(_NAME_LANE + name for name in own)]
        if self._spool and self._spool.id:
            lanes += [self._spool.lane(lane) for lane in lanes]
        return lanes

    def can_serve(self, lane: str) -> bool:
        """Whether this session can deliver in that lane."""
        return lane in self.lanes()

    def known(self, name: str) -> Sink | None:
        """The destination of that name, if this session knows one."""
        if found := self._known.by_name.get(name):
            return found
        if name not in IN_CODE:
            return None
        with self._lock:
            url, sink = self._in_code.get(name, ("", None))
            if sink is None or url != IN_CODE[name]:
                url = IN_CODE[name]
                sink = open_sink(url)
                self._in_code[name] = (url, sink)
            return sink

    def shown(self, to: str) -> str:
        """A place as a person may see it: what an internal name stands for, without secrets."""
        return shown(IN_CODE[to]) if to in IN_CODE else masked(to)

    def close(self) -> None:
        """Ends the connections of its destinations."""
        for sink in (*self._known.by_name.values(), *(sink for _, sink in self._in_code.values())):
            sink.close()

    def lane_of(self, to: str) -> str:
        """Where a row for this place belongs; raises DestinationError for none."""
        if _NAME.fullmatch(checked_place(to)):
            return _NAME_LANE + to
        return self.url_lane

    @property
    def url_lane(self) -> str:
        """Where rows for URLs belong: to those who have the secret that signs them now."""
        secrets = self._known.secrets
        return f"{_URL_LANE}:{_fingerprint(secrets[0])}" if secrets else _URL_LANE

    def sink(self, to: str, lane: str) -> Sink:
        """What a row of one of our lanes goes to; raises DestinationError where it is none."""
        known = self._known
        if lane.startswith(LANE):
            lane = lane.removeprefix(LANE).partition(":")[2]
        if not lane.startswith(_NAME_LANE):
            return Endpoint(to, known.secrets if lane != _URL_LANE else ())
        if lane != _NAME_LANE + to or not (found := self.known(to)):
            raise DestinationError(f"this session knows no destination {one_line(to, 80)!r}")
        return found


def _fingerprint(secret: Secret) -> str:
    """Tells secrets apart without telling them: they are random, so no guess can be checked."""
    return hashlib.sha256(b"runqy lane" + secret.key).hexdigest()[:16]
