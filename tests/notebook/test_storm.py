"""5,000 webhooks in 10 s into a kernel that shows them: its cells run, nothing is miscounted."""

from __future__ import annotations

import re
import threading
import time

from tests.echo.senders import post
from tests.notebook.kernels import Kernel
from tests.notebook.test_cards import last_state, the_card, updates
from tests.notebook.test_echoes import wait_for_state
from tests.notebook.test_webhooks import start

COUNT = 5_000
SECONDS = 10.0
LARGEST_OUTPUT = 64_000  # characters of a stream's HTML


def test_a_storm_leaves_the_kernel_usable_and_its_output_capped(kernel: Kernel) -> None:
    url = start(kernel)
    display_id, _ = the_card(kernel.run("%runqy stream"))
    card_id, _ = the_card(kernel.run("t = %runqy enqueue nobody {} --id stormed"))
    seen = len(kernel.said)
    is_over = threading.Event()
    statuses: list[int] = []
    began = time.perf_counter()

    def storm() -> None:
        try:
            for n in range(COUNT):
                statuses.append(post(url, {"task_id": "stormed", "n": n}).status)
                is_over.wait(began + SECONDS * n / COUNT - time.perf_counter())
        finally:
            is_over.set()

    sender = threading.Thread(target=storm)
    sender.start()
    took: list[float] = []
    while not is_over.is_set():
        asked = time.perf_counter()
        assert kernel.run("1+1").value == "2"
        took.append(time.perf_counter() - asked)
    sender.join()
    stormed_for = time.perf_counter() - began

    assert statuses == [204] * COUNT
    wait_for_state(kernel, display_id, f"stream: all queues · {COUNT + 1:,} events")
    wait_for_state(kernel, card_id, f"… {COUNT - 3:,} earlier webhooks not shown")
    taken = re.search(r"taken: (\d+) unsigned", kernel.run("%runqy webhook status").stdout)
    assert taken
    assert taken[1] == str(COUNT)
    shown = updates(kernel.said[seen:], display_id) + updates(kernel.said[seen:], card_id)
    largest = max(len(m["content"]["data"]["text/html"]) for m in shown)
    p99 = sorted(took)[int(len(took) * 0.99)]
    middle = sorted(took)[len(took) // 2]
    print(
        f"{COUNT} in {stormed_for:.1f} s; 1+1 p50 {middle * 1000:.0f} ms, "
        f"p99 {p99 * 1000:.0f} ms of {len(took)}; "
        f"{len(shown)} updates of {largest} characters at most"
    )
    assert last_state(kernel, card_id).count("webhook: ") == 3
    assert largest < LARGEST_OUTPUT
    assert len(shown) < 22 * stormed_for + 2 * len(took) + 40  # a cell's end paints, too
    assert p99 < 10  # liveness; the figure is printed
