"""A server that can be killed, frozen and started again where it was."""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import ExitStack
from pathlib import Path

import redis

from runqy_notebook.broker.embedded import find_binary
from tests.servers import answers, held_port
from tests.waiting import wait_until

DURABLE = ("--appendonly", "yes", "--appendfsync", "everysec")


class Server:
    """One server on one port and one folder, however often it dies."""

    def __init__(self, folder: Path, *options: str) -> None:
        binary = find_binary()
        assert binary is not None, "no Redis-compatible server is installed"
        folder.mkdir()
        self._holding = ExitStack()
        self.port = self._holding.enter_context(held_port())
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port)
        self._command = [str(binary), "--port", str(self.port), "--bind", "127.0.0.1"]
        self._command += ["--dir", str(folder), "--save", "", *options]
        self.start()
        wait_until(lambda: answers(self.client), "the server did not start")

    def start(self, *options: str) -> None:
        """Starts it, this time with further options; it may not answer yet."""
        self._process = subprocess.Popen([*self._command, *options], stdout=subprocess.DEVNULL)

    def kill(self) -> None:
        """Ends it as a power cut would."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> float:
        """Starts it again; the monotonic time at which it answered."""
        self.start()
        wait_until(lambda: answers(self.client), "the server did not come back")
        return time.monotonic()

    def sync(self) -> None:
        """Returns once all that was written so far is safe on disk."""
        try:
            self.client.execute_command("WAITAOF", 1, 0, 5000)
        except redis.ResponseError:  # Redis before 7.2
            time.sleep(2)

    def has_written(self) -> bool:
        """Whether nothing that it acknowledged waits for the disk."""
        return not self.client.info("persistence").get("aof_buffer_length", 0)

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends it for good."""
        self.client.close()
        self.kill()
        self._holding.close()
