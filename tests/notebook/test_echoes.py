"""Webhooks in cards and streams of real kernels."""

from __future__ import annotations

import time

from tests.echo.senders import post
from tests.notebook.kernels import Kernel
from tests.notebook.test_cards import HANDLER, last_state, the_card, wait_for_state
from tests.notebook.test_webhooks import start
from tests.waiting import wait_until

DELIVERING = """
import json, urllib.request
from runqy_notebook import task
@task(queue="hooked")
def deliver_by_itself(payload):
    body = json.dumps({"task_id": payload["task_id"], "result": {"n": payload["n"]}}).encode()
    kind = {"Content-Type": "application/json", "X-Mine": "yes"}
    urllib.request.urlopen(urllib.request.Request(payload["webhook_url"], body, kind), timeout=30)
    return payload["n"]
%runqy worker start hooked
"""

THREADS = "import threading\n[t.name for t in threading.enumerate() if t.name == 'runqy-watch']"


def test_what_a_handler_posts_is_in_its_card_with_headers_verdict_and_json(kernel: Kernel) -> None:
    start(kernel)
    kernel.run(DELIVERING)

    display_id, _ = the_card(kernel.run("t = %runqy enqueue hooked {'n': 7} --webhook echo"))

    wait_for_state(kernel, display_id, '    "n": 7\n')
    told = last_state(kernel, display_id)
    assert "webhook: POST / from 127.0.0.1 · unsigned, " in told
    assert "X-Mine: yes" in told


def test_a_delivery_is_told_and_its_webhook_verified(kernel: Kernel) -> None:
    start(kernel)
    kernel.run(HANDLER)

    display_id, _ = the_card(kernel.run("t = %runqy enqueue q {'n': 7} --deliver-to echo"))

    wait_for_state(kernel, display_id, "from 127.0.0.1 · verified, ")
    wait_for_state(kernel, display_id, "delivered: echo")


def test_a_webhook_long_after_the_end_is_in_the_frozen_card_and_the_stream(kernel: Kernel) -> None:
    url = start(kernel)
    kernel.run(HANDLER)
    card_id, _ = the_card(kernel.run("t = %runqy enqueue q {'n': 7} --id mine"))
    kernel.run("t.result(10)")
    wait_until(lambda: kernel.run(THREADS).value == "[]", "the card goes on being live", 10)
    stream_id, _ = the_card(kernel.run("%runqy stream"))

    began = time.perf_counter()
    post(f"{url}/late", {"task_id": "mine", "status": "completed"})

    wait_for_state(kernel, card_id, "webhook: POST /late from 127.0.0.1")
    took = time.perf_counter() - began
    wait_for_state(kernel, stream_id, "POST /late from 127.0.0.1 · unsigned, ")
    print(f"in the card {took * 1000:.0f} ms after it was sent")
    assert '"status": "completed"' in last_state(kernel, card_id)
    assert "completed" in last_state(kernel, card_id).splitlines()[0]
    assert took < 5


def test_of_many_webhooks_a_card_shows_the_newest_and_counts_the_rest(kernel: Kernel) -> None:
    url = start(kernel)
    kernel.run(HANDLER)
    card_id, _ = the_card(kernel.run("t = %runqy enqueue nobody {} --id mine"))

    for n in range(10):
        post(url, {"task_id": "mine", "n": n})

    wait_for_state(kernel, card_id, '"n": 9')
    told = last_state(kernel, card_id)
    assert "… 7 earlier webhooks not shown" in told
    assert told.count("webhook: ") == 3


def test_a_card_shown_again_has_the_webhooks_of_before(kernel: Kernel) -> None:
    url = start(kernel)
    kernel.run(HANDLER)
    kernel.run("t = %runqy enqueue q {'n': 7} --id mine;\nt.result(10); del t")
    post(url, {"task_id": "mine", "n": 1})

    said = kernel.run("%runqy attach mine")

    assert "webhook: POST / from 127.0.0.1 · unsigned, " in said.value


def test_nobody_but_the_receiver_says_what_it_verified(kernel: Kernel) -> None:
    """Whoever may publish in Redis could else put a verdict into a card."""
    kernel.run(HANDLER)
    card_id, _ = the_card(kernel.run("t = %runqy enqueue nobody {} --id mine"))

    kernel.run(
        "from runqy_notebook import current; import time\n"
        "from runqy_notebook.wire.events import Event, Kind, encode_event\n"
        "client, said = current.session().server.client, []\n"
        "for kind, note in ((Kind.ECHO, 'verified, 1 ms'), (Kind.PROGRESS, 'half way')):\n"
        "    event = Event(kind, 'mine', 'nobody', time.time(), note=note, done=1)\n"
        "    client.publish('asynq:events:0:nobody', encode_event(event))"
    )

    wait_for_state(kernel, card_id, "half way")
    assert "verified" not in last_state(kernel, card_id)


def test_a_groups_card_counts_its_webhooks_and_a_queues_stream_shows_them(kernel: Kernel) -> None:
    start(kernel)
    kernel.run(DELIVERING)
    stream_id, _ = the_card(kernel.run("%runqy stream hooked --only echo"))

    ran = kernel.run("g = %runqy enqueue hooked [{'n': 1}, {'n': 2}] --webhook echo")

    wait_for_state(kernel, the_card(ran)[0], "2 completed · 2 webhooks received")
    wait_for_state(kernel, stream_id, "stream: hooked · echo · 2 events")
