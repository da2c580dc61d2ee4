"""What a person is told when Redis does not let us in: a cause and a remedy, never a password."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from runqy_notebook.broker.address import CLUSTER, SCHEME, Masked, masked
from runqy_notebook.errors import ConnectionFailedError, one_line

__all__ = ["IS_TLS", "NOT_TLS", "SENTINEL", "explain", "is_garbled", "masked"]

_ECHO: Final = re.compile(r",? with args beginning with.*", re.S)


@dataclass(frozen=True, slots=True)
class _Rule:
    """`pattern` is searched in what the errors say (see _told); its named groups are facts for the
    two sentences. `at`: only for URLs that begin so.
    """

    pattern: str
    cause: str
    remedy: str
    at: str = ""


_ACL: Final = "Ask its administrator for ACL SETUSER <user>"
_SERVE: Final = "Start a server there, or `%runqy connect --embedded`."

SENTINEL: Final = (
    "this is a Sentinel, which holds no queues",
    "Give the master's redis:// URL; SENTINEL MASTERS lists it.",
)
NOT_TLS: Final = (
    "the server on this port does not speak TLS",
    "Write redis:// instead of rediss://, or give the server's TLS port.",
)
IS_TLS: Final = (
    "the server on this port speaks TLS",
    "Write rediss:// instead of redis:// (with ?ssl_ca_certs=PATH for a private CA).",
)

# The first rule that fits speaks, so the exact ones stand before the general ones. redis-py strips
# the error code of the replies it has a class for, and the set of classes differs by version: a
# pattern names code and class, and the text where several codes share a class.
_RULES: Final = (
    # TLS
    _Rule(
        r"CERTIFICATE_VERIFY_FAILED.*(?:mismatch|not valid for)",
        "its certificate is for another host name",
        "Connect by the name in the certificate, or add ?ssl_check_hostname=false.",
    ),
    _Rule(
        r"CERTIFICATE_VERIFY_FAILED\](?: certificate verify failed:)? ?(?P<why>[^(\n]*\w)",
        "its certificate is not trusted ({why})",
        "Add ?ssl_ca_certs=PATH with the CA's certificate, or ?ssl_cert_reqs=none on a network "
        "that you trust.",
    ),
    _Rule(
        r"CERTIFICATE_REQUIRED|ALERT_(?:BAD_CERTIFICATE|UNKNOWN_CA)",
        "the server wants a client certificate that it trusts",
        "Add ?ssl_certfile=PATH&ssl_keyfile=PATH.",
    ),
    _Rule(
        r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|handshake operation timed out"
        r"|(?s:connecting to.*(?:SSLEOFError|ECONNRESET))",
        "no TLS answer",
        "Write redis:// if the server does not speak TLS, else see whether it is overloaded.",
        at="rediss:",
    ),
    _Rule(
        r"ENOENT|EACCES|PEM lib|NO_CERTIFICATE_OR_CRL|NO_START_LINE|KEY_VALUES_MISMATCH",
        "a certificate or key file named in the URL cannot be used",
        "Check ssl_ca_certs, ssl_ca_path, ssl_certfile, ssl_keyfile and ssl_password.",
        at="rediss:",
    ),
    _Rule(
        r"SSLEOFError",
        "the server closed the TLS connection",
        "Try again; if it stays so, it may want a client certificate: "
        "?ssl_certfile=PATH&ssl_keyfile=PATH.",
        at="rediss:",
    ),
    _Rule(
        r"SSL\w*Error\s+(?P<why>[^(\n]*\w)",
        "TLS failed ({why})",
        "Check the URL's ssl_ options against the server's TLS settings.",
        at="rediss:",
    ),
    # The way to the server
    _Rule(
        r"gaierror|codec can't encode|with 'idna' codec",
        "the host name cannot be resolved",
        "Check its spelling and the network.",
    ),
    _Rule(r"ECONNREFUSED", "no server listens there (connection refused)", _SERVE),
    _Rule(r"ENOENT|ENOTDIR", "there is no such socket", _SERVE, at="unix:"),
    _Rule(
        r"EACCES|EPERM",
        "this user may not open the socket",
        "Join the socket's group, or set unixsocketperm on the server.",
        at="unix:",
    ),
    _Rule(r"path too long", "the path is too long for a socket", "Use a shorter path.", at="unix:"),
    _Rule(
        r"EHOSTUNREACH|ENETUNREACH|ENETDOWN|EHOSTDOWN|EADDRNOTAVAIL",
        "this host cannot be reached from here",
        "Check the host, the network and the VPN.",
    ),
    # What the server says
    _Rule(
        r"without any password configured|no password is set",
        "the URL has a password, but the server has none",
        "Take the password out of the URL, or set requirepass on the server.",
    ),
    _Rule(
        r"WRONGPASS|invalid username-password|(?i:invalid password)|Invalid Username or Password",
        "the user name or the password is wrong",
        "Check both: redis://USER:PASSWORD@host:port/0, or redis://:PASSWORD@host:port/0 (mind the "
        "colon) where there is only a password; percent-encode special characters.",
    ),
    _Rule(
        r"NOAUTH|Authentication required",
        "the server wants a password",
        "Set it: redis://:PASSWORD@host:port/0 (unix://:PASSWORD@/path), or REDIS_PASSWORD beside "
        "REDIS_HOST.",
    ),
    _Rule(
        r"(?:NOPERM|NoPermissionError|ACL failure).*'(?P<command>[\w|-]+)' command",
        "this user may not run the command {command}",
        _ACL + " +{command}.",
    ),
    _Rule(
        r"(?:NOPERM|NoPermissionError|ACL failure).* channel",
        "this user may not use the channels asynq:*",
        f"{_ACL} &asynq:*.",
    ),
    _Rule(
        r"(?:NOPERM|NoPermissionError|ACL failure).* key|can't access at least one of the keys",
        "this user may not use the keys asynq:*",
        f"{_ACL} ~asynq:*.",
    ),
    _Rule(
        r"NOPERM|NoPermissionError|ACL failure",
        "this user may not do that",
        f"{_ACL} +@all ~asynq:* &asynq:*.",
    ),
    _Rule(
        r"\bLOADING\b|BusyLoadingError",
        "the server is still loading its data",
        "Wait and try again; INFO persistence tells loading_eta_seconds.",
    ),
    _Rule(
        r"max number of clients",
        "the server takes no more clients",
        "Close some (CLIENT LIST shows them) or raise maxclients.",
    ),
    _Rule(
        r"\bDENIED\b",
        "the server is in protected mode and takes local clients only",
        "Set a password on it (requirepass), or run this on its own machine.",
    ),
    _Rule(
        r"\bMASTERDOWN\b|MasterDownError",
        "this replica has lost its master",
        "Give the master's URL, or wait until they are connected again.",
    ),
    _Rule(
        r"\bREADONLY\b|ReadOnlyError",
        "this is a read-only replica",
        "Give the master's URL; INFO replication names it.",
    ),
    _Rule(
        r"\bOOM\b|OutOfMemoryError",
        "the server's memory is full (maxmemory)",
        "Free some (`%runqy purge` removes tasks) or raise maxmemory.",
    ),
    _Rule(
        r"\bMISCONF\b",
        "the server takes no writes since it cannot save its data",
        "Its disk may be full or its folder gone: see its log.",
    ),
    _Rule(
        r"\bNOREPLICAS\b",
        "the server takes no writes without its replicas",
        "Start them, or lower min-replicas-to-write.",
    ),
    _Rule(
        r"\bBUSY\b",
        "a script has been blocking the server for seconds",
        "Wait, or end it with `redis-cli SCRIPT KILL`.",
    ),
    _Rule(
        r"\b(?:MOVED|ASK|CLUSTERDOWN|CROSSSLOT)\b|cluster mode"
        r"|MovedError|AskError|ClusterDownError|ClusterCrossSlotError",
        *CLUSTER,
    ),
    _Rule(
        r"DB index|invalid DB",
        "the server has no database of this number",
        "Use a lower one (0 always exists), or raise `databases` on the server.",
    ),
    _Rule(
        r"unknown command ['`]?(?P<command>[\w|-]+)",
        "the server does not know the command {command}",
        "It may be renamed there, or the server is not Redis 6.2 or newer.",
    ),
    _Rule(
        r"InvalidResponse|Protocol [Ee]rror",
        "what answers there is not Redis",
        "Check host and port.",
    ),
    # Silence
    _Rule(
        r"Timeout connecting|ETIMEDOUT|EAGAIN",
        "no answer from this host in time",
        "Check host, port, firewall and VPN.",
    ),
    _Rule(r"TimeoutError", "the server did not answer in time", "It may be overloaded or stopped."),
    _Rule(
        r"ECONNRESET|EPIPE|ECONNABORTED|closed by server|while writing to socket",
        "the connection was lost",
        "Try again; if it stays so, see the server's log.",
    ),
)
_GARBLED: Final = re.compile(
    r"Timeout reading|handshake operation timed out|ECONNRESET|EPIPE|closed by server"
    r"|while writing|InvalidResponse|SSL\w*Error"
)


def explain(error: BaseException, where: str) -> ConnectionFailedError:
    """The cause of `error` in one sentence, the remedy in another, for the URL `where`.

    Nothing that `masked` hid in `where` is repeated, whatever the server said. An error that is
    explained already comes back as it is.
    """
    if isinstance(error, ConnectionFailedError):
        return error
    where = where if isinstance(where, Masked) else masked(where)
    told = _told(error)
    for rule in _RULES:
        found = re.search(rule.pattern, told)
        if found and where.lower().startswith(rule.at):
            facts = {name: _scrubbed(text, where) for name, text in found.groupdict().items()}
            cause, remedy = rule.cause.format(**facts), rule.remedy.format(**facts)
            return ConnectionFailedError(str(where), cause, remedy)
    cause = f"{type(error).__name__}: {_scrubbed(str(error), where)}".rstrip(":. ")
    return ConnectionFailedError(str(where), cause, "Check the URL and see the server's log.")


def is_garbled(error: BaseException) -> bool:
    """Whether `error` is what speaking TLS to a plain port, or the reverse, may look like."""
    return _GARBLED.search(_told(error)) is not None and "CERTIFICATE" not in _told(error)


def _told(error: BaseException) -> str:
    """A line for the error and for each lower-level error it stands for: class, code, text."""
    return "\n".join(
        f"{type(one).__name__} {_code(one)} {one_line(one, 1000)}" for one in _with_origins(error)
    )


def _with_origins(error: BaseException) -> Iterator[BaseException]:
    """The error, then what redis-py wrapped in it: errors of the operating system and of TLS.

    An earlier *reply* is no origin, it is what somebody was busy with when the error came up.
    """
    one: BaseException | None = error
    for _ in range(5):
        if one is None or not (
            one is error or type(one) is type(error) or isinstance(one, OSError)
        ):
            return
        yield one
        one = one.__cause__ or one.__context__


def _code(error: BaseException) -> str:
    """The code of a reply where redis-py (8 and later) keeps it, or the name of an errno."""
    if isinstance(error, OSError):
        system = type(error).__module__ == "builtins"  # gaierror and SSLError number otherwise
        return errno.errorcode.get(error.errno or 0, "") if system else ""
    return getattr(error, "status_code", None) or ""


def _scrubbed(text: str, where: Masked) -> str:
    """Foreign `text` in one line, without what `where` hides, echoed arguments or URLs."""
    text = _ECHO.sub("", where.blank(text))
    url = SCHEME.search(text)
    if url:
        text = text[: url.start()] + masked(text[url.start() :])
    return where.blank(one_line(text))
