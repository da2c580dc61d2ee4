"""Where a webhook may go. A URL that came with a task is a stranger's: it must not reach what only
this machine can reach.

The name is looked up once, every address it has is judged, and the connection is made to one of
those very addresses, so a name that changes its mind in between gains nothing (DNS rebinding).
Addresses: the registries of IANA for special purposes
(https://www.iana.org/assignments/iana-ipv4-special-registry,
https://www.iana.org/assignments/iana-ipv6-special-registry), read narrowly.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import quote

from runqy_notebook.errors import DestinationError, one_line

Lookup: TypeAlias = Callable[[str, int, float], list[str]]
"""(host, port, seconds) -> its IP addresses; raises OSError (TimeoutError after so long)."""

LONGEST_URL: Final = 2_048
_MOST_ADDRESSES = 16

# Nothing but this is taken: no user-info, no percent or backslash in a host, no other spelling.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?"
    r"(?P<target>(?:/[^?#]*)?(?:\?[^#]*)?)(?:#.*)?",
    re.IGNORECASE | re.ASCII,
)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.IGNORECASE | re.ASCII)

_FORBIDDEN_4 = [
    ipaddress.IPv4Network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; 100.100.100.200 gives out a cloud's credentials
        "127.0.0.0/8",
        "168.63.129.16/32",  # the same on Azure
        "169.254.0.0/16",  # link-local; 169.254.169.254 is the same on most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
]
_GLOBAL_6 = ipaddress.IPv6Network("2000::/3")  # loopback, local, mapped, NAT64 lie outside
_FORBIDDEN_6 = [
    ipaddress.IPv6Network(each)
    for each in (
        "2001::/23",  # protocols' own: Teredo, benchmarks, ORCHID
        "2001:db8::/32",
        "2002::/16",  # 6to4: an IPv4 address inside
        "3fff::/20",
    )
]


@dataclass(frozen=True, slots=True)
class Destination:
    """A URL taken apart: what to look up, whom to ask for, and what to ask."""

    scheme: str
    host: str  # a name or an IP address, without brackets
    port: int
    target: str  # path and query, as it goes into the request line

    @property
    def authority(self) -> str:
        """What the Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


_PORTS = {"http": 80, "https": 443}


def destination(url: object) -> Destination:
    """What a URL says; raises DestinationError where nothing is to be sent there, by its spelling
    alone.
    """
    if not isinstance(url, str) or len(url) > LONGEST_URL:
        raise DestinationError(f"it is no URL of at most {LONGEST_URL} characters")
    found = _URL.fullmatch(url)
    if not found or any(char.isspace() or not char.isprintable() for char in url):
        raise DestinationError(
            f"{masked(url)!r} is not a plain http:// or https:// URL (of a name in ASCII, without "
            "user and password)"
        )
    scheme, host = found["scheme"].lower(), found["host"].lower()
    port = int(found["port"]) if found["port"] else _PORTS[scheme]
    if port not in _PORTS.values() and not 1024 <= port <= 65_535:
        raise DestinationError(f"port {port} is none of 80, 443 and 1024 to 65535")
    if host.startswith("["):
        host = _ipv6(host[1:-1])
    elif _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        host = _ipv4(host)
    else:
        host = _name(host)
    target = found["target"] if found["target"].startswith("/") else "/" + found["target"]
    return Destination(scheme, host, port, quote(target, safe="/?:@!$&'()*+,;=-._~%[]|"))


def addresses(
    to: Destination,
    *,
    allow_private: bool = False,
    allowed: Collection[tuple[str, int]] = (),
    lookup: Lookup,
    seconds: float,
) -> list[str]:
    """The addresses to connect to; raises DestinationError where one of them is forbidden, OSError
    where there are none.

    `allowed` are (address, port) of our own that may be reached all the same.
    """
    found = list(dict.fromkeys(lookup(to.host, to.port, seconds)))[:_MOST_ADDRESSES]
    if not found:
        raise OSError(f"the name {to.host} has no address")
    for address in found:
        if not (allow_private or (address, to.port) in allowed or is_public(address)):
            raise DestinationError(
                f"{to.host} is at {address}, an address that only machines here can reach "
                "(allow_private=True lets a destination of yours be there)"
            )
    return found


def is_public(address: str) -> bool:
    """Whether an IP address is one that anybody on the internet reaches as we do."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # a zone (fe80::1%eth0), or no address at all
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _FORBIDDEN_4)
    return ip in _GLOBAL_6 and not any(ip in network for network in _FORBIDDEN_6)


def look_up(host: str, port: int, seconds: float) -> list[str]:
    """The addresses of a name, by the system's resolver, which knows no time limit of its own: it
    is left behind in a thread where it takes too long.
    """
    found: list[str] = []
    problem: list[OSError] = []
    done = threading.Event()

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(str(answer[4][0]) for answer in answers)
        except UnicodeError:  # a label that is empty or too long
            problem.append(OSError(f"{host} is no name"))
        except OSError as error:
            problem.append(error)
        finally:
            done.set()

    threading.Thread(target=ask, name="look-up", daemon=True).start()
    if not done.wait(max(seconds, 0.0)):
        raise TimeoutError(f"looking up {host} took too long")
    if problem:
        raise problem[0]
    return found


def masked(url: object) -> str:
    """A destination as it may be shown: no password, no query (which may be signed), cut to size;
    a session's own receiver by the word that a person wrote for it.
    """
    text = re.sub(r"^echo-[0-9a-f]{16}$", "echo", one_line(url, LONGEST_URL))
    text = re.sub(r"^([a-z][a-z0-9+.-]*://)[^/?#]*@", r"\1…@", text, flags=re.IGNORECASE)
    text = re.sub(r"[?#].*", "?…", text)
    return one_line(text, 120)


def _name(text: str) -> str:
    """A name without the dot at its end, which certificates do not have."""
    name = text.removesuffix(".")
    if not all(0 < len(label) <= 63 for label in name.split(".")):
        raise DestinationError(f"{one_line(text, 80)} is not the name of a host")
    return name


def _ipv4(text: str) -> str:
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        raise DestinationError(
            f"{text} is an address in a spelling that programs read in different ways"
        ) from None


def _ipv6(text: str) -> str:
    try:
        return str(ipaddress.IPv6Address(text))
    except ValueError:
        raise DestinationError(f"[{text}] is not an IPv6 address") from None
