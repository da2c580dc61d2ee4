"""What goes between a lesson and the process of its worker, over pipes: each a pickle with its
length before it.
"""

from __future__ import annotations

import os
import pickle
import struct
import threading
from dataclasses import dataclass
from typing import IO, Any

from runqy_notebook.broker.detour import Address
from runqy_notebook.broker.exchanges import Retention
from runqy_notebook.settings import Settings

LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Orders:
    """The first thing that a lesson's worker is told. `url` is the server's own, `by` the address
    of the lesson's proxy before it, `name` what the worker's connections are called.
    """

    url: str
    by: Address | None
    name: str
    queue: str
    settings: Settings
    retention: Retention
    path: tuple[str, ...]
    folder: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A handler or loader as it is sent: its function by cloudpickle, what its decorator said."""

    text: bytes
    queue: str | None
    type: str | None = None
    timeout: float | None = None
    store_result: bool | None = None
    deliver_to: tuple[str, ...] = ()


class Way:
    """One direction of the pipes. Threads may share it."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, *words: Any) -> None:
        """Raises OSError where nobody reads any more."""
        text = pickle.dumps(words)
        with self._lock:
            self._pipe.write(LENGTH.pack(len(text)) + text)
            self._pipe.flush()

    def receive(self) -> tuple[Any, ...] | None:
        """What was sent next; None at the end, also within a word."""
        head = self._read(LENGTH.size)
        if len(head) < LENGTH.size:
            return None
        size = LENGTH.unpack(head)[0]
        text = self._read(size)
        return pickle.loads(text) if len(text) == size else None  # noqa: S301 - ours

    def _read(self, size: int) -> bytes:
        """So many bytes, or fewer at the end; past the pipe's buffer, so that select tells what is
        to be read.
        """
        text = b""
        while len(text) < size and (some := os.read(self._pipe.fileno(), size - len(text))):
            text += some
        return text
