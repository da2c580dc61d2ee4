"""Publishing to kernels that are not ipykernel: with what IPython itself promises."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.displaypub import DisplayPublisher
from IPython.core.events import EventManager, available_events

from runqy_notebook.ui import publish
from runqy_notebook.ui.publish import Output, Publisher
from tests.waiting import wait_until


class OtherKernel(DisplayPublisher):
    """A frontend that takes updates, without ipykernel's `session` and `pub_socket`."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[str, str, bool]] = []

    def publish(self, data: Any, metadata: Any = None, **rest: Any) -> None:
        told = rest["transient"]["display_id"], data["text/plain"], rest.get("update", False)
        self.taken.append(told)


def test_an_output_is_updated_through_the_publisher_of_any_kernel() -> None:
    kernel = OtherKernel()
    shell = SimpleNamespace(display_pub=kernel)
    shell.events = EventManager(shell, available_events)
    text = ["first"]
    publisher = Publisher(shell)
    output = Output(publisher, lambda: {"text/plain": text[0]})
    publisher.open()

    output.show()
    text[0] = "second"
    output.changed()
    wait_until(lambda: len(kernel.taken) == 2, lambda: str(kernel.taken))
    text[0] = "last"
    output.changed()
    publisher.close()

    assert publisher.is_live
    assert kernel.taken == [
        (output.id, "first", False), (output.id, "second", True), (output.id, "last", True),
    ]  # fmt: skip


def test_a_terminal_is_not_live_and_gets_no_updates() -> None:
    shell = SimpleNamespace(display_pub=DisplayPublisher())
    publisher = Publisher(shell)
    calls: list[int] = []
    output = Output(publisher, lambda: calls.append(1) or {"text/plain": "never"})  # type: ignore[func-returns-value]

    output.changed()
    publisher.flush()

    assert not publisher.is_live
    assert calls == []


def test_only_on_the_main_thread_right_after_a_cell_a_message_may_have_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It waited no longer than since the first of the cells that followed each other began."""
    now, late = [100.0], []
    monkeypatch.setattr(publish, "time", SimpleNamespace(monotonic=lambda: now[0]))
    publisher = Publisher(SimpleNamespace(display_pub=DisplayPublisher()))
    publisher._cell_ends()
    for at, step in [
        (200.0, publisher._cell_begins),
        (230.0, publisher._cell_ends),
        (230.1, publisher._cell_begins),
        (230.5, publisher._cell_ends),
        (240.0, lambda: None),
    ]:
        now[0] = at
        step()
        late.append(publisher.late())
        now[0] += 0.1
    with ThreadPoolExecutor(1) as others:
        now[0] = 230.6
        elsewhere = others.submit(publisher.late).result()

    assert late == [0.0, 30.0, 0.0, 30.5, 0.0]
    assert (publisher.late(), elsewhere) == (pytest.approx(30.6), 0.0)
