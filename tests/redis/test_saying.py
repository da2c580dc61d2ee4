"""What handlers say: to their own task, whoever says something at the same time."""

from __future__ import annotations

import builtins
import contextlib
import gc
import io
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import current_task
from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.broker.notes import LINES, Note
from runqy_notebook.events import Events
from runqy_notebook.running import CURRENT, CurrentTask, Report
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.worker.handling import Surroundings
from runqy_notebook.worker.reporter import MOST_LINES, TaskReport
from runqy_notebook.worker.screen import Screen
from tests.broking import broker_of, claim, done, push, retried, settle, sweep
from tests.waiting import wait_until
from tests.working import registry_of, told, working


class Heard:
    """What listeners of the worker's process hear."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.hub = Events()
        self.hub.subscribe(self.events.append)

    def of(self, task_id: str, kind: Kind) -> list[Event]:
        return [e for e in list(self.events) if e.task_id == task_id and e.kind is kind]

    def lines(self, task_id: str) -> list[str]:
        return [line for event in self.of(task_id, Kind.LOG) for line in event.lines]

    def has_ended(self, *ids: str) -> bool:
        ends = (Kind.COMPLETED, Kind.ARCHIVED, Kind.RETRIED)
        ended = {event.task_id for event in list(self.events) if event.kind in ends}
        return ended.issuperset(ids)


def hear(
    redis: redis_py.Redis, url: str, handler: Callable[[Any], Any], *ids: str, **options: Any
) -> Heard:
    """What is heard while a worker runs these tasks, a slot each."""
    heard = Heard()
    ids = ids or ("t1",)
    for task_id in ids:
        push(redis, task_id, payload=json.dumps({"name": task_id}), max_retry="0")
    options = {"concurrency": len(ids), **options}
    with working(url, registry_of(handler), events=heard.hub, **options):
        wait_until(lambda: heard.has_ended(*ids), f"not all ended: {heard.events}")
    return heard


def report() -> Report:
    """That of the task that is run here."""
    task = CURRENT.get()
    assert task is not None
    assert task.report is not None
    return task.report


def test_prints_of_handlers_at_the_same_time_go_each_to_its_task(
    redis: redis_py.Redis, url: str
) -> None:
    ids = ("a", "b", "c", "d")
    together = threading.Barrier(len(ids))

    def handler(payload: dict[str, str]) -> None:
        together.wait(10)
        for number in range(100):
            print(payload["name"], number)

    heard = hear(redis, url, handler, *ids)

    for name in ids:
        assert heard.lines(name) == [f"{name} {number}" for number in range(100)]


def test_every_way_to_write_is_heard_in_order(redis: redis_py.Redis, url: str) -> None:
    bound = logging.StreamHandler()  # to the stream that was there before the worker
    logger = logging.Logger("of the test")
    logging.getLogger().addHandler(bound)

    def handler(payload: object) -> None:
        print("printed")
        sys.stdout.write("writ")
        sys.stdout.writelines(["ten\n"])
        print("to stderr", file=sys.stderr)
        logging.getLogger().warning("logged by the root")
        logger.addHandler(logging.StreamHandler())
        logger.warning("logged by a new one")
        current_task().log("told", 1)
        print("no newline", end="", flush=True)

    lines = hear(redis, url, handler).lines("t1")
    logging.getLogger().removeHandler(bound)

    assert lines == [
        "printed",
        "written",
        "to stderr",
        "logged by the root",
        "logged by a new one",
        "told 1",
        "no newline",
    ]


def test_threads_and_pools_of_a_handler_belong_to_its_task(redis: redis_py.Redis, url: str) -> None:
    with ThreadPoolExecutor(2) as shared:  # its threads outlive the task that first used it

        def handler(payload: dict[str, str]) -> None:
            name = payload["name"]
            thread = threading.Thread(target=print, args=(f"{name} thread",))
            thread.start()
            thread.join()
            timer = threading.Timer(0, print, (f"{name} timer",))
            timer.start()
            timer.join()
            with ThreadPoolExecutor(1) as own:
                own.submit(print, f"{name} own pool").result()
            shared.submit(lambda: print(current_task().id, "shared pool")).result()

        heard = hear(redis, url, handler, "a", "b", concurrency=1)
        assert shared.submit(threading.get_ident).result() != threading.get_ident()

    kinds = ("thread", "timer", "own pool", "shared pool")
    assert heard.lines("a") == [f"a {kind}" for kind in kinds]
    assert heard.lines("b") == [f"b {kind}" for kind in kinds]


def test_an_async_handler_and_what_it_leaves_to_threads_and_tasks(
    redis: redis_py.Redis, url: str
) -> None:
    import asyncio

    async def handler(payload: dict[str, str]) -> None:
        async def part(number: int) -> None:
            await asyncio.sleep(0.001)
            print(current_task().id, number)

        await asyncio.gather(part(1), part(2))
        await asyncio.to_thread(print, "from a thread")
        asyncio.run(part(3))

    heard = hear(redis, url, handler, "a", "b")

    assert heard.lines("a") == ["a 1", "a 2", "from a thread", "a 3"]
    assert heard.lines("b") == ["b 1", "b 2", "from a thread", "b 3"]


def test_a_hundred_thousand_lines_are_counted_to_the_last(redis: redis_py.Redis, url: str) -> None:
    def handler(payload: object) -> None:
        for number in range(100_000):
            print("line", number)

    heard = hear(redis, url, handler)

    logs = heard.of("t1", Kind.LOG)
    assert all(len(event.lines) <= MOST_LINES for event in logs)
    assert sum(len(event.lines) + event.dropped for event in logs) == 100_000
    assert logs[-1].lines[-1] == "line 99999"
    said = Inspector(redis).said("t1")
    assert said.lines == tuple(f"line {n}" for n in range(100_000 - LINES, 100_000))
    assert said.dropped == 100_000 - LINES
    assert 0 < redis.ttl("asynq:nb:log:t1") <= 86_400
    assert 0 < redis.ttl("asynq:nb:said:t1") <= 86_400


def test_a_bar_is_one_line_that_changes(redis: redis_py.Redis, url: str) -> None:
    from tqdm import tqdm

    heard = Heard()

    def bars_at(number: int) -> bool:
        return any(f"{number}/3" in event.note for event in heard.of("t1", Kind.LOG))

    def handler(payload: object) -> None:
        for number in tqdm(range(3), mininterval=0):
            wait_until(lambda at=number: bars_at(at), "the bar was not told")  # type: ignore[misc]

    push(redis, "t1", max_retry="0")
    with working(url, registry_of(handler), events=heard.hub):
        wait_until(lambda: heard.has_ended("t1"), "not ended")

    assert heard.of("t1", Kind.COMPLETED), heard.events
    (line,) = heard.lines("t1")
    assert line.startswith("100%")
    assert "3/3" in line


def test_progress_is_told_and_kept(redis: redis_py.Redis, url: str) -> None:
    def handler(payload: object) -> None:
        for step in range(1, 1_001):
            current_task().progress(step, 1_000, f"step {step}")

    heard = hear(redis, url, handler)

    told = heard.of("t1", Kind.PROGRESS)
    assert len(told) < 100, "gathered, about ten a second"
    assert (told[-1].done, told[-1].total, told[-1].note) == (1_000, 1_000, "step 1000")
    said = Inspector(redis).said("t1")
    assert (said.done, said.total, said.note) == (1_000, 1_000, "step 1000")


def test_the_last_words_come_before_the_outcome(redis: redis_py.Redis, url: str) -> None:
    def handler(payload: object) -> None:
        print("and now")
        raise ValueError("broken")

    heard = hear(redis, url, handler)

    kinds = [event.kind for event in heard.events]
    assert kinds.index(Kind.LOG) < kinds.index(Kind.ARCHIVED)
    assert Inspector(redis).log_lines("t1") == ("and now",)


def test_others_hear_it_over_redis(redis: redis_py.Redis, url: str) -> None:
    pubsub = redis.pubsub()
    pubsub.subscribe("asynq:events:0:mail_default")

    hear(redis, url, lambda payload: print("hello"))

    found = []

    def has_come() -> bool:
        message = pubsub.get_message(timeout=0.1)
        if message and message["type"] == "message":
            found.append(json.loads(message["data"]))
        return any("lines" in each for each in found)

    wait_until(has_come, f"no log event: {found}")
    pubsub.close()
    log = found[-1]
    assert (log["id"], log["lines"], log["attempt"]) == ("t1", ["hello"], 1)


def test_a_silent_handler_costs_no_thread_and_no_key(redis: redis_py.Redis, url: str) -> None:
    names: list[str] = []

    def handler(payload: object) -> None:
        names.extend(thread.name for thread in threading.enumerate())

    heard = hear(redis, url, handler)

    assert "runqy-reporter" not in names
    assert {event.kind for event in heard.events} == {Kind.STARTED, Kind.COMPLETED}
    assert not redis.exists("asynq:nb:log:t1", "asynq:nb:said:t1")


def test_a_handler_knows_that_its_worker_stops(redis: redis_py.Redis, url: str) -> None:
    begun, seen = threading.Event(), threading.Event()

    def handler(payload: object) -> None:
        assert not current_task().cancelled
        begun.set()
        wait_until(lambda: current_task().cancelled, "it was not told")
        seen.set()

    push(redis, "t1")
    with working(url, registry_of(handler), shutdown_timeout=10.0) as worker:
        assert begun.wait(10)
        worker.stop()

    assert seen.is_set()


def test_only_the_holder_of_the_claim_writes(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)
    push(redis, "t1")
    (mine,) = claim(broker)

    assert broker.note(mine, Note("me", ("first",)))
    assert settle(broker, done(mine)) == ["OK"]
    assert not broker.note(mine, Note("me", ("too late",)))

    assert Inspector(redis).log_lines("t1") == ("first",)


def test_what_nobody_listens_to_is_not_published(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)
    push(redis, "a")
    (task,) = claim(broker)
    redis.config_resetstat()

    assert broker.note(task, Note("me", ("a line",), events=(Event(Kind.LOG, "a", "q", 1.0),)))

    assert "cmdstat_publish" not in redis.info("commandstats")


def test_a_strangers_keys_in_the_place_of_a_log_give_way(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)
    push(redis, "t1")
    settle(broker, retried(claim(broker)[0], delay=0.0))
    sweep(broker)
    redis.set("asynq:nb:log:t1", "text")
    redis.lpush("asynq:nb:said:t1", "text")

    assert broker.note(claim(broker)[0], Note("me", ("a line",)))

    assert Inspector(redis).said("t1").lines == ("a line",)


def test_a_new_life_of_an_id_begins_with_an_empty_log(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)
    push(redis, "t1")
    (first,) = claim(broker)
    broker.note(first, Note("me", ("old",)))
    settle(broker, done(first))

    push(redis, "t1")
    (second,) = claim(broker)
    broker.note(second, Note("me", ("new",), dropped=2))

    said = Inspector(redis).said("t1")
    assert (said.lines, said.dropped) == (("new",), 2)


def test_keys_of_a_wrong_type_cost_nobody_his_log(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)
    push(redis, "t1")
    (task,) = claim(broker)
    redis.set("asynq:nb:log:t1", "a stranger's")
    redis.set("asynq:nb:said:t1", "too")

    assert broker.note(task, Note("me", ("line",)))
    assert Inspector(redis).log_lines("t1") == ("line",)


def test_a_handler_apart_is_heard_too(redis: redis_py.Redis, url: str) -> None:
    def handler(payload: dict[str, str]) -> str:
        import os

        current_task().progress(1, 2, "apart")
        print("printed in", payload["name"])
        subprocess.run([sys.executable, "-c", "print('by a program')"], check=True)
        current_task().log("told")
        os.write(2, "tschüß\n".encode())
        return "done"

    heard = Heard()
    push(redis, "t1", payload='{"name": "t1"}', crashes="1", max_retry="0")
    with working(url, registry_of(handler), events=heard.hub):
        wait_until(lambda: heard.has_ended("t1"), "it did not end", 30)

    assert heard.of("t1", Kind.COMPLETED), heard.events
    assert heard.lines("t1") == ["printed in t1", "by a program", "told", "tschüß"]
    assert [event.note for event in heard.of("t1", Kind.PROGRESS)] == ["apart"]


def test_outside_a_notebook_prints_go_where_they_always_went_too(
    redis: redis_py.Redis,
    url: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(builtins, "__IPYTHON__", raising=False)

    heard = hear(redis, url, lambda payload: print("to both"))

    assert heard.lines("t1") == ["to both"]
    assert capsys.readouterr().out == "to both\n"


def test_the_streams_and_loggers_are_as_before_afterwards(redis: redis_py.Redis, url: str) -> None:
    there, bound = (sys.stdout, sys.stderr), logging.StreamHandler(sys.stderr)
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    logging.getLogger().addHandler(bound)

    def handler(payload: object) -> None:
        assert bound.stream is sys.stderr is not there[1]
        logging.getLogger("left").addHandler(logging.StreamHandler())

    heard = hear(redis, url, handler)
    left = logging.getLogger("left").handlers[0]
    logging.getLogger().removeHandler(bound)
    logging.getLogger("left").handlers.clear()

    assert heard.of("t1", Kind.COMPLETED), heard.events
    assert (sys.stdout, sys.stderr) == there
    assert bound.stream is there[1]
    assert isinstance(left, logging.StreamHandler)
    assert left.stream is there[1]
    assert threading.Thread.start is start
    assert ThreadPoolExecutor.submit is submit


def test_somebody_elses_stream_over_ours_stays(redis: redis_py.Redis, url: str) -> None:
    theirs = io.StringIO()

    with contextlib.ExitStack() as afterwards:
        with working(url, registry_of(print)):
            ours = sys.stdout
            afterwards.enter_context(contextlib.redirect_stdout(theirs))
        assert sys.stdout is theirs
        print("caught")

    print("passed on", file=ours)
    assert theirs.getvalue() == "caught\n"
    sys.stdout = ours.beneath  # type: ignore[attr-defined]


def test_who_listens_badly_ends_nothing(redis: redis_py.Redis, url: str) -> None:
    def fails(event: Event) -> None:
        raise RuntimeError("a broken card")

    heard = Heard()
    heard.hub = Events()
    heard.hub.subscribe(fails)
    heard.hub.subscribe(heard.events.append)
    push(redis, "t1")
    with working(url, registry_of(print), events=heard.hub):
        wait_until(lambda: heard.has_ended("t1"), "it did not end")


def test_what_cannot_be_told_costs_itself_and_not_the_task(redis: redis_py.Redis, url: str) -> None:
    def handler(payload: object) -> None:
        report().show({"text/plain": 7})  # type: ignore[dict-item]
        print("more")

    heard = Heard()
    push(redis, "t1")
    with working(url, registry_of(handler), events=heard.hub) as worker:
        wait_until(lambda: heard.has_ended("t1"), "it did not end")
        assert told(worker, "TypeError")

    assert heard.of("t1", Kind.COMPLETED)
    assert heard.lines("t1") == ["more"]


def test_of_many_displays_the_newest_are_told_and_the_rest_counted(
    redis: redis_py.Redis, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runqy_notebook.worker.reporter.GATHER", 60.0)  # no round in between

    def handler(payload: object) -> None:
        for number in range(2_000):  # of which ten rounds a second tell 20 each
            report().show({"text/plain": str(number)})

    displayed = hear(redis, url, handler).of("t1", Kind.DISPLAYED)

    assert [event.data for event in displayed][-1] == {"text/plain": "1999"}
    assert len(displayed) + sum(event.dropped for event in displayed) == 2_000
    assert len(displayed) < 2_000


def test_no_more_of_a_display_than_it_can_carry_goes_over_redis(
    redis: redis_py.Redis, url: str
) -> None:
    data = {"text/plain": "a figure", "text/html": "x" * 70_000, "video/mp4": "AAAA"}
    pubsub = redis.pubsub()
    pubsub.subscribe("asynq:events:0:mail_default")
    found: list[dict[str, Any]] = []

    def has_come() -> bool:
        message = pubsub.get_message(timeout=0.1)
        if message and message["type"] == "message":
            found.append(json.loads(message["data"]))
        return any(each["event"] == "displayed" for each in found)

    heard = hear(redis, url, lambda payload: report().show(data, "fig"))
    wait_until(has_come, f"no display: {found}")
    pubsub.close()

    assert [event.data for event in heard.of("t1", Kind.DISPLAYED)] == [data]
    assert found[-1]["data"] == {"text/plain": "a figure"}


def test_lines_that_redis_did_not_take_are_counted_when_it_takes_some_again(
    redis: redis_py.Redis, url: str
) -> None:
    heard = Heard()

    def is_told(line: str) -> bool:
        print(line)
        wait_until(lambda: line in heard.lines("t1"), f"{line} was not told")
        return True

    def handler(payload: object) -> None:
        redis.replicaof("127.0.0.1", "1")  # which makes it read-only
        try:
            is_told("lost")
            is_told("lost, too")  # a round later: the first one was refused by then
        finally:
            redis.replicaof("NO", "ONE")
        wait_until(lambda: is_told("taken") and Inspector(redis).said("t1").lines, "never taken")

    with working(url, registry_of(handler), events=heard.hub):
        push(redis, "t1")
        wait_until(lambda: heard.has_ended("t1"), "it did not end", 20)

    said = Inspector(redis).said("t1")
    assert said.dropped >= 2
    assert set(said.lines) == {"taken"}
    assert said.dropped + len(said.lines) == len(heard.lines("t1"))


def test_a_handler_has_figures_of_its_own(redis: redis_py.Redis, url: str) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib._pylab_helpers import Gcf

    def handler(payload: object) -> None:
        assert plt.get_fignums() == []
        assert not Gcf.figs
        figure = plt.figure(7)
        plt.figure("named")
        assert plt.fignum_exists(7)
        assert Gcf.figs[7].canvas.figure is figure
        del Gcf.figs[7]
        assert plt.get_figlabels() == ["named"]
        plt.close("all")

    of_all = Gcf.figs
    plt.figure(1)
    heard = hear(redis, url, handler)
    found, after = plt.get_fignums(), Gcf.figs
    plt.close("all")

    assert heard.of("t1", Kind.COMPLETED), heard.events
    assert found == [1]
    assert after is of_all


def test_listeners_are_called_on_behalf_of_no_task(redis: redis_py.Redis, url: str) -> None:
    heard, tasks = Heard(), set()
    heard.hub.subscribe(lambda event: tasks.add((event.kind, CURRENT.get())))

    def handler(payload: object) -> None:
        print("the first word starts the thread that tells it")
        wait_until(lambda: heard.lines("t1"), "it was not told while it ran")

    push(redis, "t1")
    with working(url, registry_of(handler), events=heard.hub):
        wait_until(lambda: heard.has_ended("t1"), "it did not end")

    assert tasks == {(Kind.STARTED, None), (Kind.LOG, None), (Kind.COMPLETED, None)}


def test_the_switch_interval_is_short_while_handlers_run(redis: redis_py.Redis, url: str) -> None:
    before, during = sys.getswitchinterval(), []

    hear(redis, url, lambda payload: during.append(sys.getswitchinterval()))
    hear(redis, url, lambda payload: during.append(sys.getswitchinterval()), switch_interval=0.0)

    assert during == [pytest.approx(0.0001), pytest.approx(before)]
    assert sys.getswitchinterval() == pytest.approx(before)


def test_who_starves_the_process_is_named_once(redis: redis_py.Redis, url: str) -> None:
    def hog(payload: object) -> None:
        sum(range(15 * 10**7))  # one call that does not let go, for two seconds or more

    push(redis, "t1")
    push(redis, "t2")
    with working(url, registry_of(hog), guardian=False) as worker:
        wait_until(lambda: worker.status.completed == 2, "not done", 60)
        wait_until(lambda: worker.status.starved, "nobody was named")
        notices = told(worker, "held Python's lock")
        (name,) = worker.status.starved

    assert "hog" in name
    assert len(notices) == 1
    assert "python -m runqy_notebook work FILE mail_default" in notices[0]


def test_a_finalizer_that_prints_at_the_first_word_hangs_nobody(
    redis: redis_py.Redis, url: str
) -> None:
    """The collector may run wherever something is made, here where reports and screens are."""
    makers = (TaskReport.__init__.__code__, Screen.__init__.__code__)

    def collect(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code in makers:
            print("freed")

    def handler(payload: dict[str, Any]) -> None:
        sys.setprofile(collect)
        print("first", file=sys.stderr)
        sys.setprofile(None)

    heard = hear(redis, url, handler)

    assert sorted(heard.lines("t1")) == ["first", "freed", "freed"]


def test_a_run_leaves_nothing_to_the_collector(redis: redis_py.Redis, url: str) -> None:
    def surroundings() -> list[object]:
        return [each for each in gc.get_objects() if isinstance(each, (Surroundings, CurrentTask))]

    gc.collect()
    of_others = surroundings()  # which threads of earlier tests may hold
    gc.disable()
    try:
        hear(redis, url, lambda payload: print("said") if payload["name"] == "a" else None, *"abc")
        left = [each for each in surroundings() if not any(each is other for other in of_others)]
    finally:
        gc.enable()

    assert left == []
