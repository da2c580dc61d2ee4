"""Hearing what others publish: one connection and one thread, from the first wish on."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import redis

from runqy_notebook.broker.channels import Channels
from runqy_notebook.broker.impatient import is_in_process
from runqy_notebook.wire.events import Event, decode_event

CONFIRMED_WITHIN: Final = 1.0
"""Seconds that a wish to hear waits for Redis; where it takes longer, news come late."""

_SILENCE = 30.0  # seconds after which a silent connection is tried with a PING
_FIRST_REST, _LAST_REST = 0.2, 5.0  # seconds before a lost connection is opened again
_PRUNE_EVERY = 10.0  # seconds between questions whether a queue is still wanted

Message = Callable[[bytes], None]


class Subscriber:
    """Hears the news of some queues and hands them on, each event once.

    News are a convenience: where Redis is away, or forbids to subscribe, none come and nothing is
    raised. Inside a process of one's own (fakeredis) there is nobody else to hear.
    """

    def __init__(
        self,
        client: redis.Redis,
        channels: Channels,
        on_event: Callable[[Event], None],
        is_wanted: Callable[[str], bool] = lambda queue: True,
    ) -> None:
        self._pool = client.connection_pool
        self._channels = channels
        self._on_event = on_event
        self._is_wanted = is_wanted
        self._is_deaf = is_in_process(client)
        self._exact: frozenset[str] = frozenset()  # what is wished for
        self._patterns: frozenset[str | None] = frozenset()
        self._others: dict[bytes, Message] = {}
        self._heard_others: set[bytes] = set()
        self._asked: set[bytes] = set()  # of the present connection
        self._connection: Any = None
        self._bell, self._ringer = socket.socketpair()
        self._bell.setblocking(False)
        self._ringer.setblocking(False)
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    # --- wishes ---------------------------------------------------------------------------------

    def hear_queue(self, queue: str) -> None:
        """Hears the news of one queue from now on, while it is wanted."""
        if queue not in self._channels.exact and not self._is_deaf:
            with self._changed:
                self._exact |= {queue}
            self._ask(lambda: queue in self._channels.exact)

    def hear_names(self, names: Iterable[str | None]) -> None:
        """Hears the queues that begin with these names, and no others beside those that were named
        one by one; None: all queues.
        """
        wanted = frozenset(names)
        if wanted != self._patterns and not self._is_deaf:
            with self._changed:
                self._patterns = wanted
            self._ask(lambda: wanted <= self._channels.patterns)

    def hear_channel(self, channel: str, on_message: Message) -> None:
        """Hears a channel that carries something else than events."""
        if not self._is_deaf:
            with self._changed:
                self._others[channel.encode()] = on_message
            self._ask(lambda: channel.encode() in self._heard_others)

    def stop(self) -> None:
        """Hears nothing more, and ends the thread."""
        self._stopping.set()
        self._ring()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join(CONFIRMED_WITHIN)
        self._bell.close()
        self._ringer.close()

    def _ask(self, is_confirmed: Callable[[], bool]) -> None:
        with self._changed:
            if self._stopping.is_set():
                return
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._live, name="runqy-subscriber", daemon=True
                )
                self._thread.start()
            self._ring()
            self._changed.wait_for(lambda: is_confirmed() or self._is_deaf, CONFIRMED_WITHIN)

    def _ring(self) -> None:
        try:
            self._ringer.send(b"!")
        except OSError:
            return  # rung often enough, or closed

    # --- the thread -----------------------------------------------------------------------------

    def _live(self) -> None:
        rest = _FIRST_REST
        while not self._stopping.is_set():
            try:
                self._connect()
                rest = _FIRST_REST
                self._listen()
            except redis.exceptions.NoPermissionError:
                self._is_deaf = True
                break
            except (redis.RedisError, OSError):
                self._forget()
                self._stopping.wait(rest)
                rest = min(rest * 2, _LAST_REST)
        self._forget()

    def _connect(self) -> None:
        # Not the pool's: it would be counted there for ever. Its health check would send a PING
        # whose answer looks different once something is subscribed to.
        options = {**self._pool.connection_kwargs, "health_check_interval": 0}
        self._connection = self._pool.connection_class(**options)
        self._connection.connect()

    def _forget(self) -> None:
        self._channels.exact, self._channels.patterns = frozenset(), frozenset()
        self._heard_others.clear()
        self._asked.clear()
        if self._connection is not None:
            self._connection.disconnect()

    def _listen(self) -> None:
        heard_at = pruned_at = time.monotonic()
        has_asked = False
        while not self._stopping.is_set():
            self._send_wishes()
            with selectors.DefaultSelector() as selector:
                selector.register(self._bell, selectors.EVENT_READ)
                selector.register(self._connection._sock, selectors.EVENT_READ)
                ready = {key.fileobj for key, _ in selector.select(_PRUNE_EVERY)}
            if self._bell in ready:
                self._silence()
            now = time.monotonic()
            while self._connection.can_read(timeout=0):
                self._take(self._connection.read_response())
                heard_at, has_asked = now, False
            if now - heard_at > _SILENCE:
                if has_asked:
                    raise redis.ConnectionError("the connection died without a word")
                self._connection.send_command("PING", check_health=False)
                heard_at, has_asked = now, True
            if now - pruned_at > _PRUNE_EVERY:
                self._prune()
                pruned_at = now

    def _send_wishes(self) -> None:
        """Tells Redis what is wished for and not heard, and the other way round."""
        channels = self._channels
        with self._changed:  # or a wish made meanwhile would count as heard, and be ended next
            queues = channels.exact - self._exact
            names = channels.patterns - self._patterns
            channels.exact -= queues
            channels.patterns -= names
        for queue in queues:
            self._send("UNSUBSCRIBE", channels.channel(queue))
        for name in names:
            self._send("PUNSUBSCRIBE", channels.pattern(name))
        for queue in self._exact - channels.exact:
            self._send("SUBSCRIBE", channels.channel(queue))
        for name in self._patterns - channels.patterns:
            self._send("PSUBSCRIBE", channels.pattern(name))
        for other in set(self._others) - self._heard_others:
            self._send("SUBSCRIBE", other)

    def _send(self, command: str, channel: bytes) -> None:
        """Asks once: what was asked for and not answered yet is under way."""
        if command in ("UNSUBSCRIBE", "PUNSUBSCRIBE"):
            self._asked.discard(channel)
        elif channel in self._asked:
            return
        else:
            self._asked.add(channel)
        self._connection.send_command(command, channel, check_health=False)

    def _prune(self) -> None:
        with self._changed:
            self._exact = frozenset(filter(self._is_wanted, self._exact))

    def _take(self, response: Any) -> None:
        if not isinstance(response, list) or len(response) < 3:
            return  # the answer to a PING
        kind, channel, *rest = response
        if kind in (b"subscribe", b"psubscribe"):
            self._confirm(kind, channel)
        elif kind == b"pmessage":
            self._hand_on(rest[1])
        elif kind == b"message" and channel in self._others:
            self._others[channel](rest[0])
        elif kind == b"message" and not self._is_heard_twice(channel):
            self._hand_on(rest[0])

    def _confirm(self, kind: bytes, channel: bytes) -> None:
        channels = self._channels
        with self._changed:
            if channel in self._others:
                self._heard_others.add(channel)
            elif kind == b"subscribe":
                channels.exact |= {channels.queue_of(channel)}
            else:
                named = {name for name in self._patterns if channels.pattern(name) == channel}
                channels.patterns |= named
            self._changed.notify_all()

    def _is_heard_twice(self, channel: bytes) -> bool:
        queue = self._channels.queue_of(channel)
        return any(queue.startswith(name or "") for name in self._channels.patterns)

    def _hand_on(self, text: bytes) -> None:
        event = decode_event(text)
        if event is not None:
            self._on_event(event)

    def _silence(self) -> None:
        try:
            while self._bell.recv(4096):
                pass
        except OSError:
            return  # empty
