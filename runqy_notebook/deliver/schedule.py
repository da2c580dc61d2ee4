"""When a delivery that failed is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from runqy_notebook.settings import checked_waits


@dataclass(frozen=True, slots=True)
class Schedule:
    """The seconds to wait before each attempt, the first one included, and the share of them by
    which a wait may be longer or shorter, so that what failed together does not return together.
    """

    waits: tuple[float, ...]
    jitter: float = 0.1

    @classmethod
    def of(cls, text: str) -> Schedule:
        """From durations separated by spaces, as "0s 5s 5m"; raises SettingsError."""
        return cls(checked_waits(text, "deliver_schedule"))

    def wait(self, made: int, *, share: float | None = None) -> float | None:
        """Seconds to wait after `made` attempts; None when there is none left. `share` in [-1, 1]
        fixes the jitter.
        """
        if made >= len(self.waits):
            return None
        chance = random.uniform(-1.0, 1.0) if share is None else share  # noqa: S311 - no secret
        return self.waits[made] * (1.0 + self.jitter * chance)
