"""Which handler runs a task, and which loader makes its context."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from runqy_notebook.registry import Handler, Loader, Registry


def registry_of(*keys: tuple[str | None, str | None]) -> Registry:
    """Handlers for these queues and types, each answering with its key."""
    registry = Registry()
    for queue, kind in keys:
        registry.add(Handler(_answering((queue, kind)), queue, kind))
    return registry


def _answering(key: tuple[str | None, str | None]) -> Callable[[object], object]:
    return lambda payload: key


def chosen(registry: Registry, queue: str, type: str = "task") -> object:
    handler = registry.handler_for(queue, type)
    return handler and handler.function({})


def test_without_handlers_nobody_runs_a_task() -> None:
    registry = Registry()

    assert registry.handler_for("inference_high") is None
    assert not registry.serves("inference_high")
    assert registry.loader_for("inference_high") is None


def test_a_queues_own_handler_goes_before_its_parents_and_that_before_the_plain_one() -> None:
    registry = registry_of((None, None), ("inference", None), ("inference_high", None))

    assert chosen(registry, "inference_high") == ("inference_high", None)
    assert chosen(registry, "inference_low") == ("inference", None)
    assert chosen(registry, "inference") == ("inference", None)
    assert chosen(registry, "mail") == (None, None)


@pytest.mark.parametrize("queue", ["inference_high", "inference:high", "inference.high"])
def test_a_parents_handler_runs_its_sub_queues_however_they_are_written(queue: str) -> None:
    assert chosen(registry_of(("inference", None)), queue) == ("inference", None)


def test_a_longer_name_is_another_parent() -> None:
    registry = registry_of(("image", None))

    assert chosen(registry, "image_resize") == ("image", None)
    assert chosen(registry, "image_resize_high") is None
    assert not registry.serves("image_resize_high")


def test_a_handler_for_the_type_goes_before_one_for_any_type() -> None:
    registry = registry_of(("mail", None), ("mail", "send"), (None, "send"))

    assert chosen(registry, "mail_high", "send") == ("mail", "send")
    assert chosen(registry, "mail_high", "receive") == ("mail", None)
    assert chosen(registry, "other", "send") == (None, "send")
    assert chosen(registry, "other", "receive") is None


def test_the_queue_counts_more_than_the_type() -> None:
    registry = registry_of(("mail", None), (None, "send"))

    assert chosen(registry, "mail", "send") == ("mail", None)


def test_a_task_without_a_type_runs_on_a_handler_for_any_type() -> None:
    registry = registry_of(("mail", None), ("mail", "send"))

    assert chosen(registry, "mail", "") == ("mail", None)


def test_the_types_of_a_queue_are_those_of_all_that_could_run_its_tasks() -> None:
    registry = registry_of(("mail", "send"), (None, "count"), ("other", "look"), ("mail", None))

    assert registry.types_of("mail_high") == ["count", "send"]


def test_a_loader_is_chosen_like_a_handler() -> None:
    registry = Registry()
    for queue in (None, "inference", "inference_high"):
        registry.add_loader(Loader(dict, queue))

    def owner(queue: str) -> str | None:
        loader = registry.loader_for(queue)
        assert loader is not None
        return loader.queue

    assert [owner(q) for q in ("inference_high", "inference_low", "mail")] == [
        "inference_high",
        "inference",
        None,
    ]


def test_every_change_is_a_new_version() -> None:
    registry = Registry()
    versions = [registry.version]

    registry.add(Handler(len))
    versions.append(registry.version)
    registry.add_loader(Loader(dict))
    versions.append(registry.version)
    registry.clear()
    versions.append(registry.version)

    assert len(set(versions)) == 4
    assert not registry.serves("q")


def test_the_same_function_marked_twice_makes_two_loaders() -> None:
    """Its cell was run again: its context is to be made again, too."""
    assert Loader(dict) != Loader(dict)
    assert len({Loader(dict), Loader(dict)}) == 2


def test_threads_may_look_while_a_cell_defines_handlers() -> None:
    registry, stopping, errors = Registry(), threading.Event(), []

    def look() -> None:
        try:
            while not stopping.is_set():
                registry.serves("none")
                registry.types_of("none")
                registry.queues()
        except RuntimeError as error:
            errors.append(error)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    for number in range(300):
        registry.add(Handler(len, f"q{number}"))
    stopping.set()
    for looker in lookers:
        looker.join()

    assert errors == []
    assert len(registry.queues()) == 300
