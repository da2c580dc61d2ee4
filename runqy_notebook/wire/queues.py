"""Queue names: how a parent and its sub-queues are told apart, and who comes first.

The separator is no part of the wire format (workers poll exact key names), so names written
by the different documents of runqy all have to be read: `inference_high`, `inference:high`,
`inference.high`. The one rule, used wherever a queue is named: split at the last `.` or `:`
where there is one, else at the last `_`, else the sub-queue is `default`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from runqy_notebook.errors import QueueNameError

DEFAULT_SUB_QUEUE = "default"
RESERVED = frozenset(
    {"t", "result", "workers", "servers", "queues", "schedulers", "events", "cancel", "nb"}
)
"""First parts of keys that mean something else under the same prefix."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}", re.ASCII)
_RANKS = {"high": 1, DEFAULT_SUB_QUEUE: 0, "low": -1}


def checked(name: object) -> str:
    """`name` itself where it is a valid queue name; raises QueueNameError where not."""
    if not isinstance(name, str):
        raise QueueNameError(name, f"it is a {type(name).__name__}, not text")
    return _checked(name)


@lru_cache(1024)
def _checked(name: str) -> str:
    if not name:
        raise QueueNameError(name, "it is empty")
    if not _NAME.fullmatch(name):
        raise QueueNameError(
            name,
            "use 1 to 200 of the letters a-z, A-Z, digits and _ . : - and begin with a letter "
            "or digit",
        )
    if re.split("[:]", name, maxsplit=1)[0] in RESERVED:
        raise QueueNameError(name, "that word is reserved for keys of another meaning")
    return name


def is_valid(name: str) -> bool:
    """Whether `name` can name a queue at all."""
    try:
        checked(name)
    except QueueNameError:
        return False
    return True


@lru_cache(1024)
def split(name: str) -> tuple[str, str]:
    """`(parent, sub-queue)` of a queue name, by the rule in this module's docstring."""
    at = max(name.rfind("."), name.rfind(":"))
    if at < 0:
        at = name.rfind("_")
    parent, sub = name[:at], name[at + 1 :]
    return (parent, sub) if at > 0 and sub else (name, DEFAULT_SUB_QUEUE)


def parent_of(name: str) -> str:
    """The parent queue that `name` is a sub-queue of (itself where it has no separator)."""
    return split(name)[0]


def selects(name: str, queue: str) -> bool:
    """Whether naming `name` covers `queue`: the same name, or a sub-queue of that parent."""
    return queue == name or parent_of(queue) == name


def default_of(parent: str, separator: str) -> str:
    """The sub-queue that a task goes to when only its parent queue is named."""
    return f"{parent}{separator}{DEFAULT_SUB_QUEUE}"


def usual_sub_queues(parent: str, separator: str) -> list[str]:
    """Sub-queues worth looking at before anybody has been seen using them."""
    return [f"{parent}{separator}{sub}" for sub in _RANKS]


@lru_cache(1024)
def can_be_parent(name: str, separator: str) -> bool:
    """Whether a default sub-queue may be added to `name`: not to `inference_high`, which is a
    sub-queue itself, nor to `my.queue`, as `my.queue_default` would be a sub-queue of `my`.
    """
    parent = parent_of(name)
    is_usual = any(name in usual_sub_queues(parent, each) for each in "_:.")
    return not is_usual and parent_of(default_of(name, separator)) == name


def rank(queue: str, priorities: Mapping[str, int] | None = None) -> int:
    """Priority of a queue, higher first: told by `priorities` (full name or sub-queue), else
    high > default > low, any other sub-queue like default.
    """
    sub = split(queue)[1]
    told = priorities or {}
    if queue in told:
        return told[queue]
    return told.get(sub, _RANKS.get(sub, 0))


def tiers(queues: Iterable[str], priorities: Mapping[str, int] | None = None) -> list[list[str]]:
    """The queues grouped by equal priority, highest first, each group in name order."""
    groups: dict[int, list[str]] = {}
    for queue in sorted(set(queues)):
        groups.setdefault(rank(queue, priorities), []).append(queue)
    return [groups[level] for level in sorted(groups, reverse=True)]
