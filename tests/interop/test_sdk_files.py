"""Production files written for PyPI's runqy-task and runqy-python, run as they are."""

from __future__ import annotations

import builtins
import importlib.util
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from redis import Redis

from runqy_notebook import Session, adopt, current
from tests.interop import foreign
from tests.waiting import wait_until

HANDLERS = Path(__file__).parent / "handlers"
SDK_VERSIONS = {"areas.py": "0.1.0", "moods.py": "0.2.0"}  # as the modules name themselves
TASKS = {
    "areas.py": ({"width": 2, "height": 3}, {"mm2": 600}),
    "moods.py": ({"text": "glad so glad"}, {"mood": 2}),
}
CONFIG = """\
worker:
  queue: "simple"
  RedisStorage: true
"""
START = Callable[..., Any]


@pytest.fixture(params=[True, False], ids=["with the SDK installed", "without the SDK"])
def sdk_folders(request: pytest.FixtureRequest) -> tuple[Path, ...]:
    """What a program sees beside this package: the real SDK packages, or nothing."""
    if request.param:
        return (request.getfixturevalue("sdk"),)
    for name in adopt.SDK_MODULES:
        assert importlib.util.find_spec(name) is None, f"{name} is installed beside the tests"
    return ()


@pytest.mark.parametrize("file", TASKS)
def test_the_work_command_runs_a_file_unchanged(
    file: str,
    sdk_folders: tuple[Path, ...],
    start_python: START,
    redis: Redis,
    url: str,
) -> None:
    """Handler and loader, and a RetryableError: an attempt that asks for another one gets it."""
    work = ("-m", "runqy_notebook", "work", HANDLERS / file, "inference", "--url", url)
    payload, expected = TASKS[file]
    program = start_python(*work, "--store-results", folders=sdk_folders)
    program.wait_for("serves inference")

    task_id = foreign.put(redis, "inference_default", payload)
    result = foreign.poll_result(redis, task_id)

    assert result.pop("sdk") == (SDK_VERSIONS[file] if sdk_folders else None)
    assert result == {**expected, "of": task_id}
    assert program.end(signal.SIGTERM) == 0, program.said
    assert redis.exists("asynq:inference_default:active", "asynq:inference_default:lease") == 0


def test_the_work_command_reads_a_workers_config_file(
    start_python: START, redis: Redis, url: str, tmp_path: Path
) -> None:
    """The document's config.yml: which queue, and that results are stored."""
    config = tmp_path / "config.yml"
    config.write_text(CONFIG)
    work = ("-m", "runqy_notebook", "work", HANDLERS / "areas.py", "--config", config)
    start_python(*work, "--url", url).wait_for("serves simple")

    task_id = foreign.put(redis, "simple_default", {"width": 1, "height": 1})

    assert foreign.poll_result(redis, task_id)["mm2"] == 100


def test_the_work_command_says_what_a_file_lacks(start_python: START, tmp_path: Path) -> None:
    empty = tmp_path / "empty.py"
    empty.write_text("from runqy_task import run\n")

    program = start_python("-m", "runqy_notebook", "work", empty, "inference")

    assert program.process.wait(10) == 1
    assert program.said.splitlines() == [
        f"HandlerError: {empty} defines no handler: mark a function with @task."
    ]


PICKLES = """
import pickle
from runqy_task import task

class Box:
    size = 7

@task
def pack(payload):
    return pickle.loads(pickle.dumps(Box())).size
"""

DEEP_IMPORT = """
from runqy_python.decorator import task

@task
def double(payload):
    return 2 * payload["n"]
"""


def test_a_file_may_pickle_what_it_defines(
    start_python: START, redis: Redis, url: str, tmp_path: Path
) -> None:
    """As joblib, multiprocessing and process pools do; as `python FILE` it can."""
    file = tmp_path / "pickles.py"
    file.write_text(PICKLES)
    work = ("-m", "runqy_notebook", "work", file, "inference", "--url", url)
    start_python(*work, "--store-results").wait_for("serves inference")

    task_id = foreign.put(redis, "inference_default", {}, max_retry=0)

    wait_until(lambda: foreign.state(redis, task_id) in ("completed", "archived"), "it never ran")
    assert "error_msg" not in foreign.fields(redis, task_id)
    assert foreign.poll_result(redis, task_id) == 7


def test_a_file_may_import_from_the_sdks_submodules(
    start_python: START, redis: Redis, url: str, tmp_path: Path, sdk: Path
) -> None:
    file = tmp_path / "deep.py"
    file.write_text(DEEP_IMPORT)
    work = ("-m", "runqy_notebook", "work", file, "inference", "--url", url)
    start_python(*work, "--store-results", folders=(sdk,)).wait_for("serves inference")

    task_id = foreign.put(redis, "inference_default", {"n": 21})

    assert foreign.poll_result(redis, task_id) == 42


# --- in a kernel: imported before the extension was loaded ----------------------------------------


@pytest.fixture
def import_file(
    sdk: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a production file, with the real SDK package in reach; forgets both at the end."""
    monkeypatch.syspath_prepend(sdk)
    before = set(sys.modules)

    def import_(file: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(Path(file).stem, HANDLERS / file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield import_
    adopt.give_back()
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in adopt.SDK_MODULES:
            del sys.modules[name]


@pytest.mark.parametrize("file", TASKS)
@pytest.mark.parametrize("takes_over", [True, False])
def test_handlers_of_the_real_sdk_are_taken_along(
    file: str,
    takes_over: bool,
    import_file: Callable[[str], ModuleType],
    session: Session,
) -> None:
    """The file ran first and registered with the SDK's own decorators."""
    import_file(file)
    payload, expected = TASKS[file]

    if takes_over:
        adopt.take_over(current.run)
    session.start_worker("inference")
    t = session.enqueue("inference", payload)
    result = t.result(timeout=10)

    assert result.pop("sdk") == SDK_VERSIONS[file]
    assert result == {**expected, "of": t.id}


def test_a_file_imported_again_after_the_take_over_is_swapped_in(
    import_file: Callable[[str], ModuleType], session: Session
) -> None:
    """The real runqy_python refuses a second @task in a process; a notebook needs just that."""
    import_file("moods.py")
    adopt.take_over(current.run)
    session.start_worker("inference")

    module = import_file("moods.py")
    module.words = None

    assert session.enqueue("inference", {"text": "sad"}).result(timeout=10)["mood"] == -1
    sdk = sys.modules["runqy_python"]
    assert sdk.RunqyClient.__module__ == "runqy_python.client"
    adopt.give_back()
    assert sdk.task.__module__ == "runqy_python.decorator"
    assert sdk.run.__module__ == "runqy_python.runner"


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="the decorator that the file holds is the SDK's own still",
)
def test_a_handler_marked_again_with_the_sdks_decorator_is_swapped_in(
    import_file: Callable[[str], ModuleType], session: Session
) -> None:
    """`from runqy_task import task` ran in a cell before the extension was loaded; only the cell
    with the handler is run again.
    """
    module = import_file("areas.py")
    adopt.take_over(current.run)
    session.start_worker("inference")
    assert session.enqueue("inference", {"width": 1, "height": 1}).result(10)["mm2"] == 100

    exec("@task\ndef area(payload):\n    return 'changed'", vars(module))  # the cell, run again

    assert session.enqueue("inference", {"width": 1, "height": 1}).result(10) == "changed"


def test_run_in_a_cell_starts_the_worker_for_a_file_of_the_real_sdk(
    import_file: Callable[[str], ModuleType],
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RUNQY_QUEUE", "inference")
    import_file("areas.py")
    adopt.take_over(current.run)
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)

    with current.connect(url) as session:
        sys.modules["runqy_task"].run()

        assert session.enqueue("inference", {"width": 1, "height": 1}).result(10)["mm2"] == 100
    assert capsys.readouterr().out == "Worker serves inference.\n"


# --- plain `python handlers.py` ------------------------------------------------------------------


@pytest.fixture
def start_naps(start_python: START, url: str) -> START:
    """Starts `python naps.py`, serving the queue that its environment names."""

    def start(shutdown_timeout: str = "10") -> Any:
        environ = {
            "RUNQY_REDIS_URL": url,
            "RUNQY_QUEUE": "inference",
            "RUNQY_SHUTDOWN_TIMEOUT": shutdown_timeout,
        }
        program = start_python(HANDLERS / "naps.py", environ=environ)
        program.wait_for("serves inference")
        return program

    return start


def nothing_is_held(redis: Redis) -> bool:
    return not [
        key
        for ending in ("active", "lease")
        for key in redis.scan_iter(f"asynq:inference*:{ending}")
    ] and not list(redis.scan_iter("asynq:workers:*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_plain_script_works_until_it_is_told_to_stop(
    start_naps: START, redis: Redis, session: Session, number: signal.Signals
) -> None:
    naps = start_naps()
    for n in (1, 2):
        t = session.enqueue("inference", {"seconds": 0}, store=True)
        assert t.result(timeout=10) == {"dreams": n}

    assert naps.end(number) == 0, naps.said
    assert "Worker stopped; nothing was left running." in naps.said
    assert "Traceback" not in naps.said
    assert nothing_is_held(redis)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_script_that_is_stopped_while_a_task_runs_finishes_it(
    start_naps: START, redis: Redis, number: signal.Signals
) -> None:
    naps = start_naps()
    task_id = foreign.put(redis, "inference_default", {"seconds": 0.3})
    naps.wait_for("sleeping for 0.3 s")

    assert naps.end(number) == 0, naps.said
    assert foreign.state(redis, task_id) == "completed"
    assert nothing_is_held(redis)


def test_a_script_that_is_stopped_hands_back_what_takes_too_long(
    start_naps: START, redis: Redis
) -> None:
    """First in line again, without blame."""
    naps = start_naps(shutdown_timeout="0.1")
    waiting = foreign.put(redis, "inference_default", {"seconds": 0})
    redis.lrem("asynq:inference_default:pending", 1, waiting)
    task_id = foreign.put(redis, "inference_default", {"seconds": 30})
    naps.wait_for("sleeping for 30 s")
    foreign.push(redis, waiting, "inference_default")

    assert naps.end(signal.SIGTERM) == 0, naps.said
    assert task_id in naps.said
    assert redis.lrange("asynq:inference_default:pending", 0, -1) == [
        waiting.encode(),
        task_id.encode(),
    ]
    held = foreign.fields(redis, task_id)
    assert (held["state"], held["retry"]) == ("pending", "0")
    assert nothing_is_held(redis)


def test_a_script_without_a_queue_says_so_in_one_sentence(start_python: START, url: str) -> None:
    program = start_python(HANDLERS / "naps.py", environ={"RUNQY_REDIS_URL": url})

    assert program.process.wait(10) == 1
    assert "HandlerError: run() does not know which queue to work" in program.said
