"""The guardian: a tiny process that outlives the kernel by a moment and hands its tasks back.

A C call that holds the GIL stops every thread of the kernel, the heartbeat included, and a killed
kernel stops everything. This process shares a page of memory with the worker (`ledger.py`), on
which stands what each slot is doing, and holds the end of a pipe that closes when the kernel dies.

- While the kernel is silent, it renews the leases of the running tasks, each until its time limit.
- When the kernel is gone, it gives the tasks back at once: a started one counts as a crash, one
  that was only claimed does not.

It is run by its path, isolated and without site-packages (`python -I -S guardian.py FD`), and so
imports the standard library only. The first line on its stdin is its orders, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

SLOTS = 64
"""Records on the page; slots beyond that are covered by their lease alone."""

HEADER_SIZE = 4096
RECORD_SIZE = 8192
HEADER = struct.Struct("<d")  # monotonic time of the kernel's last renewal
# sequence, state, slot (0: nobody's), monotonic end, lengths of base, id, token
RECORD = struct.Struct("<IBxHdHHH")
PAGE_SIZE = HEADER_SIZE + SLOTS * RECORD_SIZE

FREE, CLAIMED, STARTED = range(3)

TICK = 0.25  # seconds between looks; the pipe's end is noticed at once
SILENCE = 0.45  # part of a lease without renewal after which the kernel counts as silent
HAND_BACK_FOR = 30.0  # seconds during which Redis is tried after the kernel's death


class Held(NamedTuple):
    """A task on the page. `ends` is by the monotonic clock, which all processes share."""

    state: int
    ends: float
    base: bytes
    id: bytes
    token: bytes


def slots_of(page: mmap.mmap) -> list[int]:
    """The numbers of the slots there are."""
    ats = range(HEADER_SIZE, PAGE_SIZE, RECORD_SIZE)
    return [slot for at in ats if (slot := RECORD.unpack_from(page, at)[2])]


def read_page(page: mmap.mmap) -> Iterator[Held]:
    """The tasks on the page; a record that is just being written is read again, then skipped."""
    for at in range(HEADER_SIZE, PAGE_SIZE, RECORD_SIZE):
        for _ in range(100):
            before = RECORD.unpack_from(page, at)
            _, state, _, ends, *lengths = before
            start = at + RECORD.size
            parts = []
            for length in lengths:
                parts.append(page[start : start + length])
                start += length
            if before[0] % 2 == 0 and RECORD.unpack_from(page, at) == before:
                if state != FREE:
                    yield Held(state, ends, *parts)
                break


class Link:
    """One connection to Redis in plain RESP2, opened anew after a failure."""

    def __init__(self, server: dict[str, Any]) -> None:
        self._server = server
        self._socket: socket.socket | None = None
        self._buffer = b""

    def call(self, *command: object) -> Any:
        """The reply; raises OSError where there is none, RuntimeError for an error reply."""
        try:
            if self._socket is None:
                self._open()
            self._send(command)
            return self._read()
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket, self._buffer = None, b""

    def _open(self) -> None:
        server = self._server
        if server.get("path"):
            raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            raw.settimeout(5)
            raw.connect(server["path"])
        else:
            raw = socket.create_connection((server["host"], server["port"]), timeout=5)
        self._socket = self._wrapped(raw) if server.get("tls") else raw
        if server.get("password"):
            login = [server["username"]] if server.get("username") else []
            self._send(("AUTH", *login, server["password"]))
            self._read()
        if server.get("db"):
            self._send(("SELECT", server["db"]))
            self._read()

    def _wrapped(self, raw: socket.socket) -> socket.socket:
        import ssl  # costs 6 MB of memory, so only where it is needed

        options = self._server["tls"]
        context = ssl.create_default_context(
            cafile=options.get("cafile"), capath=options.get("capath")
        )
        if options.get("cert_reqs") == "none":
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        elif options.get("check_hostname") is False:
            context.check_hostname = False
        if options.get("certfile"):
            context.load_cert_chain(
                options["certfile"], options.get("keyfile"), options.get("password")
            )
        return context.wrap_socket(raw, server_hostname=self._server["host"])

    def _send(self, command: tuple[object, ...]) -> None:
        parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
        text = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        assert self._socket is not None  # noqa: S101 - opened by call
        self._socket.sendall(b"*%d\r\n%s" % (len(parts), text))

    def _read(self) -> Any:
        kind, rest = self._line()
        if kind == b"-":
            raise RuntimeError(rest.decode("utf-8", "replace"))
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self._bytes(int(rest))
        if kind == b"*":
            return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        return rest

    def _line(self) -> tuple[bytes, bytes]:
        while b"\r\n" not in self._buffer:
            self._receive()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line[:1], line[1:]

    def _bytes(self, size: int) -> bytes:
        while len(self._buffer) < size + 2:
            self._receive()
        data, self._buffer = self._buffer[:size], self._buffer[size + 2 :]
        return data

    def _receive(self) -> None:
        assert self._socket is not None  # noqa: S101 - opened by call
        received = self._socket.recv(65536)
        if not received:
            raise OSError("the server closed the connection")
        self._buffer += received


class Guardian:
    """Watches one kernel. `orders`: server, lease, task prefix, scripts and their arguments."""

    def __init__(self, orders: dict[str, Any], page: mmap.mmap) -> None:
        self._orders = orders
        self._page = page
        self._link = Link(orders["server"])
        self._parent = os.getppid()
        self._renewed_at = 0.0

    def watch(self) -> None:
        """Returns once the kernel died and its tasks are back; a worker that stops kills us."""
        # A forked child of the kernel may hold the pipe open, hence the look at the parent.
        while not select.select([sys.stdin], [], [], TICK)[0] and os.getppid() == self._parent:
            with contextlib.suppress(OSError, RuntimeError):
                self._stand_in(time.monotonic())
        self._hand_back()

    def _stand_in(self, now: float) -> None:
        """Renews for a silent kernel; else just keeps the connection open."""
        (renewed_at,) = HEADER.unpack_from(self._page, 0)
        quiet_for = now - max(renewed_at, self._renewed_at)
        if quiet_for < SILENCE * self._orders["lease"]:
            return
        held = [task for task in read_page(self._page) if now < task.ends]
        self._renewed_at = now
        if held:
            self._run("renew", [], [self._orders["tasks"], self._orders["lease"]], held)
        else:
            self._link.call("PING")

    def _hand_back(self) -> None:
        """Gives the tasks back, trying while Redis may yet come back."""
        held = list(read_page(self._page))
        replies = [self._orders["replies"] + str(slot) for slot in slots_of(self._page)]
        ends = time.monotonic() + HAND_BACK_FOR
        while replies and time.monotonic() < ends:
            try:
                keys = [*self._orders["lose_keys"], *replies]
                args = [*self._orders["lose_args"], len(replies)]
                self._run("lose", keys, args, held)
                return
            except (OSError, RuntimeError):
                time.sleep(TICK)

    def _run(self, name: str, keys: list[str], args: list[Any], held: list[Held]) -> Any:
        """A script over tasks: each as base number, id, token and, for lose, started or not."""
        bases = list(dict.fromkeys(task.base for task in held))
        rows: list[object] = []
        for task in held:
            rows += [bases.index(task.base) + 1, task.id, task.token]
            if name == "lose":
                rows.append(int(task.state == STARTED))
        count = len(keys) + len(bases)
        return self._link.call(
            "EVAL", self._orders["scripts"][name], count, *keys, *bases, *args, *rows
        )


def main() -> None:
    """Reads the orders, then watches."""
    page = mmap.mmap(int(sys.argv[1]), PAGE_SIZE)
    line = b""
    while not line.endswith(b"\n"):
        read = os.read(sys.stdin.fileno(), 65536)
        if not read:
            return
        line += read
    Guardian(json.loads(line), page).watch()


if __name__ == "__main__":
    main()
