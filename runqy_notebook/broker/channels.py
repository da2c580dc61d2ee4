"""The pub/sub channels on which others hear what happens, and which of them this process hears.

Pub/sub ignores the number of the database, so it is part of a channel's name. A script publishes
only where somebody else listens: it counts the listeners and takes off those of its caller, who
tells them itself. For patterns Redis counts different texts, not listeners, so every session
writes its patterns with a mark of its own (see `pattern`).
"""

from __future__ import annotations

import secrets

import redis

from runqy_notebook.wire.layout import Layout, to_bytes


class Channels:
    """The channels of one Redis database. `exact` and `patterns` are changed by the subscriber:
    put in only once Redis confirmed them, taken out before Redis is told.
    """

    def __init__(self, client: redis.Redis, layout: Layout) -> None:
        self.db = int(client.connection_pool.connection_kwargs.get("db") or 0)
        self.exact: frozenset[str] = frozenset()  # queues
        self.patterns: frozenset[str | None] = frozenset()  # what queues begin with; None: all
        self._news: dict[str, tuple[object, bytes]] = {}  # what `news` gave last, and for what
        self._mark = "s" + "".join(dict.fromkeys(secrets.token_hex(8)))
        self._root = layout.root
        self._prefix = f"{layout.root}events:{self.db}:"

    @property
    def control(self) -> str:
        """Where workers hear at once what they would hear with their next renewal."""
        return f"{self._root}nb:control:{self.db}"

    def channel(self, queue: str) -> bytes:
        """Where news of this queue are published."""
        return to_bytes(self._prefix + queue)

    def pattern(self, name: str | None) -> bytes:
        """A pattern for the channels of all queues that begin with `name`. The class `[s...]` finds
        the letter s, and makes this session's text different from any other's.
        """
        return to_bytes(f"{self._root}event[{self._mark}]:{self.db}:{name or ''}*")

    def queue_of(self, channel: bytes) -> str:
        """The queue of a channel."""
        return channel.decode("utf-8", "surrogateescape").removeprefix(self._prefix)

    def news(self, by: str) -> bytes:
        """What scripts need to tell of an event, in the form of lua/lib/tell.lua. `by` is who makes
        it happen and tells this process's own listeners; empty where nobody does.
        """
        patterns, exact = (self.patterns, self.exact) if by else (frozenset[str](), frozenset())
        heard, text = self._news.get(by, (None, b""))
        if heard != (patterns, exact):  # seldom
            own = f",{','.join(exact)}," if exact else ""
            text = to_bytes(f"{self._prefix}\n{self._root}\n{by}\n{len(patterns)}\n{own}")
            self._news = {**self._news, by: ((patterns, exact), text)}
        return text
