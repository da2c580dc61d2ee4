"""Keeps one Redis-compatible server up for the notebooks of one user, and ends it when unused.

    python -I -S supervisor.py STATE_DIR BINARY TTL < CONFIG

CONFIG is the server's, without address and password. What becomes of the start is one text on
stdout: READY, BUSY (another supervisor is at it), or the last words of a server that refused.
It must start fast and outlive the environment that started it: standard library only.

In STATE_DIR (0700, the starter sees to that) lie:
  lock         flock held by the supervisor *and* its server: the data never has two writers
  server.json  a `Record` (0600), there only while the server may be used
  server.log   what both have to say, and this process's stderr; server.log.1 is what came before
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple

READY, BUSY = "ready", "busy"
HOST = "127.0.0.1"
PATIENCE, SHUTDOWN_SECONDS = 1.0, 8.0  # with one answer, and with the end
DAY = 86_400.0
LOG_BYTES = 1_000_000
QUICK_DEATH, MAX_QUICK_DEATHS = 10.0, 5  # seconds after its start; so many in a row

_AMONG_TASK_ZSETS = ("MATCH", "asynq:*", "COUNT", "1000", "TYPE", "zset")
_FIRST_ONLY = ("+inf", "WITHSCORES", "LIMIT", "0", "1")

if sys.platform != "win32":
    SIGNALS = (signal.SIGTERM, signal.SIGCHLD, signal.SIGALRM)
if sys.platform == "linux":
    import ctypes

    _prctl, _PR_SET_PDEATHSIG = ctypes.CDLL(None).prctl, 1


class Record(NamedTuple):
    """The state file: where one running server answers, and which processes it consists of."""

    port: int
    password: str
    pid: int
    started: str
    supervisor_pid: int
    supervisor_started: str

    @classmethod
    def read(cls, state_dir: Path) -> Record | None:
        """What the state file says; None when there is none, or not one of ours."""
        try:
            return cls(**json.loads((state_dir / "server.json").read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None


def ask(port: int, password: str, *words: str) -> list[str]:
    """The reply to one command: its strings and numbers as text, nesting flattened.

    A connection of its own each time; whatever goes wrong is an OSError.
    """
    with socket.create_connection((HOST, port), PATIENCE) as link, link.makefile("rb") as replies:
        for command in ("AUTH", password), words:
            parts = [b"$%d\r\n%b\r\n" % (len(word), word) for word in map(os.fsencode, command)]
            link.sendall(b"*%d\r\n%b" % (len(parts), b"".join(parts)))
            reply = _read_reply(replies)
    return reply


def _read_reply(replies: BufferedReader) -> list[str]:
    line = os.fsdecode(replies.readline(65_536))
    kind, rest = line[:1], line[1:].strip()
    if kind in ("+", ":"):
        return [rest]
    if kind not in ("$", "*") or not rest.isdigit():
        raise ConnectionError(rest or "the server closed the connection")
    if kind == "*":
        return [text for _ in range(int(rest)) for text in _read_reply(replies)]
    text = replies.read(int(rest) + 2)
    if not text.endswith(b"\r\n"):
        raise ConnectionError("the server closed the connection")
    return [os.fsdecode(text[:-2])]


def facts(info: str) -> dict[str, str]:
    """What INFO tells, by name."""
    return dict(line.split(":", 1) for line in info.splitlines() if ":" in line)


class Supervisor:
    """The parent of one server: starts it, restarts it, and ends it when nobody needs it.

    Single-threaded, because the kernel ends the server with the *thread* that forked it.
    """

    def __init__(self, state_dir: Path, binary: str, ttl: float, config: bytes, lock: int) -> None:
        self.state_file, self.log = state_dir / "server.json", state_dir / "server.log"
        self.binary, self.ttl, self.config, self.lock = binary, ttl, config, lock
        self.port, self.password = 0, ""
        self.used_at = self.needed_until = time.monotonic()
        self.own_connections = self.others_connections = self.quick_deaths = 0
        self.is_stopping = False
        self.spawn()

    def run(self) -> None:
        """Watches over the server until it is unneeded, told to stop, or beyond help."""
        while not self.is_stopping:
            if self.server.poll() is not None:
                if not self.revive():
                    return
            elif self.is_unneeded() and self.withdraw():
                self.say(f"unused for {self.ttl:g} s: ending")
                return
            else:
                self.rotate_log()
                self.wait(min(1.0, max(0.05, self.ttl / 10)))

    def wait(self, seconds: float) -> None:
        """Sleeps, but not past the end of the server (SIGCHLD) or a wish to stop (SIGTERM)."""
        signal.setitimer(signal.ITIMER_REAL, seconds)
        woken_by = signal.sigwait(SIGNALS)
        # Of several it takes the lowest number: an alarm each time, where the server is slow.
        self.is_stopping |= signal.SIGTERM in {woken_by, *signal.sigpending()}

    def spawn(self) -> None:
        """Starts the server's process; `wait_until_up` tells what becomes of it."""
        self.settle_address()
        address = f"bind {HOST}\nport {self.port}\nrequirepass {self.password}\n"
        # A pipe, because `ps` shows arguments. It holds far more than a configuration.
        reader, writer = os.pipe()
        os.write(writer, self.config + address.encode())
        os.close(writer)
        me, self.spawned_at, self.own_connections = os.getpid(), time.monotonic(), 0
        with open(reader) as stdin:
            self.server = subprocess.Popen(
                [self.binary, "-"],
                stdin=stdin,
                stdout=sys.stderr,
                pass_fds=[self.lock],
                preexec_fn=lambda: become_server(me),
            )

    def settle_address(self) -> None:
        """Keeps port and password for a restarted server, unless a stranger has the port.

        Then the password is spent as well: clients that reconnect have told it to the stranger.
        """
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, self.port))
            except OSError:
                probe.bind((HOST, 0))
            if self.port != probe.getsockname()[1]:
                self.port = probe.getsockname()[1]
                self.password = os.urandom(32).hex()  # secrets.token_hex, without its imports

    def wait_until_up(self) -> bool:
        """Publishes the server as soon as it answers; False if it ends before."""
        while self.server.poll() is None and not self.is_stopping:
            with contextlib.suppress(OSError):  # not there yet, or still loading its data
                self.ask("PING")
                break
            self.wait(0.005 if time.monotonic() - self.spawned_at < 1 else 0.1)
        else:
            return False
        self.used_at = time.monotonic()
        self.publish()
        return True

    def ask(self, *words: str) -> list[str]:
        """The module's `ask`, counted."""
        reply = ask(self.port, self.password, *words)
        self.own_connections += 1
        return reply

    def publish(self) -> None:
        """Puts the state file in place, whole and private: from now on starters attach."""
        pid, me = self.server.pid, os.getpid()
        started = process_started(pid) or "", process_started(me) or ""
        record = Record(self.port, self.password, pid, started[0], me, started[1])
        draft = self.state_file.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(record._asdict(), file)
        draft.replace(self.state_file)

    def withdraw(self) -> bool:
        """Takes the state file away; puts it back (False) if a client came at that moment.

        A starter connects first and looks at the state file again after: one of us notices.
        """
        self.state_file.unlink(missing_ok=True)
        if self.is_used():
            self.publish()
            return False
        return True

    def revive(self) -> bool:
        """Restarts a server that died; False if a client shut it down, or it keeps on dying."""
        status = self.server.returncode
        quick = time.monotonic() - self.spawned_at < QUICK_DEATH
        self.quick_deaths = self.quick_deaths + 1 if quick else 1
        if status == 0 or self.quick_deaths > MAX_QUICK_DEATHS:
            self.say(f"the server ended with status {status}: not starting it again")
            return False
        self.say(f"the server ended with status {status}: starting it again")
        if self.quick_deaths > 1:
            self.wait(0.025 * 2**self.quick_deaths)
        self.spawn()
        self.wait_until_up()  # or it is dead again, which `run` sees
        return True

    def is_unneeded(self) -> bool:
        """Whether nobody used the server for `ttl` seconds and no task is due within a day."""
        now = time.monotonic()
        if self.is_used():
            self.used_at = self.needed_until = now
        if now - self.used_at < self.ttl or now < self.needed_until:
            return False
        # Looked up anew each minute, for clocks get set and laptops sleep.
        until_due = min(self.seconds_to_next_due(), 60.0)
        self.needed_until = min(now + until_due, self.used_at + max(DAY, self.ttl))
        return now >= self.needed_until

    def is_used(self) -> bool:
        """Whether a client is here or came since the last look; a server too busy to say is."""
        try:
            told = facts(self.ask("INFO")[0])
        except OSError:
            return True
        others = int(told["total_connections_received"]) - self.own_connections
        before, self.others_connections = self.others_connections, others
        return int(told["connected_clients"]) > 1 or others != before

    def seconds_to_next_due(self) -> float:
        """Until the next due time of a scheduled or retried task; 0 if none lies ahead."""
        now, cursor = time.time(), "0"
        dues: list[float] = []
        try:
            for _ in range(10_000):
                cursor, *keys = self.ask("SCAN", cursor, *_AMONG_TASK_ZSETS)
                for key in keys:
                    if key.endswith((":scheduled", ":retry")):
                        due = self.ask("ZRANGEBYSCORE", key, f"({now}", *_FIRST_ONLY)[1:]
                        dues += map(float, due)
                if cursor == "0":
                    break
        except OSError:
            return DAY  # it is too busy to say
        return min(dues, default=now) - now

    def say(self, text: str) -> None:
        """Adds a line to the log."""
        line = f"{os.getpid()}:supervisor {time.strftime('%d %b %Y %H:%M:%S')} {text}\n"
        with contextlib.suppress(OSError), self.log.open("a", encoding="utf-8") as log:
            log.write(line)

    def rotate_log(self) -> None:
        """Keeps the log at two megabytes; whoever writes to it opens it anew for each line."""
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))

    def close(self) -> None:
        """Ends the server, its file flushed to disk: to it, SIGTERM is SHUTDOWN."""
        self.state_file.unlink(missing_ok=True)
        self.server.terminate()
        try:
            self.server.wait(SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            # Acknowledged writes survive this too: the system has them before the client knows.
            self.server.kill()
            self.server.wait()


def process_started(pid: int) -> str | None:
    """When process `pid` started, as the system notes it; None unless it is running.

    A pid alone may by now belong to someone else.
    """
    if sys.platform == "linux":
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return " ".join(shown[1:]) if shown and shown[0][0] != "Z" else None


def become_server(supervisor: int) -> None:
    """The last that a child of the supervisor does before it runs the server's binary."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    if sys.platform == "linux":
        # However the supervisor ends, the server does not stay behind.
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != supervisor:
            os._exit(1)


def take_lock(state_dir: Path) -> int | None:
    """An open file that has the lock, to be handed down; None if others have it."""
    import fcntl  # Unix only, while starters import this module everywhere

    lock = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return lock


def tell(news: str) -> None:
    """Says how the start went, and lets go of the starter's pipe."""
    with contextlib.suppress(OSError):  # the starter may be gone
        os.write(1, os.fsencode(news))
    os.dup2(2, 1)


def main(state_dir: Path, binary: str, ttl: float) -> None:
    """Supervises a server until it ends, unless another process does so already."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # macOS drops what it would ignore anyway
    signal.pthread_sigmask(signal.SIG_SETMASK, SIGNALS)
    os.umask(0o077)
    config = sys.stdin.buffer.read()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    lock, log_before = take_lock(state_dir), os.fstat(2).st_size
    if lock is None:
        tell(BUSY)
        return
    with contextlib.closing(Supervisor(state_dir, binary, ttl, config, lock)) as supervisor:
        if supervisor.wait_until_up():
            tell(READY)
            supervisor.run()
        else:
            tell(os.fsdecode(supervisor.log.read_bytes()[log_before:]))


if __name__ == "__main__":
    # The starter gets rid of us at once, and whatever ends its children does not find us.
    if os.fork():
        os._exit(0)
    try:
        main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
    except OSError as error:
        tell(str(error))
        raise
