"""A runqy worker's config.yml."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from runqy_notebook.config_file import WorkerFile, read_worker_file
from runqy_notebook.errors import RunqyNotice, SettingsError

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(text: str) -> Path:
        path = tmp_path / "config.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def refusal(path: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        read_worker_file(path)
    return str(caught.value).replace(str(path), "config.yml")


def test_the_documented_file_is_read(write: Write) -> None:
    path = write(
        """
        server:
          url: "http://localhost:8081"
          api_key: "your-secret-api-key"
        worker:
          queue: "inference"
          concurrency: 2
          shutdown_timeout: 30s
        deployment:
          dir: "./deployment"
        """
    )

    found = read_worker_file(path)

    assert found == WorkerFile(("inference",), {}, {"concurrency": 2, "shutdown_timeout": 30.0})


def test_every_section_of_a_runqy_worker_is_accepted(write: Write) -> None:
    sections = "".join(f"{name}: {{x: 1}}\n" for name in ("server", "bootstrap", "git", "retry"))

    assert read_worker_file(write(f"{sections}worker: {{queue: a}}")).queues == ("a",)


@pytest.mark.parametrize("spelling", ["RedisStorage", "redis_storage"])
@pytest.mark.parametrize(("value", "stored"), [("true", True), ("false", False), ("'yes'", True)])
def test_storage_of_results_has_two_spellings(
    spelling: str, value: str, stored: bool, write: Write
) -> None:
    found = read_worker_file(write(f"worker: {{queue: a, {spelling}: {value}}}"))

    assert found.settings == {"store_results": stored}


@pytest.mark.parametrize(
    ("duration", "seconds"), [("30s", 30.0), ("1m30s", 90.0), ("500ms", 0.5), ("8", 8.0), ("0", 0)]
)
def test_durations_are_written_as_go_does(duration: str, seconds: float, write: Write) -> None:
    found = read_worker_file(write(f"worker: {{queue: a, shutdown_timeout: {duration}}}"))

    assert found.settings == {"shutdown_timeout": seconds}


def test_queues_may_be_a_list(write: Write) -> None:
    found = read_worker_file(write("worker: {queues: [a_high, b, a_high]}"))

    assert found.queues == ("a_high", "b")
    assert found.priorities == {}


def test_queues_may_be_a_mapping_to_priorities(write: Write) -> None:
    found = read_worker_file(write("worker: {queues: {a_high: 6, b: , c: -1}}"))

    assert found.queues == ("a_high", "b", "c")
    assert found.priorities == {"a_high": 6, "c": -1}


def test_one_queue_and_several_queues_add_up(write: Write) -> None:
    assert read_worker_file(write("worker: {queue: a, queues: [b, a]}")).queues == ("a", "b")


def test_keys_without_a_value_are_not_set(write: Write) -> None:
    found = read_worker_file(write("worker:\n  queue:\n  queues:\n  concurrency:\n"))

    assert found == WorkerFile(())


def test_variables_are_filled_in(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_QUEUE", "mail")
    monkeypatch.delenv("MY_SLOTS", raising=False)

    found = read_worker_file(write('worker: {queue: "${MY_QUEUE}", concurrency: "${MY_SLOTS:-3}"}'))

    assert found == WorkerFile(("mail",), {}, {"concurrency": 3})


def test_unknown_keys_are_named_in_one_warning(write: Write) -> None:
    path = write("worker: {queue: a, colour: red, ttl_completed: 24h}\nworkers: {queue: b}")

    with pytest.warns(RunqyNotice) as told:
        read_worker_file(path)

    assert [str(one.message) for one in told] == [
        f"{path}: this worker has no use for workers, worker.colour, worker.ttl_completed."
    ]


def test_the_warning_is_shown_once_however_often_the_file_is_read(write: Write) -> None:
    path = write("worker: {queue: a, colour: red}")

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        read_worker_file(path)
        read_worker_file(path)

    assert len(told) == 1


def test_a_file_in_the_home_folder_is_found(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("worker: {queue: a}")
    monkeypatch.setenv("HOME", str(path.parent))

    assert read_worker_file("~/config.yml").queues == ("a",)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "config.yml has no section `worker:` with `queue:` in it."),
        ("- a\n- b", "config.yml has no section `worker:` with `queue:` in it."),
        ("worker: inference", "config.yml has no section `worker:` with `queue:` in it."),
        ("worker: {queue: [}", "config.yml is not YAML: expected the node content, but found '}'"),
        ("worker:\n\tqueue: a", "config.yml is not YAML: found character '\\t'"),
        ("worker: {queue: 'a b'}", "config.yml: worker.queue: 'a b' is not a queue name: use 1"),
        ("worker: {queues: [a, 5]}", "config.yml: worker.queues: 5 is not a queue name: it is a"),
        ("worker: {queues: [{a: 1}]}", "config.yml: worker.queues: {'a': 1} is not a queue name"),
        ("worker: {queue: t}", "config.yml: worker.queue: 't' is not a queue name: that word is"),
        (
            "worker: {queues: {a: high}}",
            "config.yml: the priority of a is a whole number, not 'high'.",
        ),
        ("worker: {queues: {a: true}}", "config.yml: the priority of a is a whole number, not T"),
        (
            "worker: {queue: a, concurrency: many}",
            "The setting concurrency wants a whole number, not 'many' "
            "(worker.concurrency in config.yml).",
        ),
        (
            "worker: {queue: a, shutdown_timeout: soon}",
            "The setting shutdown_timeout wants a number of seconds, not 'soon' "
            "(worker.shutdown_timeout in config.yml).",
        ),
        (
            "worker: {queue: a, RedisStorage: maybe}",
            "The setting store_results wants true or false, not 'maybe' "
            "(worker.RedisStorage in config.yml).",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_sentence(
    text: str, told: str, write: Write
) -> None:
    said = refusal(write(text))

    assert said.startswith(told)
    assert "\n" not in said


def test_a_file_that_cannot_be_read_is_refused_in_one_sentence(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yml") == "Cannot read config.yml: No such file or directory."
    assert refusal(tmp_path) == "Cannot read config.yml: Is a directory."


def test_a_file_that_is_not_text_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(b"\xff\xfe\x00worker")

    assert refusal(path).startswith("config.yml is not YAML: ")
