"""Publishing to kernels that are not ipykernel: with what IPython itself promises."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from IPython.core.displaypub import DisplayPublisher
from IPython.core.events import EventManager, available_events

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
