"""Webhooks through a real Jupyter server, under a base URL, into a kernel that it started."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from runqy_notebook.deliver.signing import Secret
from runqy_notebook.echo.directory import Entry, Listing
from tests.echo.jupyter import TOKEN, JupyterServer, jupyter_server, run
from tests.echo.senders import connected, head, post, said, signed
from tests.servers import RunningServer, free_port
from tests.waiting import wait_until

pytest.importorskip("jupyter_server", reason="the relay needs it")

MOST = 16  # webhooks that the relay has under way at a time

SECRET = Secret.new()
BODY = b'{"task_id": "t1"}'


@pytest.fixture(scope="module")
def jupyter(
    server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterServer]:
    with jupyter_server(tmp_path_factory.mktemp("jupyter"), server.url) as running:
        yield running


@pytest.fixture(scope="module")
def cell(jupyter: JupyterServer) -> Iterator[Callable[[str], str]]:
    """Runs cells in a kernel that asked for webhooks."""
    with jupyter.kernel("demo.ipynb") as kernel:
        run(kernel, f"%load_ext runqy_notebook\nsecret = '{SECRET.reveal()}'")
        yield lambda code: run(kernel, code)


@pytest.fixture(scope="module")
def address(cell: Callable[[str], str]) -> str:
    """What the kernel says that its public address is."""
    said = cell("%runqy webhook start --relay --secret $secret")
    found = re.search(r"^Through the Jupyter server, signed ones only: (\S+)$", said, re.MULTILINE)
    assert found, said
    return found[1]


def test_a_signed_webhook_arrives_in_the_kernel(
    jupyter: JupyterServer, cell: Callable[[str], str], address: str
) -> None:
    headers = signed(SECRET, BODY, "m1")
    extra = {"Authorization": f"token {TOKEN}", "Cookie": "a=b", "X-Runqy-Source": "10.9.9.9"}

    answer = post(f"{address.replace('localhost', '127.0.0.1')}/orders?n=1", BODY, headers | extra)

    assert address.startswith(jupyter.hooks.replace("127.0.0.1", "localhost"))
    assert (answer.status, answer.text) == (204, "")
    said = cell(
        "from runqy_notebook import current\n"
        "(one,) = current.session().webhooks.receipts.newest()\n"
        "print(one.body, one.verdict, one.source, one.path, one.task_id, sorted(one.headers))\n"
        "one"
    )
    assert f"{BODY!r} verified relay 127.0.0.1 /orders?n=1 t1 [" in said
    assert "Webhook-Id" in said
    assert not [name for name in ("Authorization", "Cookie", "X-Runqy-Source") if name in said]


@pytest.mark.parametrize(
    ("token", "headers", "status"),
    [
        ("", {}, 403),
        ("/", {}, 403),
        ("/wrong", {}, 403),
        ("/../../api/status", {}, 403),
        ("/%00", {}, 403),
        (None, {}, 401),
        (None, {"webhook-signature": "v1,AAAA"}, 401),
        (None, {"Origin": "http://evil.example"}, 403),
        (None, {"Content-Type": "text/plain"}, 415),
    ],
)
def test_what_has_not_both_token_and_signature_is_refused(
    jupyter: JupyterServer, address: str, token: str | None, headers: dict[str, str], status: int
) -> None:
    token = "/" + address.rpartition("/")[2] if token is None else token
    right = signed(SECRET, BODY, "m2") if status != 401 or headers else {}

    answer = post(f"{jupyter.hooks}{token}", BODY, right | headers)

    assert answer.status == status, answer.text


def test_the_servers_own_token_opens_no_hook(jupyter: JupyterServer, address: str) -> None:
    answers = [
        jupyter.ask("runqy/hooks/wrong", {}, "POST").status,
        jupyter.ask(f"runqy/hooks/{address.rpartition('/')[2]}", {}, "POST").status,
    ]

    assert answers == [403, 401]


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_only_post_is_passed_on(jupyter: JupyterServer, address: str, method: str) -> None:
    answer = post(jupyter.hooks + "/" + address.rpartition("/")[2], BODY, method=method)

    assert answer.status == 405


def test_the_limits_are_those_of_the_receiver(jupyter: JupyterServer, address: str) -> None:
    hook = jupyter.hooks + "/" + address.rpartition("/")[2]
    largest = b'"' + b"x" * (2**20 - 2) + b'"'

    assert post(hook, largest, signed(SECRET, largest, "m3")).status == 204
    assert post(hook, b"1", signed(SECRET, b"1") | {"X": "x" * 17_000}).status == 431
    with connected(hook) as connection:  # a declared length is enough
        connection.sendall(head(hook, "Content-Type: application/json", "Content-Length: 1048577"))
        assert said(connection).startswith(b"HTTP/1.1 413 ")


def test_senders_that_dawdle_keep_others_waiting_only_while_they_do(
    jupyter: JupyterServer, address: str
) -> None:
    hook = jupyter.hooks + "/" + address.rpartition("/")[2]

    def status() -> int:
        return post(hook, b"1", signed(SECRET, b"1", "m4")).status

    with ExitStack() as open_:
        for _ in range(MOST + 1):  # one of them may come while `status` takes a place
            dawdling = open_.enter_context(connected(hook))
            dawdling.sendall(head(hook, "Content-Type: application/json", "Content-Length: 9"))
        wait_until(lambda: status() == 429, "it takes more at a time than it may")
    wait_until(lambda: status() == 204, "those who left still count")


def test_a_kernel_that_does_not_answer_is_the_senders_business_later(
    jupyter: JupyterServer,
) -> None:
    runtime = jupyter.folder / "runtime"
    listing = Listing(runtime, "token", Entry(free_port(), "key", 1, 0.0, "<b>gone</b>"))

    answer = post(f"{jupyter.hooks}/token", BODY, signed(SECRET, BODY))
    page = jupyter.ask("runqy/hooks").text
    listing.close()

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "&lt;b&gt;gone&lt;/b&gt;" in page


def test_the_status_page_is_for_those_who_are_logged_in(
    jupyter: JupyterServer, address: str
) -> None:
    known = jupyter.ask("runqy/hooks")
    stranger = jupyter.ask("runqy/hooks", is_known=False)

    assert known.status == 200
    assert "/demo.ipynb</td>" in known.text
    assert stranger.status == 302
    assert "/deep/down/login" in stranger.headers["Location"]
    for secret in (address.rpartition("/")[2], SECRET.reveal()):
        assert secret not in known.text + stranger.text


def test_tokens_of_webhooks_are_not_in_the_servers_log(
    jupyter: JupyterServer, address: str
) -> None:
    token = address.rpartition("/")[2]

    post(f"{jupyter.hooks}/{token}", BODY)

    assert token not in jupyter.log.read_text()
    assert "Traceback" not in jupyter.log.read_text()


def test_a_receiver_is_reached_until_it_is_stopped_or_its_kernel_ends(
    jupyter: JupyterServer,
) -> None:
    def status(said: str) -> int:
        return post(f"{jupyter.hooks}/{said.split('/')[-1].split()[0]}", BODY).status

    with jupyter.kernel("other.ipynb") as kernel:
        first = run(kernel, "%load_ext runqy_notebook\n%runqy webhook start --relay")
        during = status(first)
        run(kernel, "%unload_ext runqy_notebook")
        after = status(first)
        second = run(kernel, "%load_ext runqy_notebook\n%runqy webhook start --relay")
        again = status(second)

    assert (during, after, again) == (401, 403, 401)
    wait_until(lambda: status(second) == 403, "the receiver of a dead kernel is reached")
    assert "other.ipynb" not in jupyter.ask("runqy/hooks").text
