"""One file a measure: what raw redis-py does, what we do, and how the two are compared.

`raw` is the fewest plain redis-py calls that do the job on the documented keys, without lease,
retry, state or record. Functions that take `url` run in a process of their own; `measure` runs in
the main one and gives rows.
"""

from __future__ import annotations

NAMES = (
    "enqueue_one",
    "enqueue_many",
    "drain",
    "overlap",
    "cores",
    "latency",
    "wake",
    "listing",
    "map",
    "imports",
    "responsiveness",
    "memory",
    "growth",
)
"""The measures, in the order in which they run."""
