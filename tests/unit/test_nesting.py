"""Loops that run within loops, and that nobody else's asyncio notices."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from runqy_notebook.worker import nesting


def asyncio_now() -> dict[str, Any]:
    return {
        "run": asyncio.run,
        "run in runners": asyncio.runners.run,
        "new_event_loop": asyncio.new_event_loop,
        "get_event_loop": asyncio.get_event_loop,
        "Task": asyncio.Task,
        "Future": asyncio.Future,
        "loop class": dict(vars(asyncio.SelectorEventLoop)),
        "base class": dict(vars(asyncio.BaseEventLoop)),
    }


UNTOUCHED = asyncio_now()


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """On a loop of ours."""
    loop = nesting.open_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        nesting.close_loop(loop)


async def doubled(number: int) -> int:
    await asyncio.sleep(0.001)
    return 2 * number


def by_run(number: int) -> int:
    return asyncio.run(doubled(number))


def by_the_running_loop(number: int) -> int:
    return asyncio.get_event_loop().run_until_complete(doubled(number))


def by_a_new_loop(number: int) -> int:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(doubled(number))
    finally:
        loop.close()


@pytest.mark.parametrize("nested", [by_run, by_the_running_loop, by_a_new_loop])
def test_code_written_for_a_script_runs_within_a_loop(nested: Callable[[int], int]) -> None:
    async def deeper(depth: int) -> int:
        task = asyncio.current_task()
        found = nested(depth) if depth < 2 else asyncio.run(deeper(depth - 1))
        assert asyncio.current_task() is task
        await asyncio.sleep(0)
        return found

    assert run(deeper(3)) == 2


def test_what_runs_on_the_loop_goes_on_during_a_nested_run() -> None:
    async def main() -> None:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.001)

        async def ticked() -> None:
            while ticks <= 5:
                await asyncio.sleep(0.001)

        ticking = asyncio.ensure_future(tick())
        asyncio.run(asyncio.wait_for(ticked(), 30))
        ticking.cancel()

    run(main())


def test_an_error_comes_out_of_a_nested_run_as_it_is() -> None:
    async def failing() -> None:
        await asyncio.sleep(0)
        raise KeyError("inner")

    async def main() -> str:
        with pytest.raises(KeyError, match="inner"):
            asyncio.run(failing())
        return await asyncio.wait_for(asyncio.sleep(0, "went on"), 1)

    assert run(main()) == "went on"


def test_elsewhere_asyncio_is_the_same_and_afterwards_everywhere() -> None:
    found: list[int] = []

    loop = nesting.open_loop()
    try:
        during = asyncio_now()
        thread = threading.Thread(target=lambda: found.append(asyncio.run(doubled(4))))
        thread.start()
        thread.join()
    finally:
        nesting.close_loop(loop)

    assert found == [8]
    assert asyncio_now() == UNTOUCHED
    changed = {name for name, value in during.items() if value != UNTOUCHED[name]}
    assert changed == {"run", "run in runners", "new_event_loop"}


def test_a_loop_that_is_not_ours_refuses_nesting_while_ours_are_open() -> None:
    async def nests() -> str:
        coroutine = doubled(1)
        try:
            asyncio.run(coroutine)
        except RuntimeError as error:
            return str(error)
        finally:
            coroutine.close()
        return "it ran"

    loop = nesting.open_loop()
    try:
        assert "cannot be called from a running event loop" in asyncio.run(nests())
    finally:
        nesting.close_loop(loop)


def test_cancelled_timers_are_forgotten() -> None:
    async def many() -> int:
        asyncio.get_running_loop().call_later(500, print)  # before all of them
        for _ in range(2_000):
            await asyncio.wait_for(asyncio.sleep(0), 1_000)
        return len(asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]

    assert run(many()) < 500


def test_asyncio_stays_as_it_is_until_the_last_loop_is_closed() -> None:
    first, second = nesting.open_loop(), nesting.open_loop()
    try:
        during = asyncio.run
        nesting.close_loop(first)
        assert asyncio.run is during
    finally:
        nesting.close_loop(second)

    assert asyncio_now() == UNTOUCHED


def test_what_somebody_else_put_in_place_meanwhile_stays() -> None:
    def theirs(main: Any, **options: Any) -> None:
        """Another library's."""

    functions: Any = asyncio
    loop = nesting.open_loop()
    functions.run = functions.new_event_loop = theirs
    try:
        nesting.close_loop(loop)
        assert functions.run is functions.new_event_loop is theirs
        assert asyncio.runners.run is UNTOUCHED["run"]
    finally:
        functions.run, functions.new_event_loop = UNTOUCHED["run"], UNTOUCHED["new_event_loop"]

    assert asyncio_now() == UNTOUCHED


def test_a_coroutine_whose_nested_run_was_broken_off_is_cancelled() -> None:
    ended: list[str] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    async def waiting() -> None:
        asyncio.get_running_loop().call_soon(interrupt)
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("cleaned up")

    async def main() -> None:
        with pytest.raises(KeyboardInterrupt):
            asyncio.run(waiting())
        await asyncio.sleep(0.001)

    run(main())

    assert ended == ["cleaned up"]
