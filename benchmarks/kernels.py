"""Real kernels, driven as a notebook drives them."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import KernelManager

from benchmarks.contender import environment

PATIENCE = 60.0  # seconds until a silent kernel fails its measure


class ThisPython(KernelSpecManager):
    """Every kernel is ipykernel in the Python that runs this, whatever is installed."""

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(argv=command, language="python", display_name="benchmarks")


class Kernel:
    """A running kernel; `run` gives the seconds from sending a cell until the kernel is idle."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self._client = client

    def run(self, code: str) -> float:
        """Raises RuntimeError where the cell fails."""
        return self.said(code)[0]

    def said(self, code: str) -> tuple[float, str]:
        """The seconds, and what the cell printed."""
        begins = time.perf_counter()
        sent = self._client.execute(code, allow_stdin=False)
        printed = ""
        while True:
            message = self._client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != sent:
                continue
            content: dict[str, Any] = message["content"]
            if message["msg_type"] == "error":
                raise RuntimeError("\n".join(content["traceback"]))
            if message["msg_type"] == "stream":
                printed += content["text"]
            if content.get("execution_state") == "idle":
                took = time.perf_counter() - begins
                self._client.get_shell_msg(timeout=PATIENCE)
                return took, printed


@contextmanager
def running(folder: Path, **more: str) -> Iterator[Kernel]:
    """A kernel of its own, everything private in `folder`; one cell was run in it."""
    manager = KernelManager(kernel_spec_manager=ThisPython())
    private = {"IPYTHONDIR": str(folder / "ipython"), "RUNQY_STATE_DIR": str(folder / "state")}
    manager.start_kernel(env=environment(**private, **more), cwd=str(folder))
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=PATIENCE)
        kernel = Kernel(client)
        for _ in range(3):
            kernel.run("pass")
        yield kernel
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
        manager.cleanup_resources()
