"""Which queues a worker claims from, and in which order."""

from __future__ import annotations

import threading

from runqy_notebook.worker.serving import Serving
from tests.working import add, registry_of


def serving_of(*names: str, **options: object) -> Serving:
    registry = options.pop("registry", None) or registry_of(lambda payload: None)
    return Serving(names, registry, "_", **options)  # type: ignore[arg-type]


def test_usual_sub_queues_are_looked_at_before_anybody_was_seen_using_them() -> None:
    serving = serving_of("mail")

    assert serving.claimable() == ("mail_high", "mail", "mail_default", "mail_low")
    assert serving.known == ["mail_default"]


def test_a_worker_of_a_sub_queue_serves_that_one() -> None:
    serving = serving_of("mail_high")

    assert serving.known == ["mail_high"]
    assert serving.claimable()[0] == "mail_high"
    assert "mail_default" not in serving.claimable()


def test_a_parent_with_a_separator_in_its_name_is_told_by_its_handler() -> None:
    registry = registry_of(lambda payload: None, "image_resize")

    assert serving_of("image_resize", registry=registry).known == ["image_resize_default"]


def test_it_learns_only_what_its_names_select() -> None:
    serving = serving_of("image")
    serving.learn({"image_vip", "image_resize_high", "images", "mail_default"})

    assert serving.known == ["image_vip"]
    assert "image_vip" in serving.claimable()


def test_equals_take_turns_and_urgent_queues_go_first_regardless() -> None:
    serving = serving_of("a", "b")
    serving.learn({"a_high"})
    order = []
    for _ in range(4):
        first = next(q for q in serving.claimable() if q in ("a_default", "b_default"))
        serving.took(first)
        order.append(first)

    assert order == ["a_default", "b_default", "a_default", "b_default"]
    serving.took("a_high")
    assert set(serving.claimable()[:2]) == {"a_high", "b_high"}


def test_handlers_and_bars_count_from_one_moment_to_the_next() -> None:
    registry = registry_of(lambda payload: None, "a")
    serving = serving_of("a", "b", registry=registry)
    assert not any(queue.startswith("b") for queue in serving.claimable())
    assert serving.without_handler() == ["b_default"]

    add(registry, lambda payload: None, "b")
    assert "b_default" in serving.claimable()
    assert serving.without_handler() == []

    serving.barred = frozenset({"b_default"})
    assert "b_default" not in serving.claimable()

    serving.add(["c"])
    add(registry, lambda payload: None, "c")
    assert "c_default" in serving.claimable()


def test_threads_that_learn_and_claim_at_once_end_with_the_latest() -> None:
    serving = serving_of("mail")
    failed: list[BaseException] = []

    def claim() -> None:
        try:
            for _ in range(2000):
                serving.claimable()
        except BaseException as error:
            failed.append(error)

    claimers = [threading.Thread(target=claim) for _ in range(4)]
    for claimer in claimers:
        claimer.start()
    for number in range(300):
        serving.learn({f"mail_q{number}"})
    for claimer in claimers:
        claimer.join()

    assert failed == []
    assert {f"mail_q{number}" for number in range(300)} <= set(serving.claimable())
