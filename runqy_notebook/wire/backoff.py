"""How long a failed task waits for its next attempt."""

from __future__ import annotations

import random


def retry_delay(
    retries: int, *, first: float, longest: float, jitter: float | None = None
) -> float:
    """Seconds until the next attempt of a task retried `retries` times before.

    Doubles from `first` up to `longest`, then takes a uniform share of that ("full jitter",
    Brooker 2015, https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/) so
    that tasks which failed together do not return together. `jitter` in [0, 1] fixes the share.
    """
    ceiling = min(longest, first * 2.0 ** min(retries, 60))
    share = random.random() if jitter is None else jitter  # noqa: S311 - no secret
    return ceiling * share
