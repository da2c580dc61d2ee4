"""Which queues a worker claims from, and in which order."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from runqy_notebook.tasks import Registry
from runqy_notebook.wire import queues


class Serving:
    """The queues selected by some names: a queue of that name and every sub-queue of that parent.

    Strictly by priority; queues of equal priority take turns. A queue without a handler is served
    but not claimed from. Threads may share it.
    """

    def __init__(
        self,
        names: Sequence[str],
        registry: Registry,
        separator: str,
        priorities: Mapping[str, int] | None = None,
    ) -> None:
        self.names = list(dict.fromkeys(map(queues.checked, names)))  # replaced, never changed
        self.priorities = dict(priorities or {})
        self._registry = registry
        self._separator = separator
        self._seen: set[str] = set()
        self._turns = itertools.count(1)
        self._turn = -1  # of the last task that came from another queue than the one before
        # Queue -> the last turn in which tasks were taken from it.
        self._took_at: defaultdict[str, int] = defaultdict(int)
        # These and what they were made for: one value, so that threads never mix two.
        self._arranged: tuple[object, list[list[str]]] = (None, [])
        self._ordered: tuple[object, int, tuple[str, ...]] = (None, 0, ())
        self._watched: tuple[object, list[str]] = (None, [])
        self.barred: frozenset[str] = frozenset()  # not to be claimed from for now

    def add(self, names: Iterable[str]) -> None:
        """Serves further queues."""
        self.names = list(dict.fromkeys([*self.names, *map(queues.checked, names)]))

    def learn(self, known: Iterable[str]) -> None:
        """Takes note of queues that exist."""
        self._seen |= {q for q in known if any(queues.selects(name, q) for name in self.names)}

    @property
    def known(self) -> list[str]:
        """The queues served that are known to exist, and the default one of a name without any."""
        found = set(self._seen)
        for name in self.names:
            if not any(queues.selects(name, queue) for queue in found):
                found.add(self.default(name))
        return sorted(found)

    def selects(self, queue: str) -> bool:
        """Whether the queue is one of those served."""
        return any(queues.selects(name, queue) for name in self.names)

    def default(self, name: str) -> str:
        """Where a task for `name` alone would go."""
        is_parent = queues.parent_of(name) == name or name in self._registry.queues()
        if is_parent and queues.can_be_parent(name, self._separator):
            return queues.default_of(name, self._separator)
        return name

    @property
    def watched(self) -> list[str]:
        """Every queue a task may turn up in: the known ones first, then the usual names. The same
        list as long as it holds the same; nobody changes it.
        """
        state = (self._registry.version, len(self._seen), self.names)
        found_for, found = self._watched
        if state != found_for:  # asked before every claim
            usual = [
                queue
                for name in self.names
                for queue in (name, *queues.usual_sub_queues(name, self._separator))
            ]
            now = list(dict.fromkeys([*self.known, *usual]))
            found = found if now == found else now
            self._watched = (state, found)
        return found

    def claimable(self) -> tuple[str, ...]:
        """The queues to claim from next, most urgent first; equals take turns."""
        tiers, turn = self._tiers(), self._turn
        ordered_for, after, order = self._ordered
        if ordered_for is not tiers or after != turn:  # asked before every claim
            order = tuple(q for tier in tiers for q in sorted(tier, key=self._took_at.__getitem__))
            self._ordered = (tiers, turn, order)
        return order

    def took(self, queue: str) -> None:
        """A task was taken from this queue: its equals come first now."""
        if self._took_at[queue] != self._turn:
            self._took_at[queue] = self._turn = next(self._turns)

    def _tiers(self) -> list[list[str]]:
        state = (self._registry.version, len(self._seen), self.names, self.barred)
        arranged_for, tiers = self._arranged
        if state != arranged_for:
            barred = state[-1]
            served = [q for q in self.watched if self._registry.serves(q) and q not in barred]
            tiers = queues.tiers(served, self.priorities)
            self._arranged = (state, tiers)
        return tiers

    def without_handler(self) -> list[str]:
        """Known queues that nothing is claimed from for want of a handler."""
        return [queue for queue in self.known if not self._registry.serves(queue)]
