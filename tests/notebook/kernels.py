"""Real kernels, driven as a frontend drives them: what they said is kept message by message."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

from tests.measured import is_measuring

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0  # seconds until a silent kernel fails its test

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

Message = dict[str, Any]


class ThisPython(KernelSpecManager):
    """Every kernel is ipykernel in the Python that runs the tests, whatever is installed; where
    RUNQY_TEST_KERNEL names another Python's file, in that one.
    """

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        python = os.environ.get("RUNQY_TEST_KERNEL", sys.executable)
        command = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, language="python", display_name="tests")


@dataclass
class Ran:
    """What a cell gave: the reply, and the outputs that belong to the cell."""

    reply: Message
    messages: list[Message] = field(default_factory=list)

    @property
    def status(self) -> str:
        return str(self.reply["status"])

    @property
    def error(self) -> str:
        """The lines of its traceback, as a notebook shows them."""
        return _COLOUR.sub("", "\n".join(self.reply.get("traceback", [])))

    @property
    def stdout(self) -> str:
        return self._stream("stdout")

    @property
    def stderr(self) -> str:
        return self._stream("stderr")

    @property
    def shown(self) -> list[dict[str, str]]:
        """The mime bundles displayed or given as the cell's value."""
        kinds = ("display_data", "execute_result")
        return [m["content"]["data"] for m in self.messages if m["msg_type"] in kinds]

    @property
    def value(self) -> str:
        """The cell's value as text; where it is a card, what that says."""
        results = [m["content"]["data"] for m in self.messages if m["msg_type"] == "execute_result"]
        shown = results or [bundle for bundle in self.shown if "text/html" in bundle]
        (bundle,) = shown
        return bundle["text/plain"]

    @property
    def outputs(self) -> list[str]:
        """The kinds of everything that a notebook would keep of it."""
        kinds = ("display_data", "execute_result", "stream", "error", "update_display_data")
        return [m["msg_type"] for m in self.messages if m["msg_type"] in kinds]

    def _stream(self, name: str) -> str:
        return "".join(
            m["content"]["text"]
            for m in self.messages
            if m["msg_type"] == "stream" and m["content"]["name"] == name
        )


class Kernel:
    """A running kernel and one client of it."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager = manager
        self.client = client
        self.said: list[Message] = []  # everything it ever sent on its public channel

    def run(self, code: str) -> Ran:
        """Runs a cell; fails the test if the cell fails."""
        ran = self.try_run(code)
        assert ran.status == "ok", ran.error
        return ran

    def fail(self, code: str) -> str:
        """Runs a cell that must fail with a single line; gives that line."""
        ran = self.try_run(code)
        assert ran.status == "error", f"{code} did not fail, it said {ran.stdout!r}"
        assert len(ran.error.splitlines()) == 1, ran.error
        assert len(ran.reply["traceback"]) == 1
        return ran.error

    def try_run(self, code: str) -> Ran:
        """Runs a cell to its end, however that is."""
        return self.finish(self.begin(code))

    def begin(self, code: str) -> str:
        """Sends a cell and does not wait; `finish` takes the id."""
        return str(self.client.execute(code, allow_stdin=False))

    def run_as_a_person(self, code: str) -> Ran:
        """Runs a cell as people's frontends do, which name it; fails the test if it fails."""
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
        message = self.client.session.msg("execute_request", content)
        message["metadata"] = {"cellId": "a-cell"}
        self.client.shell_channel.send(message)
        ran = self.finish(message["header"]["msg_id"])
        assert ran.status == "ok", ran.error
        return ran

    def send(self, kind: str, **content: Any) -> None:
        """Sends what a page sends, on the channel of the cells."""
        self.client.shell_channel.send(self.client.session.msg(kind, content))

    def finish(self, message_id: str) -> Ran:
        """What the cell gave, once the kernel is idle again."""
        reply = self._reply(message_id)
        ran = Ran(reply["content"])
        while not _is_idle(message := self._next_said(), message_id):
            if message["parent_header"].get("msg_id") == message_id:
                ran.messages.append(message)
        return ran

    def wait_for_output(self, message_id: str, text: str) -> None:
        """Returns once the running cell printed this text: it is really under way."""
        printed = ""
        while text not in printed:
            message = self._next_said()
            assert not _is_idle(message, message_id), f"the cell ended and said {printed!r}"
            if message["msg_type"] == "stream":
                printed += message["content"]["text"]

    def wait_for_display(self, text: str) -> None:
        """Returns once something is displayed that says this."""
        while True:
            message = self._next_said()
            if message["msg_type"] == "display_data" and text in str(message["content"]["data"]):
                return

    def wait_for_update(self, display_id: str, text: str) -> None:
        """Returns once what is displayed under this id says this, whatever cell it is told in."""
        while True:
            message = self._next_said()
            content = message["content"]
            is_it = content.get("transient", {}).get("display_id") == display_id
            if is_it and text in content["data"].get("text/plain", ""):
                return

    def complete(self, code: str) -> list[str]:
        """What Tab offers at the end of `code`: whole lines, with the offer put in."""
        content = self._reply(self.client.complete(code, len(code)))["content"]
        assert content["status"] == "ok"
        return [code[: content["cursor_start"]] + text for text in content["matches"]]

    def interrupt(self) -> None:
        self.manager.interrupt_kernel()

    def restart(self, *, now: bool) -> None:
        """Restarts it, as the menu does (now=True: without asking it to end)."""
        self.manager.restart_kernel(now=now)
        self.client.wait_for_ready(timeout=PATIENCE)

    def everything_said(self) -> str:
        """All the public messages so far, as one text to search in."""
        return "\n".join(str(message) for message in self.said)

    def _reply(self, message_id: str) -> Message:
        while True:
            reply: Message = self.client.get_shell_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") == message_id:
                return reply

    def _next_said(self) -> Message:
        try:
            message: Message = self.client.get_iopub_msg(timeout=PATIENCE)
        except Empty:
            raise AssertionError("the kernel fell silent") from None
        self.said.append(message)
        return message


@contextmanager
def running_kernel(folder: Path, **environment: str) -> Iterator[Kernel]:
    """A kernel of its own in this folder, shut down at the end."""
    manager = KernelManager(kernel_spec_manager=ThisPython())
    manager.start_kernel(env=kernel_environment(folder, **environment), cwd=str(folder))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=not is_measuring())  # what is killed leaves no figures
        manager.cleanup_resources()


def kernel_environment(folder: Path, **environment: str) -> dict[str, str]:
    """The tests' environment without Redis settings, everything private in `folder`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RUNQY_", "REDIS_"))}
    return kept | {
        "PYTHONPATH": str(ROOT),
        "IPYTHONDIR": str(folder / "ipython"),
        "RUNQY_STATE_DIR": str(folder / "state"),
        **environment,
    }


def _is_idle(message: Message, message_id: str) -> bool:
    is_idle = message["content"].get("execution_state") == "idle"
    return is_idle and bool(message["parent_header"].get("msg_id") == message_id)
