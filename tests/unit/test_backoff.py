"""How long a failed task waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runqy_notebook.wire.backoff import retry_delay


def test_the_longest_wait_doubles_up_to_the_limit() -> None:
    found = [retry_delay(n, first=1.0, longest=600.0, jitter=1.0) for n in range(12)]

    assert found == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]


@given(st.integers(0, 10**9), st.floats(0, 1e6), st.floats(0, 1e6))
def test_any_wait_lies_between_nothing_and_the_limit(
    retries: int, first: float, longest: float
) -> None:
    assert 0 <= retry_delay(retries, first=first, longest=longest) <= longest


def test_tasks_that_failed_together_do_not_return_together() -> None:
    assert len({retry_delay(9, first=1.0, longest=600.0) for _ in range(50)}) == 50
