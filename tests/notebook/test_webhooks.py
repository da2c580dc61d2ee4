"""`%runqy webhook` and `%runqy echoes`, as a notebook shows them."""

from __future__ import annotations

import re

import pytest

from runqy_notebook.deliver.signing import Secret
from tests.echo.senders import post, signed
from tests.notebook.kernels import Kernel

NONE = "No receiver is running in this kernel: %runqy webhook start.\n"


def start(kernel: Kernel, options: str = "") -> str:
    """Starts a receiver; gives its URL."""
    said = kernel.run(f"%runqy webhook start {options}").stdout
    found = re.match(r"Webhooks from this machine, [a-z ]+: (http://127\.0\.0\.1:\d+/\S+)\n", said)
    assert found, said
    return found[1]


def test_a_webhook_shows_in_echoes_with_its_verdict(kernel: Kernel) -> None:
    kernel.run(f"secret = {(secret := Secret.new()).reveal()!r}")
    url = start(kernel, "--secret $secret")

    post(f"{url}/orders", {"task_id": "t1", "status": "completed"})
    post(url, b"[1]", signed(secret, b"[1]"))

    frame = kernel.run(
        "f = %runqy echoes\nprint(f[['task_id', 'path', 'verdict']].to_csv())"
    ).stdout
    assert frame.split() == ["id,task_id,path,verdict", "w2,,/,verified", "w1,t1,/orders,unsigned"]
    assert kernel.run("f.body.iloc[1]").value == "{'task_id': 't1', 'status': 'completed'}"
    assert kernel.run("f = %runqy echoes --limit 1\nlen(f)").value == "1"


def test_status_counts_what_was_taken_and_refused(kernel: Kernel) -> None:
    url = start(kernel, "--require-signature")
    post(url, {})
    post(f"{url}x", {})
    post(f"{url}x", {})

    said = kernel.run("%runqy webhook status").stdout

    assert said.startswith(f"Receiver at {url} since ")
    assert "signed ones only" in said
    assert "taken: none; refused: 1 no signature, 2 wrong path" in said


def test_stopping_says_so_and_keeps_the_receipts(kernel: Kernel) -> None:
    post(start(kernel), {})

    said = [kernel.run("%runqy webhook stop").stdout for _ in range(2)]

    assert said == ["Receiver stopped; %runqy echoes has what it received.\n", NONE]
    assert kernel.run("%runqy webhook status").stdout == NONE
    assert kernel.run("f = %runqy echoes\nlen(f)").value == "1"


def test_a_replay_tells_the_answer(kernel: Kernel) -> None:
    url = start(kernel)
    post(url, {"n": 1})

    again = kernel.run("%runqy webhook replay w1").stdout
    refused = kernel.run(f"%runqy webhook replay w1 --to {url}x").stdout

    assert re.fullmatch(r"Answered 204 after \d+ ms\n", again)
    assert re.fullmatch(r"Answered 404 after \d+ ms: wrong path\n", refused)
    assert kernel.run("f = %runqy echoes\nlen(f)").value == "2"


@pytest.mark.parametrize("ending", ["%unload_ext runqy_notebook", "%runqy disconnect"])
def test_leaving_stops_the_receiver(kernel: Kernel, ending: str) -> None:
    url = start(kernel)

    kernel.run(ending)

    with pytest.raises(ConnectionRefusedError):
        post(url, {})
    left = "import threading\n[t.name for t in threading.enumerate() if 'echo' in t.name]"
    assert kernel.run(left).value == "[]"
    kernel.run("%load_ext runqy_notebook")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("webhook start --secret hunter2!", "A webhook secret is"),
        ("webhook replay w9", "There is no receipt 'w9'"),
        ("webhook begin", "wants one of start, stop, status, replay"),
    ],
)
def test_a_mistake_is_one_line(kernel: Kernel, line: str, said: str) -> None:
    error = kernel.fail(f"%runqy {line}")

    assert said in error
    assert "hunter2" not in error
