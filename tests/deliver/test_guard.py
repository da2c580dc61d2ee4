import socket
import threading
from collections.abc import Iterator

import pytest

from runqy_notebook.deliver.guard import Lookup, is_public, look_up, masked
from runqy_notebook.deliver.webhook import Delivered, Endpoint, Failed, attempt
from tests.deliver.receiving import Receiver

# Hosts of URLs; the port is that of a server which must never see a connection.
SPELLINGS = """
127.0.0.1 127.1 127.0.1 127.255.255.254 127.000.000.001 0127.0.0.1 0177.0.0.1 0x7f.0.0.1
0x7f000001 0x7F.1 2130706433 017700000001 0x7f.0x0.0x0.0x1 127.0.0.1. 0.0.0.0 0 0x0 00000000
4294967295 localhost LOCALHOST localhost. ip6-localhost 10.0.0.1 10.1 172.16.0.1
172.31.255.255 192.168.0.1 192.168.257 100.64.0.1 100.100.100.200 168.63.129.16
169.254.169.254 0xa9fea9fe 2852039166 192.0.0.192 198.18.0.1 192.0.2.1 203.0.113.9 224.0.0.1
255.255.255.255 192.88.99.1 [::1] [0:0:0:0:0:0:0:1] [::] [::ffff:127.0.0.1] [::ffff:7f00:1]
[::127.0.0.1] [::7f00:1] [64:ff9b::7f00:1] [64:ff9b::127.0.0.1] [64:ff9b:1::7f00:1]
[2002:7f00:1::] [2002:a9fe:a9fe::1] [2001:0:7f00:1::] [fe80::1] [fe80::1%25lo] [fc00::1]
[fd00:ec2::254] [fec0::1] [ff02::1] [2001:db8::1] [3fff::1] [::1%25lo]
127.0.0.1%00.example.com 127。0。0。1 １２７.0.0.1 ①②⑦.0.0.1 user@127.0.0.1 user:word@127.0.0.1
example.com\\@127.0.0.1 127.0.0.1\\ 127.0.0.1%2f %31%32%37.0.0.1
"""  # noqa: RUF001
FORBIDDEN = SPELLINGS.split()

ODD_URLS = [
    "",
    "http:",
    "http://",
    "http:///",
    "//127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:\\\\127.0.0.1:{port}\\",
    " http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/\r\nX-More: 1",
    "http://127.0.0.1:{port}/\tx",
    "http://127.0.0.1: {port}/",
    "http://127.0.0.1:22/",
    "http://127.0.0.1:6379/../",
    "http://127.0.0.1:25/",
    "http://127.0.0.1:0/",
    "http://127.0.0.1:65536/",
    "http://127.0.0.1:99999999/",
    "http://127.0.0.1:-1/",
    "http://[::1/",
    "http://[:::1]:{port}/",
    "http://[127.0.0.1]:{port}/",
    "https://.:{port}/",
    "https://.localhost:{port}/",
    "https://local..host:{port}/",
    "https://" + "a" * 64 + ".example:{port}/",
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:{port}/_x",
    "redis://127.0.0.1:{port}/0",
    "unix:///tmp/x",
    "http+unix://%2ftmp%2fx/",
    "javascript:alert(1)",
    "data:,x",
    "http://127.0.0.1:{port}/" + "a" * 3_000,
]


@pytest.fixture
def canary() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


def test_there_are_enough_spellings() -> None:
    assert len(set(FORBIDDEN)) >= 60


def test_no_spelling_of_a_forbidden_address_is_connected_to(canary: Receiver) -> None:
    for host in FORBIDDEN:
        outcome = attempt(Endpoint(f"http://{host}:{canary.port}/x"), "msg", b"{}", deadline=3)

        assert isinstance(outcome, Failed), host
        # Not every resolver knows this one; what it does not know is retried like any other name.
        assert outcome.is_final or host == "ip6-localhost", host
    assert canary.connections == 0


@pytest.mark.parametrize("url", ODD_URLS)
def test_what_is_no_plain_url_is_refused_in_one_line(canary: Receiver, url: str) -> None:
    outcome = attempt(Endpoint(url.format(port=canary.port)), "msg", b"{}", deadline=3)

    assert isinstance(outcome, Failed)
    assert outcome.is_final
    assert "\n" not in outcome.why
    assert canary.connections == 0


def answering(*turns: list[str]) -> tuple[Lookup, list[str]]:
    """A resolver that changes its mind, and the names it was asked for."""
    asked: list[str] = []

    def lookup(host: str, port: int, seconds: float) -> list[str]:
        asked.append(host)
        return turns[min(len(asked), len(turns)) - 1]

    return lookup, asked


def test_a_name_that_changes_its_mind_gains_nothing(canary: Receiver) -> None:
    with Receiver("127.0.0.2", port=canary.port) as meant:
        lookup, asked = answering(["127.0.0.2"], ["127.0.0.1"])
        url = f"http://rebinding.example:{canary.port}/hook"

        outcome = attempt(
            Endpoint(url), "msg", b"{}", allowed={("127.0.0.2", canary.port)}, lookup=lookup
        )

        assert isinstance(outcome, Delivered)
        assert asked == ["rebinding.example"]
        assert meant.requests[0].headers["host"] == f"rebinding.example:{canary.port}"
        assert canary.connections == 0


def test_one_forbidden_address_among_good_ones_spoils_the_name(canary: Receiver) -> None:
    lookup, _ = answering(["93.184.215.14", "127.0.0.1"])

    outcome = attempt(Endpoint(f"http://mixed.example:{canary.port}/"), "m", b"{}", lookup=lookup)

    assert isinstance(outcome, Failed)
    assert outcome.is_final
    assert canary.connections == 0


def test_a_redirect_is_not_followed(canary: Receiver) -> None:
    for status in (301, 302, 303, 307, 308):
        with Receiver() as sends_on:
            sends_on.answers(status, {"Location": f"http://127.0.0.1:{canary.port}/"})

            outcome = attempt(Endpoint(sends_on.url, allow_private=True), "msg", b"{}")

            assert isinstance(outcome, Failed)
            assert len(sends_on.requests) == 1
    assert canary.connections == 0


def test_proxies_of_the_environment_are_not_asked(
    canary: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{canary.port}")
    with Receiver() as meant:
        outcome = attempt(Endpoint(meant.url, allow_private=True), "msg", b"{}")

        assert isinstance(outcome, Delivered)
    assert canary.connections == 0


def test_only_the_very_address_and_port_that_are_ours_are_allowed(canary: Receiver) -> None:
    ours = {("127.0.0.1", canary.port)}
    with Receiver() as other:
        refused = attempt(Endpoint(other.url), "msg", b"{}", allowed=ours)
        taken = attempt(Endpoint(canary.url), "msg", b"{}", allowed=ours)

        assert isinstance(refused, Failed)
        assert isinstance(taken, Delivered)
        assert other.connections == 0


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.215.14", "2606:4700::1111", "172.32.0.1"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public(address)


def test_a_name_that_takes_too_long_to_look_up_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: release.wait(30) and [])

    try:
        with pytest.raises(TimeoutError):
            look_up("slow.example", 80, 0.05)
    finally:
        release.set()


def test_what_is_shown_of_a_url_has_neither_password_nor_query() -> None:
    shown = masked("https://me:hunter2@hooks.example/a/b?signature=abc#d")

    assert shown == "https://…@hooks.example/a/b?…"
