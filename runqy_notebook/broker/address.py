"""Redis URLs: what one says, and what of it may be shown."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, unquote_plus

from runqy_notebook.errors import SettingsError, did_you_mean, one_line

HIDDEN: Final = "***"
SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_SECRET_OPTION: Final = re.compile(r"[?&][\w%-]*(?:pass|pwd|secret|token|auth)[\w%-]*=", re.I)
_PARTS: Final = re.compile(r"([^/?#]*)([^?#]*)(?:\?([^#]*))?(#.*)?", re.S)
_HOST_AND_PORT: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]|(?P<name>[^:\[\]\s]*))(?::(?P<port>[^:]*))?"
)
# A host, and a port unless that could be a password: `redis://name:word` may lack its @host.
_SURE_SERVER: Final = re.compile(
    r"(?:\[[^\[\]\s]+\]|[^:@\[\]\s]*)(?::\d{0,5})?"
    r"|(?:localhost|(?:\d+\.){3}\d+|\[[^\[\]\s]+\]):[^:@\s]*"
)
_SHOWN_OPTION: Final = re.compile(r"(?:db|username|ssl_(?!password|ca_data)\w+)=[\w./:+-]*")
_FORMS: Final = "Write redis://host:port/0, rediss://host:port/0 (TLS) or unix:///path?db=0."
_ENCODE: Final = "Encode the password: urllib.parse.quote(password, safe='')."

CLUSTER: Final = (
    "this is a Redis Cluster, where scripts over several of these keys cannot run",
    "Give the URL of a server with cluster-enabled no, or `%runqy connect --embedded`.",
)


class Masked(str):
    """A masked URL that remembers what it hides, and can hide that in other texts too."""

    hidden: tuple[str, ...]

    def __new__(cls, text: str, hidden: Iterable[str] = ()) -> Masked:
        """`text` is masked already; `hidden` are the pieces that it lacks."""
        made = super().__new__(cls, one_line(text))
        made.hidden = tuple(hidden)
        return made

    def blank(self, text: str) -> str:
        """`text` with everything that the URL hides replaced by `***`."""
        spellings = {
            spelling
            for piece in self.hidden
            for form in (piece, unquote(piece), unquote_plus(piece))
            for spelling in (form, repr(form)[1:-1], one_line(form, len(form) + 1))
            if len(spelling) > 2  # blanking one letter everywhere would hide what went wrong
        }
        for spelling in sorted(spellings, key=len, reverse=True):
            text = text.replace(spelling, HIDDEN)
        return text

    def quote(self, value: str) -> str:
        """A piece of the URL in quotes, for a sentence about it; hidden unless shown here."""
        return repr(one_line(value, 80) if value in self else HIDDEN)


def masked(url: str) -> Masked:
    """`url` with whatever is or may be a password replaced by `***`.

    Works on any text, also where the password holds an unencoded `@ / ? #` or the `@host` was
    forgotten: what cannot be told from a password is hidden. A name alone before the `@` counts as
    a password whose colon was forgotten. Values of unknown query options are hidden.
    """
    found = SCHEME.match(str(url).strip())
    scheme = found.group() if found else ""
    rest = str(url).strip().removeprefix(scheme)
    hidden: list[str] = []

    # A password in the query comes first, as it may hold an @ that looks like the login's.
    secret = _SECRET_OPTION.search(rest)
    options = ""
    if secret:
        rest, tail = rest[: secret.start()], rest[secret.end() :]
        password, *others = tail.split("&")
        hidden += [password, tail]
        options = secret.group() + "&".join([HIDDEN, *(_shown(o, hidden) for o in others)])

    login = ""
    if not (scheme.lower() == "unix://" and rest.startswith("/")):
        userinfo, at, rest = rest.rpartition("@")
        user, colon, password = userinfo.partition(":")
        if at:
            hidden.append(password if colon else userinfo)
            login = f"{user}:{HIDDEN}@" if colon else f"{userinfo if secret else HIDDEN}@"
    return Masked(scheme + login + _server(rest, hidden, trusted=bool(login)) + options, hidden)


def _server(rest: str, hidden: list[str], *, trusted: bool) -> str:
    """Host, port, path and options; only what precedes the first colon where these are not a host
    and a port, since `redis://user:password` looks just so.
    """
    authority, path, query, fragment = _PARTS.findall(rest)[0]
    if ":" in authority and not trusted and not _SURE_SERVER.fullmatch(authority):
        before, _, after = rest.partition(":")
        hidden.append(after)
        return f"{before}:{HIDDEN}"
    shown = "&".join(_shown(option, hidden) for option in query.split("&"))
    hidden.append(fragment[1:])
    return f"{authority}{path}{'?' if shown else ''}{shown}{f'#{HIDDEN}' if fragment else ''}"


def _shown(option: str, hidden: list[str]) -> str:
    if not option or _SHOWN_OPTION.fullmatch(option):
        return option
    name, equals, value = option.partition("=")
    hidden.append(value if equals else option)
    return f"{name}={HIDDEN}" if equals and name.isidentifier() else HIDDEN


def _flag(value: str) -> bool:
    word = value.lower()
    if word not in ("1", "true", "yes", "on", "0", "false", "no", "off"):
        raise ValueError(value)
    return word in ("1", "true", "yes", "on")


def _cert_reqs(value: str) -> str:
    if value not in ("none", "optional", "required"):
        raise ValueError(value)
    return value


def _database(value: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", value):
        raise ValueError(value)
    return int(value)


def _verify_flags(value: str) -> list[ssl.VerifyFlags]:
    try:
        return [ssl.VerifyFlags[name.strip()] for name in value.strip("[]").split(",")]
    except KeyError:
        raise ValueError(value) from None


_OPTIONS: Final[dict[str, Callable[[str], object]]] = {
    "db": _database,
    "username": str,
    "password": str,
    "ssl_cert_reqs": _cert_reqs,
    "ssl_check_hostname": _flag,
    "ssl_ca_certs": str,
    "ssl_ca_path": str,
    "ssl_ca_data": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_password": str,
    "ssl_min_version": lambda value: ssl.TLSVersion(int(value)),
    "ssl_ciphers": str,
    "ssl_include_verify_flags": _verify_flags,
    "ssl_exclude_verify_flags": _verify_flags,
}
_OTHERS_TUNING: Final = re.compile(
    r"client_name|decode_responses|encoding(_errors)?|health_check_interval|legacy_responses"
    r"|max_connections|protocol|retry_on_error|retry_on_timeout|socket_\w+|timeout"
)
"""How other clients of the same URL want to be set up; ours is fixed, so these have no effect."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a Redis URL says."""

    where: Masked
    scheme: str  # redis, rediss or unix
    host: str  # empty for a unix socket
    port: int
    options: dict[str, Any] = field(repr=False)  # what redis-py wants to know, secrets too


def read_url(url: str) -> Address:
    """The address in a `redis://`, `rediss://` or `unix://` URL, or in a bare `host:port`.

    Options that only tune another client (`decode_responses`, `max_connections`, ...) are
    accepted, since a URL may be shared with one, and have no effect. Raises SettingsError.
    """
    text = url.strip()
    if not text or text.startswith("/"):
        raise SettingsError(f"{masked(text).quote(text)} is not a Redis URL. {_FORMS}")
    text = text if SCHEME.match(text) else f"redis://{text}"
    where = masked(text)
    written, _, rest = text.partition("://")
    scheme = written.lower()
    _refuse_foreign(scheme, where)
    login, place, query = _split(rest, where)
    options = _query_options(query, where, tls=scheme == "rediss") | _login(login)
    if scheme == "unix":
        options["path"] = _socket_path(place, where)
        return Address(where, scheme, "", 0, options)
    server, _, database = place.partition("/")
    host, port = _host_and_port(server, where)
    options.setdefault("db", _path_database(database, where))
    if scheme == "rediss":  # on also where redis-py (before 6) has it off
        checked = options.get("ssl_check_hostname", True) and options.get("ssl_cert_reqs") != "none"
        options["ssl_check_hostname"] = checked
    options |= {"host": host, "port": port, "socket_keepalive": True}
    return Address(where, scheme, host, port, options)


def _refusal(where: Masked, cause: str, remedy: str) -> SettingsError:
    return SettingsError(f"{where}: {cause}. {remedy}")


def _refuse_foreign(scheme: str, where: Masked) -> None:
    if scheme in ("redis", "rediss", "unix"):
        return
    if "sentinel" in scheme:
        raise _refusal(where, "Sentinel URLs are not supported", "Give the master's redis:// URL.")
    if "cluster" in scheme:
        raise _refusal(where, *CLUSTER)
    raise _refusal(where, f"{scheme}:// is not a Redis URL", _FORMS)


def _split(rest: str, where: Masked) -> tuple[str, str, str]:
    """Login, server with path, and query of what follows the scheme."""
    authority, path, query, fragment = _PARTS.findall(rest)[0]
    login, _, server = authority.rpartition("@")
    is_socket = not server and where.lower().startswith("unix:")
    if fragment or "@" in query or ("@" in path and not is_socket):
        # Guessing where such a password ends could send half of it to a name server.
        raise _refusal(where, "a special character (@ / ? #) in it is not percent-encoded", _ENCODE)
    return login, server + path, query


def _login(login: str) -> dict[str, str]:
    user, _, password = login.partition(":")
    parts = {"username": unquote(user), "password": unquote(password)}
    return {name: value for name, value in parts.items() if value}


def _query_options(query: str, where: Masked, *, tls: bool) -> dict[str, object]:
    options: dict[str, object] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if _OTHERS_TUNING.fullmatch(name):
            continue
        if name not in _OPTIONS:
            hint = did_you_mean(name, _OPTIONS).strip() or "Known: db, username, password, ssl_..."
            raise _refusal(where, f"there is no option {where.quote(name)}", hint)
        if name.startswith("ssl_") and not tls:
            raise _refusal(where, f"{name} works with TLS only", "Write rediss://, or drop it.")
        try:
            options |= {name: _OPTIONS[name](value)} if value else {}
        except ValueError:
            raise _refusal(
                where, f"{where.quote(value)} is not a value of {name}", f"Mend or drop {name}."
            ) from None
    return options


def _socket_path(place: str, where: Masked) -> str:
    if len(place) < 2 or not place.startswith("/"):
        raise _refusal(where, "no path of a socket", "Write unix:///path/to/socket?db=0.")
    return unquote(place)


def _host_and_port(server: str, where: Masked) -> tuple[str, int]:
    found = _HOST_AND_PORT.fullmatch(server)
    if not found:
        raise _refusal(
            where,
            "host and port cannot be read",
            f"Write redis://host:port/0, an IPv6 address in [brackets]. {_ENCODE}",
        )
    port = found["port"] or "6379"
    if not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65_536:
        raise _refusal(
            where,
            f"{where.quote(port)} is not a port",
            "A port is a number from 1 to 65535; a password goes before an @: "
            "redis://:PASSWORD@host:port/0.",
        )
    return found["v6"] or unquote(found["name"]) or "localhost", int(port)


def _path_database(path: str, where: Masked) -> int:
    number = unquote(path).strip("/")
    try:
        return _database(number or "0")
    except ValueError:
        raise _refusal(
            where,
            f"{where.quote(number)} is not a database number",
            "Write one, as in redis://host:port/0.",
        ) from None
