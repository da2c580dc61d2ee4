"""What looked wrong before: a first sight proves nothing while foreign workers move tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import redis

from runqy_notebook.broker.scripts import Script
from runqy_notebook.wire.layout import Layout, to_bytes

TTL: Final = 86_400  # seconds for which a doubt is remembered after the last examination
_PAGE: Final = 1_000
_DOUBT: Final = Script("doubt")


class Doubts:
    """Since when each thing has been in doubt, by the server's clock; for one examination."""

    def __init__(self, client: redis.Redis, layout: Layout) -> None:
        self._client = client
        self._key = layout.ours + "doubts"
        self._held: set[bytes] = set()
        at: Any = client.time()
        self._since = at[0] + at[1] / 1e6

    def ages(self, doubts: Sequence[str]) -> dict[str, float]:
        """For how many seconds each has been in doubt; -1 for those that are so only now."""
        ages: dict[str, float] = {}
        for at in range(0, len(doubts), _PAGE):
            page = doubts[at : at + _PAGE]
            members = list(map(to_bytes, page))
            self._held.update(members)
            told = _DOUBT(self._client, [self._key], [TTL, *members])
            ages.update(zip(page, map(float, told), strict=True))
        return ages

    def forget_others(self) -> None:
        """Drops what was in doubt before this examination, and is so no longer."""
        old: Any = self._client.zscan_iter(self._key, count=_PAGE)
        gone = [each for each, at in old if each not in self._held and at < self._since]
        for at in range(0, len(gone), _PAGE):
            self._client.zrem(self._key, *gone[at : at + _PAGE])
