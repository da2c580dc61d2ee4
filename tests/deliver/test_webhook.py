import email.utils
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runqy_notebook.deliver import http
from runqy_notebook.deliver.signing import Secret, Verdict, verify
from runqy_notebook.deliver.webhook import (
    LONGEST_WAIT,
    Attempt,
    Delivered,
    Endpoint,
    Failed,
    Gone,
    attempt,
)
from tests.deliver.receiving import Receiver

BODY = json.dumps({"task_id": "t1", "result": {"n": 1}}).encode()


def sent_to(
    receiver: Receiver, *, deadline: float = 5.0, secrets: tuple[Secret, ...] = ()
) -> Attempt:
    endpoint = Endpoint(receiver.url + "?a=b", secrets, allow_private=True)
    return attempt(endpoint, "msg_1", BODY, deadline=deadline)


def in_seconds(seconds: float) -> str:
    return email.utils.formatdate(time.time() + seconds, usegmt=True)


# status, headers, and what is made of it: the kind, and the wait that was asked for; a number is a
# date so many seconds from now
ANSWERS: list[tuple[int, dict[str, str | float], type, float]] = [
    (200, {}, Delivered, 0),
    (201, {}, Delivered, 0),
    (202, {}, Delivered, 0),
    (204, {}, Delivered, 0),
    (299, {}, Delivered, 0),
    (300, {}, Failed, 0),
    (301, {"Location": "/elsewhere"}, Failed, 0),
    (304, {}, Failed, 0),
    (307, {"Location": "/elsewhere"}, Failed, 0),
    (400, {}, Failed, 0),
    (401, {}, Failed, 0),
    (404, {}, Failed, 0),
    (410, {}, Gone, 0),
    (429, {"Retry-After": "7"}, Failed, 7),
    (429, {"Retry-After": "999999999999999999"}, Failed, LONGEST_WAIT),
    (429, {"Retry-After": "-5"}, Failed, 0),
    (429, {"Retry-After": "soon"}, Failed, 0),
    (500, {"Retry-After": "7"}, Failed, 0),
    (502, {}, Failed, 0),
    (503, {"Retry-After": 600.0}, Failed, 600),
    (503, {"Retry-After": 90_000.0}, Failed, LONGEST_WAIT),
    (503, {"Retry-After": -600.0}, Failed, 0),
    (503, {"Retry-After": "Wed, 99 Foo 2026 25:61:61 GMT"}, Failed, 0),
]


@pytest.mark.parametrize(("status", "headers", "kind", "wait"), ANSWERS)
def test_what_an_answer_means(
    status: int, headers: dict[str, str | float], kind: type, wait: float
) -> None:
    given = {k: in_seconds(v) if isinstance(v, float) else v for k, v in headers.items()}
    with Receiver() as receiver:
        receiver.answers(status, given, b"" if status in (204, 304) else b"because")

        outcome = sent_to(receiver)

    assert type(outcome) is kind
    assert outcome.status == status
    if isinstance(outcome, Failed):
        assert wait - 10 <= outcome.retry_after <= wait
        assert not outcome.is_final
        assert str(status) in outcome.why


def dripping(text: bytes) -> Callable[[socket.socket], None]:
    def drip(channel: socket.socket) -> None:
        for i in range(len(text)):
            channel.sendall(text[i : i + 1])
            if stopped.wait(0.05):
                return

    stopped = threading.Event()
    return drip


SLOW_HEAD = b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 10_000
SLOW_INFORMATION = b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000


@pytest.mark.parametrize("text", [SLOW_HEAD, SLOW_INFORMATION])
def test_a_drip_fed_answer_ends_at_the_deadline(text: bytes) -> None:
    with Receiver() as receiver:
        receiver.does(dripping(text))

        outcome = sent_to(receiver, deadline=0.6)

    assert isinstance(outcome, Failed)
    assert outcome.why == "no answer within 0.6 s"
    assert outcome.seconds < 30  # of the minutes that the answer takes


def test_a_drip_fed_body_changes_nothing_of_what_the_status_said() -> None:
    with Receiver() as receiver:
        receiver.does(
            lambda channel: (
                channel.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"),
                dripping(b"a" * 998)(channel),
            )[0]
        )

        outcome = sent_to(receiver, deadline=0.6)

    assert isinstance(outcome, Delivered)
    assert outcome.seconds < 30  # of the 50 that the body takes


def test_a_silent_server_ends_at_the_deadline() -> None:
    with Receiver() as receiver:
        released = threading.Event()
        receiver.does(lambda channel: released.wait(5) and None)

        outcome = sent_to(receiver, deadline=0.3)
        released.set()

    assert isinstance(outcome, Failed)
    assert outcome.why == "no answer within 0.3 s"


def test_of_a_flood_no_more_than_64_kilobytes_are_read() -> None:
    sent = []

    def flood(channel: socket.socket) -> None:
        channel.sendall(b"HTTP/1.1 500 x\r\nContent-Length: 999999999\r\n\r\n")
        sent.extend(channel.send(b"a" * 65_536) for _ in range(10_000))

    with Receiver() as receiver:
        receiver.does(flood)

        outcome = sent_to(receiver)

    assert isinstance(outcome, Failed)
    assert outcome.status == 500
    assert len(outcome.why) < 200
    assert sum(sent) < 100 * http.MOST_READ  # what the kernels hold between us, not 600 MB


NOT_HTTP = [
    b"",
    b"\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"HTTP/1.1 abc\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 30_000,
    b"\x16\x03\x01" + bytes(range(256)) * 20,
    b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
]


@pytest.mark.parametrize("text", NOT_HTTP)
def test_an_answer_that_is_not_http_is_a_failure_like_any_other(text: bytes) -> None:
    with Receiver() as receiver:
        receiver.does(lambda channel: channel.sendall(text))

        outcome = sent_to(receiver)

    assert isinstance(outcome, Failed)
    assert not outcome.is_final
    assert outcome.why.isprintable()


def test_a_refused_connection_and_an_unknown_name_are_failures_to_be_retried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]

    refused = attempt(Endpoint(f"http://127.0.0.1:{port}/", allow_private=True), "m", BODY)
    unknown = attempt(Endpoint("http://no-such-name.invalid/"), "m", BODY)

    for outcome in (refused, unknown):
        assert isinstance(outcome, Failed)
        assert not outcome.is_final


def test_the_request_is_one_signed_post_of_json() -> None:
    old, new = Secret.new(), Secret.new()
    with Receiver() as receiver:
        sent_to(receiver, secrets=(new, old))

    (request,) = receiver.requests
    assert (request.method, request.target, request.body) == ("POST", "/hook?a=b", BODY)
    assert request.headers["content-type"] == "application/json"
    assert request.headers["webhook-id"] == "msg_1"
    for secret in (old, new):
        now = time.time()
        assert verify([secret], request.headers, request.body, now=now) is Verdict.VALID


def test_a_large_body_arrives_whole() -> None:
    body = json.dumps({"result": "x" * 3_000_000}).encode()
    with Receiver() as receiver:
        outcome = attempt(Endpoint(receiver.url, allow_private=True), "m", body)

        assert isinstance(outcome, Delivered)
        assert receiver.requests[0].body == body


def test_the_next_address_of_a_name_is_tried_where_nobody_listens_at_the_first() -> None:
    with Receiver("127.0.0.2") as receiver:
        url = f"http://two.example:{receiver.port}/"
        lookup = lambda *asked: ["127.0.0.3", "127.0.0.2"]  # noqa: E731

        outcome = attempt(Endpoint(url, allow_private=True), "m", BODY, lookup=lookup)

        assert isinstance(outcome, Delivered)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for hooks.example, with its key."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=hooks.example"),
            *("-addext", "subjectAltName=DNS:hooks.example", "-keyout", "-", "-out", "-"),
        ],
        capture_output=True,
        check=True,
    )
    path.write_bytes(made.stdout)
    return path


def over_tls(
    certificate: Path, host: str, monkeypatch: pytest.MonkeyPatch, *, is_trusted: bool
) -> tuple[Attempt, list[str | None]]:
    """An attempt at https://{host}, and the names that the server was asked for (SNI)."""
    trusting = ssl.create_default_context(cafile=str(certificate) if is_trusted else None)
    monkeypatch.setattr(http, "_tls", lambda: trusting)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    names: list[str | None] = []
    context.sni_callback = lambda channel, name, _: names.append(name)
    with Receiver(tls=context) as receiver:
        url = f"https://{host}:{receiver.port}/"
        endpoint = Endpoint(url, allow_private=True)
        return attempt(endpoint, "m", BODY, lookup=lambda *asked: ["127.0.0.1"]), names


def test_over_tls_the_name_is_asked_for_and_checked_although_the_address_is_fixed(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, names = over_tls(certificate, "hooks.example", monkeypatch, is_trusted=True)
    other, _ = over_tls(certificate, "other.example", monkeypatch, is_trusted=True)
    unknown, _ = over_tls(certificate, "hooks.example", monkeypatch, is_trusted=False)

    assert isinstance(good, Delivered)
    assert names == ["hooks.example"]
    for outcome in (other, unknown):
        assert isinstance(outcome, Failed)
        assert "certificate" in outcome.why


def test_a_secret_shows_in_no_outcome_and_no_endpoint() -> None:
    secret = Secret.new()
    endpoint = Endpoint("https://me:hunter2@hooks.example/?token=abc", (secret,))

    shown = f"{endpoint!r} {endpoint} {attempt(endpoint, 'm', BODY)!r}"

    for hidden in ("hunter2", "token=abc", secret.reveal().removeprefix("whsec_")):
        assert hidden not in shown
