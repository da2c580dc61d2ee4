"""How much a receiver takes: of a head, of a body, of time, of connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial

import pytest
from tornado.iostream import IOStream

from runqy_notebook.echo import limits
from runqy_notebook.echo.app import Desk
from runqy_notebook.echo.connections import Connections
from runqy_notebook.echo.receipts import Receipts
from runqy_notebook.echo.screening import SignatureCheck
from runqy_notebook.echo.server import Receiver
from runqy_notebook.echo.webhooks import Webhooks
from tests.echo.senders import connected, head, post, said
from tests.waiting import wait_until

JSON = "Content-Type: application/json"


@pytest.fixture
def start() -> Iterator[Callable[..., Receiver]]:
    """Starts receivers whose connections have limits of the test's choice."""
    with ExitStack() as running:

        def start(**of_connections: float) -> Receiver:
            desk = Desk(SignatureCheck([], is_required=False), Receipts())
            receiver = Receiver(desk, partial(Connections, **of_connections))  # type: ignore[arg-type]
            receiver.start()
            running.callback(receiver.stop)
            return receiver

        yield start


def test_a_body_of_one_mebibyte_is_taken_and_one_byte_more_is_not(
    webhooks: Webhooks, url: str
) -> None:
    largest = b'"' + b"x" * (limits.MAX_BODY - 2) + b'"'

    with connected(url) as connection:  # a declared length is enough to be refused
        connection.sendall(head(url, JSON, f"Content-Length: {limits.MAX_BODY + 1}"))
        refused = said(connection)

    assert post(url, largest).status == 204
    assert refused.startswith(b"HTTP/1.1 413 ")
    assert [receipt.body for receipt in webhooks.receipts.newest()] == [largest]


def test_a_body_that_does_not_say_its_length_is_cut_off(webhooks: Webhooks, url: str) -> None:
    piece = b"10000\r\n" + b" " * 65_536 + b"\r\n"

    with connected(url) as connection:
        connection.sendall(head(url, JSON, "Transfer-Encoding: chunked") + piece * 16)
        connection.sendall(b"1\r\n1\r\n0\r\n\r\n")
        refused = said(connection)

    assert refused[:13] in (b"HTTP/1.1 400 ", b"")  # or the answer was lost with the connection
    assert webhooks.receipts.newest() == []


def test_a_body_in_pieces_is_taken(webhooks: Webhooks, url: str) -> None:
    with connected(url) as connection:
        connection.sendall(head(url, JSON, "Transfer-Encoding: chunked"))
        connection.sendall(b"3\r\n[1,\r\n")
        connection.sendall(b"3\r\n 2]\r\n0\r\n\r\n")
        taken = said(connection)

    assert taken.startswith(b"HTTP/1.1 204 ")
    assert webhooks.receipts.newest()[0].value == [1, 2]


def test_a_head_over_16_kb_is_refused(webhooks: Webhooks, url: str) -> None:
    with connected(url) as connection:
        connection.sendall(head(url, JSON, f"X: {'x' * limits.MAX_HEADER}"))
        refused = said(connection)

    assert b" 204 " not in refused
    assert post(url, {}, {"X": "x" * (limits.MAX_HEADER - 1_000)}).status == 204


def test_a_request_that_is_not_finished_in_time_is_ended(start: Callable[..., Receiver]) -> None:
    """However it dawdles: silent, within its head, or within its body."""
    receiver = start(seconds=0.2)
    begun = [b"", head(receiver.url, JSON)[:-2], head(receiver.url, JSON, "Content-Length: 9")]

    with ExitStack() as open_:
        connections = [open_.enter_context(connected(receiver.url)) for _ in begun]
        for connection, bytes_ in zip(connections, begun, strict=True):
            connection.sendall(bytes_)
        heard = [said(connection) for connection in connections]

    def takes_one() -> bool:
        with suppress(ConnectionError):  # this one, too, has no more time than the others
            return post(receiver.url, {}).status == 204
        return False

    assert heard == [b"", b"", b""]
    wait_until(takes_one, "it takes nothing any more")


def test_the_oldest_unfinished_request_makes_room_for_a_new_one(
    start: Callable[..., Receiver],
) -> None:
    receiver = start(most=3)

    with ExitStack() as open_:
        first, *others = [open_.enter_context(connected(receiver.url)) for _ in range(3)]
        assert post(receiver.url, {}).status == 204
        ended = said(first)
        others[1].sendall(head(receiver.url, JSON, "Content-Length: 1") + b"1")
        taken = said(others[1])

    assert ended == b""
    assert taken.startswith(b"HTTP/1.1 204 ")


def test_bodies_under_way_are_bounded_together(start: Callable[..., Receiver]) -> None:
    receiver = start(most_bytes=1_500_000)
    half = b'"' + b"x" * 1_000_000

    with ExitStack() as open_:
        first, second = (open_.enter_context(connected(receiver.url)) for _ in range(2))
        for connection in (first, second):
            connection.sendall(head(receiver.url, JSON, f"Content-Length: {len(half) + 1}") + half)
        ended = said(first)
        second.sendall(b'"')
        taken = said(second)

    assert ended == b""
    assert taken.startswith(b"HTTP/1.1 204 ")


def test_what_a_closed_connection_held_is_given_back() -> None:
    async def closing() -> tuple[int, bool]:
        connections = Connections(most=10, most_bytes=100)
        ends = [socket.socketpair() for _ in range(5)]
        streams = [IOStream(ours) for ours, _ in ends]
        for stream in streams:
            connections.add(stream)
            connections.hold(stream, 60)
        left = len(connections)
        connections.end()
        for _, theirs in ends:
            theirs.close()
        return left, all(stream.closed() for stream in streams)

    assert asyncio.run(closing()) == (1, True)


def test_a_process_with_few_descriptors_takes_fewer_connections(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resource = pytest.importorskip("resource")
    allowed = []

    for soft in (resource.RLIM_INFINITY, 100_000, 1_024, 128):
        monkeypatch.setattr(resource, "getrlimit", lambda which, soft=soft: (soft, soft))
        allowed.append(limits.most_connections())

    assert allowed == [1_000, 1_000, 768, 64]
