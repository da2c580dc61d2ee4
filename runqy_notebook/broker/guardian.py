"""The guardian: a tiny process that outlives the kernel by a moment and hands its tasks back.

A C call that holds the GIL stops every thread of the kernel, the heartbeat included, and a killed
kernel stops everything. This process shares a page of memory with the worker (`ledger.py`), on
which stands what each slot is doing, and holds the end of a pipe that closes when the kernel dies.

- While the kernel is silent, it renews the leases of the running tasks, each until its time limit.
- When the kernel is gone, it gives the tasks back at once, and says of each what is known: that it
  killed its process (it was the only one running there), that it may have (one of several), or
  that it did not (claimed only). A child that runs a task apart from the kernel is ended first; one
  that had died before that died of its task.

It is run by its path, isolated and without site-packages (`python -I -S guardian.py FD`), and so
imports the standard library only. The first line on its stdin is its orders, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

SLOTS = 64
"""Records on the page; slots beyond that are covered by their lease alone."""

HEADER_SIZE = 4096
RECORD_SIZE = 8192
HEADER = struct.Struct("<d")  # monotonic time of the kernel's last renewal
RECORD = struct.Struct("<IBxHdIHHH")
"""Sequence, state, slot (0: nobody's), monotonic end, pid of a child or 0, lengths of base, id and
token.
"""

SEQUENCE = struct.Struct("<I")
"""Its beginning; odd while the rest is being written."""

STATE_AT = 4
"""Where in a record the state is: a child writes this one byte."""

PAGE_SIZE = HEADER_SIZE + SLOTS * RECORD_SIZE

FREE, CLAIMED, STARTED, APART = range(4)  # STARTED in the kernel, APART in a child

TICK = 0.25  # seconds between looks; the pipe's end is noticed at once
SILENCE = 0.45  # part of a lease without renewal after which the kernel counts as silent
HAND_BACK_FOR = 30.0  # seconds during which Redis is tried after the kernel's death
LAST_MOMENT = 0.05  # seconds in which a child may still die of its task, when its kernel died

NOT_STARTED, DOUBTFUL, PROVEN = range(3)  # how far a task is to blame, as lib/lose.lua counts it


class Held(NamedTuple):
    """A task on the page. `ends` is by the monotonic clock, which all processes share."""

    state: int
    ends: float
    pid: int
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
            _, state, _, ends, pid, *lengths = before
            start = at + RECORD.size
            parts = []
            for length in lengths:
                parts.append(page[start : start + length])
                start += length
            if before[0] % 2 == 0 and RECORD.unpack_from(page, at) == before:
                if state != FREE:
                    yield Held(state, ends, pid, *parts)
                break


def blame(held: list[Held], died: set[int]) -> list[int]:
    """What is known of each task that was on the page when its kernel died; `died`: the children
    that were dead already.
    """
    in_kernel = sum(task.state == STARTED for task in held)
    told = []
    for task in held:
        if task.state == STARTED:
            told.append(PROVEN if in_kernel == 1 else DOUBTFUL)
        elif task.state == APART:
            has_died = task.pid == 0 or task.pid in died
            told.append(PROVEN if has_died else DOUBTFUL)
        else:
            told.append(NOT_STARTED)
    return told


def end_children(held: list[Held]) -> set[int]:
    """Ends the children that run tasks apart; gives those that had come to their end without."""
    died = set()
    for pid in {task.pid for task in held if task.pid}:
        if has_ended(pid, LAST_MOMENT):
            died.add(pid)
            continue
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        has_ended(pid, 1.0)
    return died


def has_ended(pid: int, seconds: float) -> bool:
    """Whether this process, which is not our child, comes to its end within so many seconds."""
    if hasattr(os, "pidfd_open"):  # it ends for this also where nobody reaps it
        try:
            process = os.pidfd_open(pid)
        except OSError:
            return True
        try:
            return bool(select.select([process], [], [], seconds)[0])
        finally:
            os.close(process)
    gives_up_at = time.monotonic() + seconds
    while time.monotonic() < gives_up_at:
        try:
            os.kill(pid, 0)
        except OSError:
            return True
        time.sleep(0.01)
    return False


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
                self._log_in()
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

    def _log_in(self) -> None:
        try:
            self._open()
        except RuntimeError:  # refused, so the next call must not find a half-open connection
            self.close()
            raise

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
        died = end_children(list(read_page(self._page)))
        held = list(read_page(self._page))
        replies = [self._orders["replies"] + str(slot) for slot in slots_of(self._page)]
        ends = time.monotonic() + HAND_BACK_FOR
        while replies and time.monotonic() < ends:
            try:
                keys = [*self._orders["lose_keys"], *replies]
                args = [*self._orders["lose_args"], len(replies)]
                self._run("lose", keys, args, held, blame(held, died))
                return
            except (OSError, RuntimeError):
                time.sleep(TICK)

    def _run(
        self,
        name: str,
        keys: list[str],
        args: list[Any],
        held: list[Held],
        more: Sequence[int] | None = None,
    ) -> Any:
        """A script over tasks: each as base number, id, token and, for lose, its blame."""
        bases = list(dict.fromkeys(task.base for task in held))
        rows: list[object] = []
        for number, task in enumerate(held):
            rows += [bases.index(task.base) + 1, task.id, task.token, *(more or ())[number:][:1]]
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
