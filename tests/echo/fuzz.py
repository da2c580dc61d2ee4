"""Requests that nobody in their right mind sends, reproducible from a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

T = TypeVar("T")

_METHODS = ["GET", "PUT", "post", "", "P\x00ST", "CONNECT", "PRI", "X" * 300]
_VERSIONS = ["HTTP/1.0", "HTTP/2.0", "HTTP/9", "", "http/1.1", "HTTP/1.1 x"]
_HEADERS = [
    "Content-Type: application/json",
    "Content-Type: text/html; charset=\x00",
    "content-type:application/json;;;=",
    "Content-Length: 7",
    "Content-Length: 8",
    "Content-Length: -1",
    "Content-Length: 99999999999999999999999999",
    "Content-Length: 7, 7",
    "Content-Length: ٣",
    "Content-Length: " + "9" * 5_000,
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: \x0bchunked",
    "Expect: 100-continue",
    "Upgrade: websocket",
    "Connection: keep-alive, upgrade, close",
    "Cookie: a=b; \x00=;;;=\xff",
    "Host: evil.example",
    "Origin: null",
    "webhook-id: m1",
    "webhook-timestamp: 99999999999",
    "webhook-timestamp: -1e9",
    "webhook-signature: v1,AAAA v1a,=== \xff",
    "X-Runqy-Source: 10.0.0.1",
    "X-Scheme: javascript",
    " folded: 1",
    "no colon",
    ": no name",
    "na me: 1",
    "X: " + "y" * 17_000,
]
_BODIES = [
    b'{"a":1}',
    b'{"task_id": "\\ud800\\u0000"}',
    b'{"task_id": ' + b"[" * 5_000,
    b"7\r\n{\"a\":1}\r\n0\r\n\r\n",
    b"fffffffffffffffff\r\n",
    b"-1\r\n\r\n0\r\n\r\n",
    b"1e400",
    b"9" * 10_000,
    b"\xff\xfe\x00",
    b"",
    b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n",
]  # fmt: skip


def requests(url: str, count: int, seed: int) -> Iterator[bytes]:
    """`count` requests for a receiver, each a connection's whole input."""
    dice = random.Random(seed)
    for _ in range(count):
        made = _request(url, dice)
        yield made if dice.random() < 0.7 else _mangled(made, dice)


def _request(url: str, dice: random.Random) -> bytes:
    parts = urlsplit(url)
    if dice.random() < 0.05:
        return dice.randbytes(dice.randrange(2_000))
    path = f"{parts.path}{_odd(dice, '', ['/%ff%00?a=%', '?token=', '#', '//..'])}"
    path = _odd(dice, path, ["/", "*", url, "/\xff", ""])
    lines = [f"{_odd(dice, 'POST', _METHODS)} {path} {_odd(dice, 'HTTP/1.1', _VERSIONS)}"]
    lines += [f"Host: {parts.netloc}"] * _odd(dice, 1, [0, 2])
    lines += dice.choices(_HEADERS, k=_odd(dice, 0, [1, 1, 1, 2, 5], 0.5))
    body = dice.choice(_BODIES)
    lines += _odd(dice, ["Content-Type: application/json", f"Content-Length: {len(body)}"], [[]])
    end = _odd(dice, "\r\n", ["\n", "\r"])
    return end.join([*lines, "", ""]).encode("utf-8", "replace") + body


def _odd(dice: random.Random, usual: T, unusual: Sequence[T], share: float = 0.1) -> T:
    return dice.choice(unusual) if dice.random() < share else usual


def _mangled(request: bytes, dice: random.Random) -> bytes:
    """The request with a few bytes changed, added, or lost, or cut short."""
    mangled = bytearray(request)
    for _ in range(dice.choice([1, 1, 1, 2, 5])):
        at = dice.randrange(len(mangled) + 1)
        match dice.randrange(4):
            case 0:
                mangled[at : at + 1] = dice.randbytes(1)
            case 1:
                mangled[at:at] = dice.choice([b"\r\n", b"\x00", b":", b" ", b"\r\n\r\n", b"\xff"])
            case 2:
                del mangled[at : at + dice.randrange(40)]
            case 3:
                del mangled[at:]
    return bytes(mangled)
