"""The commands that one client sends, as the server tells them (MONITOR), scripts' own included.

MONITOR slows the whole server down and shows everybody's commands, so it is on only inside `with`,
and what others send is dropped as it comes. Where it is refused (an ACL, a managed Redis) `refusal`
says so, and nothing is recorded.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import threading
from dataclasses import dataclass, field
from typing import Any, Final

import redis

from runqy_notebook.broker.scripts import names_of_scripts
from runqy_notebook.errors import one_line
from runqy_notebook.wire.layout import to_text

MOST_KEPT: Final = 2_000
"""Commands of one script that are kept, and of others before those that matter are picked."""

_PATIENCE: Final = 2.0  # seconds until a server that goes on has told of all that it did
_TICK: Final = 0.1
_LINE: Final = re.compile(rb"[0-9.]+ \[(\d+) (.*?)\] (.*)", re.DOTALL)
_WORD: Final = re.compile(rb'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(x[0-9a-f]{2}|.)", re.DOTALL)
_PLAIN: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}

READING: Final = frozenset({
    "AUTH", "CLIENT", "COMMAND", "ECHO", "EXISTS", "GET", "GETRANGE", "HELLO", "HEXISTS",
    "HGET", "HGETALL", "HLEN", "HMGET", "HSTRLEN", "INFO", "LINDEX", "LLEN", "LPOS", "LRANGE",
    "MONITOR", "PING", "PTTL", "PUBLISH", "PUBSUB", "SCARD", "SCRIPT", "SELECT", "SISMEMBER",
    "SMEMBERS", "STRLEN", "SUBSCRIBE", "TIME", "TTL", "TYPE", "ZCARD", "ZCOUNT", "ZMSCORE",
    "ZRANGE", "ZRANGEBYSCORE", "ZREVRANGE", "ZSCORE",
})  # fmt: skip
"""Commands that leave every key as it is."""

_SETTING_UP: Final = frozenset(["AUTH", "CLIENT", "HELLO", "PING", "SELECT", "SCRIPT"])


@dataclass(frozen=True, slots=True)
class Command:
    """One command. `script` is the name of the script that it calls, whose own commands are
    `inner`, in their order; those have no more inside.
    """

    words: tuple[bytes, ...]
    script: str = ""
    inner: tuple[Command, ...] = ()

    @property
    def name(self) -> str:
        return to_text(self.words[0]).upper() if self.words else ""

    @property
    def is_write(self) -> bool:
        """Whether it may change keys itself; a script does so by what is inside."""
        return not self.script and self.name not in READING

    @property
    def writes(self) -> tuple[Command, ...]:
        """The commands that may have changed keys: this one, or those inside."""
        if self.script:
            return tuple(command for command in self.inner if command.is_write)
        return (self,) if self.is_write else ()


@dataclass(slots=True)
class _Heard:
    """A command and what its script did, while more may come."""

    address: str
    words: tuple[bytes, ...]
    inner: list[Command] = field(default_factory=list)


class Monitor:
    """Records, inside `with`, what the connections called `client_name` send, and whatever writes
    and names `mark` in its arguments, where that is not empty.
    """

    def __init__(self, client: redis.Redis, client_name: str, mark: str) -> None:
        self.refusal = ""
        self._client = client
        self._client_name = client_name.encode()
        self.mark = mark
        self._end = f"runqy-{secrets.token_hex(8)}".encode()
        self._heard: list[_Heard] = []
        self._addresses: set[str] = set()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._line: Any = None

    def __enter__(self) -> Monitor:
        try:
            self._addresses = self._addresses_now()
            self._line = self._client.connection_pool.make_connection()
            self._line.connect()
            self._line.send_command("MONITOR")
            self._line.read_response()
        except (redis.RedisError, OSError) as error:
            self.refusal = one_line(error, 160) or type(error).__name__
            self._close()
            return self
        self._thread = threading.Thread(target=self._record, name="runqy-monitor", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._thread is None:
            return
        with contextlib.suppress(redis.RedisError, OSError):
            self._addresses |= self._addresses_now()
            self._client.echo(self._end)  # the last that is to be heard
            self._is_over.wait(_PATIENCE)
        self._is_over.set()
        self._thread.join(_PATIENCE)
        self._close()

    @property
    def commands(self) -> tuple[Command, ...]:
        """What was recorded, without what a connection says when it is opened."""
        found = []
        for heard in self._heard:
            script = _script_of(heard.words)
            # A unix socket's clients look all the same; which script it is tells most.
            is_near = heard.address.startswith("unix:") and script == "sweep"
            if not is_near and not self._is_ours(heard):
                continue
            if heard.words[0].upper().decode("ascii", "replace") in _SETTING_UP:
                continue
            found.append(Command(heard.words, script, tuple(heard.inner)))
        return tuple(found)

    # --- inside ---------------------------------------------------------------------------------

    def _record(self) -> None:
        """Reads until the end is heard, or the recording is over."""
        with contextlib.suppress(redis.RedisError, OSError, ValueError):
            while not self._is_over.is_set():
                if self._line.can_read(_TICK) and self._take(self._line.read_response()):
                    break
        self._is_over.set()

    def _take(self, line: Any) -> bool:
        """Notes a line; whether it was the last one."""
        found = _LINE.match(line) if isinstance(line, bytes) else None
        if found is None:
            return False
        words = tuple(map(_unescaped, _WORD.findall(found[3])))
        where = found[2].decode("utf-8", "replace")
        if self._end in words:
            return True
        if where == "lua":  # it follows the call of its script, as nothing comes between
            if self._heard and len(self._heard[-1].inner) < MOST_KEPT:
                self._heard[-1].inner.append(Command(words))
        elif words:
            if words[:2] == (b"CLIENT", b"SETNAME") and words[2:] == (self._client_name,):
                self._addresses.add(where)  # a connection that was opened meanwhile
            self._forget_others()
            self._heard.append(_Heard(where, words))
        return False

    def _forget_others(self) -> None:
        """Drops the last command where nobody of ours can have sent it: it names neither us nor
        comes from where we were seen; a server may be busy with thousands of others.
        """
        if len(self._heard) < MOST_KEPT:
            return
        self._heard = [each for each in self._heard if self._is_ours(each)]

    def _is_ours(self, heard: _Heard) -> bool:
        if heard.address in self._addresses:
            return True
        is_read = heard.words[0].upper().decode("ascii", "replace") in READING
        is_marked = bool(self.mark) and self.mark.encode() in b" ".join(heard.words)
        return is_marked and not is_read  # whoever looks at us is not us

    def _addresses_now(self) -> set[str]:
        """Where the connections of that name come from; none where that may not be asked."""
        try:
            listed: Any = self._client.client_list()
        except redis.ResponseError:
            return set()
        name = self._client_name.decode()
        return {str(row["addr"]) for row in listed if row.get("name") == name}

    def _close(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            with contextlib.suppress(redis.RedisError, OSError):
                line.disconnect()


def _unescaped(raw: bytes) -> bytes:
    """A word as it was sent: MONITOR writes it as C would."""
    return _ESCAPE.sub(_character, raw)


def _character(found: re.Match[bytes]) -> bytes:
    code = found[1]
    if code[:1] == b"x" and len(code) == 3:
        return bytes([int(code[1:], 16)])
    return _PLAIN.get(code, code)


def _script_of(words: tuple[bytes, ...]) -> str:
    """The name of the script that a command calls; "another" where it is none of ours."""
    name = words[0].upper()
    if name not in (b"EVAL", b"EVALSHA", b"EVAL_RO", b"EVALSHA_RO") or len(words) < 2:
        return ""
    return names_of_scripts().get(words[1], "another")
