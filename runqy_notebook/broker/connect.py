"""Opening a connection: a URL is read, the server behind it looked at, a client handed out."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from concurrent.futures import Future, wait
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from runqy_notebook.broker.address import CLUSTER, Address, masked, read_url
from runqy_notebook.broker.explain import IS_TLS, NOT_TLS, SENTINEL, explain, is_garbled
from runqy_notebook.errors import ConnectionFailedError, SettingsError

__all__ = ["explain", "masked", "open_client", "server_version"]

OLDEST: Final = (6, 2)
"""The first Redis that has BLMOVE."""

REPLY_TIMEOUT: Final = 30.0
"""Seconds that a command may take; a blocking one needs a client of its own."""

HEALTH_CHECK: Final = 30
"""A connection that was idle for so many seconds is tried with a PING before it is used."""


def open_client(url: str, *, timeout: float = 5.0) -> redis.Redis:
    """A client of a server that was seen to answer, to let us in and to be fit for queues.

    Threads may share it. It gives bytes, and never sends a command twice: a retried command whose
    first reply was lost can lose a task. `timeout` (seconds) bounds this call, name look-up
    included, and later each new connection; a reply may then take REPLY_TIMEOUT.

    Raises SettingsError for a URL that cannot be used, ConnectionFailedError for all else.
    """
    address = read_url(url)
    gives_up_at = time.monotonic() + timeout
    try:
        _examine(address, timeout)
        return _client(address, connect=timeout, reply=REPLY_TIMEOUT)
    except (redis.RedisError, OSError, ValueError) as error:  # ValueError: an impossible host
        seen = None
        if address.host and is_garbled(error):
            seen = _second_look(address, gives_up_at - time.monotonic())
        # Not chained: the traceback of the original could print what the server echoed.
        raise (seen or explain(error, address.where)) from None
    except TypeError:
        raise SettingsError(
            f"{address.where}: redis-py {redis.__version__} lacks an option of this URL. "
            "Drop the option, or upgrade the package redis."
        ) from None


def server_version(client: redis.Redis) -> tuple[str, str]:
    """("Valkey" or "Redis", its version); raises redis-py's errors."""
    return _version(_facts(client.info("server")))


def _client(address: Address, *, connect: float, reply: float) -> redis.Redis:
    # Not redis.Redis(**options), which (before 8) forgets connect's limit for a unix socket.
    return redis.Redis.from_url(
        f"{address.scheme}://",
        **address.options,
        decode_responses=False,
        protocol=2,  # RESP3 would cost round trips at each connect and gives us nothing
        socket_connect_timeout=connect,
        socket_timeout=reply,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=HEALTH_CHECK,
        client_name="runqy_notebook",
        **_SAY_NO_LIBRARY,
    )


# redis-py 8 looks its own version up in the installed packages for each connection, 4 ms long,
# so as to tell it to the server.
_SAY_NO_LIBRARY: Final[dict[str, Any]] = (
    {"driver_info": None} if hasattr(redis, "DriverInfo") else {}
)


def _examine(address: Address, timeout: float) -> None:
    """Raises unless the server answers, lets us in and can hold the queues.

    On a client of its own, whose short timeout would be wrong for real work. A fifth of the time
    is left for a second look.
    """
    patience = 0.8 * timeout
    addresses = _count_addresses(address, patience) if address.host else 1
    with _client(address, connect=patience / addresses, reply=patience) as client:
        pipeline = client.pipeline(transaction=False)
        pipeline.ping()  # INFO is answered while loading, PING is not
        pipeline.info("server")
        server = _facts(pipeline.execute()[1])
    mode = server.get("server_mode") or server.get("redis_mode")  # Valkey's name, and Redis's
    if mode == "cluster":
        raise ConnectionFailedError(str(address.where), *CLUSTER)
    if mode == "sentinel":
        raise ConnectionFailedError(str(address.where), *SENTINEL)
    name, version = _version(server)
    digits = re.match(r"(\d+)\.(\d+)", version)
    if name == "Redis" and digits and tuple(map(int, digits.groups())) < OLDEST:
        raise ConnectionFailedError(
            str(address.where),
            f"this is Redis {version}, too old for these queues",
            "Redis 6.2 or newer, or Valkey, is needed (BLMOVE).",
        )


def _facts(info: Any) -> dict[str, Any]:
    return info if isinstance(info, dict) else {}


def _version(server: dict[str, Any]) -> tuple[str, str]:
    if "valkey_version" in server:
        return "Valkey", str(server["valkey_version"])
    return "Redis", str(server.get("redis_version", "unknown"))


def _count_addresses(address: Address, patience: float) -> int:
    """How many addresses the host has: they are tried in turn and must share the time.

    getaddrinfo() knows no timeout, so it runs on a thread, which may outlive this call.
    """
    found: Future[int] = Future()

    def look_up() -> None:
        try:
            found.set_result(
                len(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))
            )
        except Exception as error:  # noqa: BLE001 - a thread's edge; result() raises it again
            found.set_exception(error)

    looker = threading.Thread(target=look_up, name="runqy-look-up", daemon=True)
    looker.start()
    if not wait([found], patience).done:
        raise ConnectionFailedError(
            str(address.where),
            f"the host name was not resolved in {patience:.3g} s",
            "Check the network, or give an IP address.",
        )
    looker.join()
    return found.result() or 1


def _second_look(address: Address, patience: float) -> ConnectionFailedError | None:
    """An error if the port speaks TLS where the URL does not, or the reverse; None if neither
    shows within `patience` seconds.
    """
    if patience <= 0:
        return None
    try:
        with socket.create_connection((address.host, address.port), patience) as raw:
            if address.scheme == "rediss":
                return (
                    ConnectionFailedError(str(address.where), *NOT_TLS) if _is_plain(raw) else None
                )
            return ConnectionFailedError(str(address.where), *IS_TLS) if _is_tls(raw) else None
    except (OSError, ValueError):
        return None


def _is_plain(raw: socket.socket) -> bool:
    raw.sendall(b"PING\r\n")
    return raw.recv(5).startswith((b"+PONG", b"-"))


def _is_tls(raw: socket.socket) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # nothing is sent: we only ask what language is spoken
    context.verify_mode = ssl.CERT_NONE
    try:
        context.wrap_socket(raw).close()
    except ssl.SSLError as error:
        return "ALERT" in (error.reason or "")  # a refusal, but in TLS
    return True
