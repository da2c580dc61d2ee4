"""Handlers and the worker, as cells define, change and run them."""

from __future__ import annotations

import pytest

from tests.notebook.kernels import Kernel

PRODUCTION_CODE = """
from runqy_task import task, load, run

@load
def setup():
    return {"factor": 3}

@task
def handle(payload: dict, ctx: dict) -> dict:
    return {"task": payload.get("task_id"), "product": payload["n"] * ctx["factor"]}

if __name__ == "__main__":
    run()
"""


def defined(kernel: Kernel, body: str, decorator: str = "@task(queue='q')") -> None:
    kernel.run(f"from runqy_notebook import load, task\n{decorator}\n{body}")


def result(kernel: Kernel, payload: str, queue: str = "q") -> str:
    kernel.run(f"t = %runqy enqueue {queue} {payload}")
    return kernel.run("t.result(timeout=10)").value


def test_a_cell_run_again_swaps_the_handler_for_the_next_task(kernel: Kernel) -> None:
    defined(kernel, "def act(payload): return 'old'")
    kernel.run("%runqy worker start q")
    before = result(kernel, "{}")

    defined(kernel, "def act(payload): return 'new'")

    assert (before, result(kernel, "{}")) == ("'old'", "'new'")


def test_a_handler_defined_after_the_start_takes_the_waiting_tasks(kernel: Kernel) -> None:
    started = kernel.run("%runqy worker start q").stdout
    kernel.run("t = %runqy enqueue q {'n': 1}")

    defined(kernel, "def act(payload): return payload['n']")

    assert "No handler yet for q_default" in started
    assert kernel.run("t.result(timeout=10)").value == "1"


def test_production_code_runs_as_it_was_pasted(kernel: Kernel) -> None:
    kernel.run("%config Runqy.queue = 'inference'")

    assert kernel.run(PRODUCTION_CODE).stdout == "Worker serves inference.\n"
    assert result(kernel, "{'n': 14} --id mine", "inference") == "{'task': 'mine', 'product': 42}"

    again = PRODUCTION_CODE.replace('"factor": 3', '"factor": 10')
    assert kernel.run(again).stdout == "Worker serves inference.\n"
    assert "'product': 140" in result(kernel, "{'n': 14}", "inference")


@pytest.mark.parametrize("module", ["runqy_task", "runqy_python"])
def test_the_sdks_names_are_ours_while_loaded(kernel: Kernel, module: str) -> None:
    kernel.run(f"from {module} import task, load, run\nimport runqy_notebook as ours")

    assert kernel.run("(task is ours.task, load is ours.load)").value == "(True, True)"


def test_run_without_a_queue_is_one_line(kernel: Kernel) -> None:
    assert "which queue" in kernel.fail(PRODUCTION_CODE)
    assert kernel.run("%runqy worker status").stdout.startswith("No worker is running")


def test_run_without_a_handler_is_one_line(kernel: Kernel) -> None:
    assert "found no handler" in kernel.fail("from runqy_notebook import run\nrun()")


def test_a_loader_that_raises_shows_its_traceback_and_starts_no_worker(kernel: Kernel) -> None:
    defined(kernel, "def setup(): return 1 / 0", "@load(queue='q')")
    defined(kernel, "def act(payload, ctx): return ctx")

    ran = kernel.try_run("%runqy worker start q")

    assert ran.status == "error"
    assert ran.reply["ename"] == "LoadError"
    assert "def setup(): return 1 / 0" in ran.error
    assert "ZeroDivisionError: division by zero" in ran.error
    assert "the worker did not start" in ran.error.splitlines()[-1]
    assert kernel.run("%runqy worker status").stdout.startswith("No worker is running")

    defined(kernel, "def setup(): return 'mended'", "@load(queue='q')")
    kernel.run("%runqy worker start q")
    assert result(kernel, "{}") == "'mended'"


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_a_traceback_begins_in_the_users_own_code(kernel: Kernel, kind: str) -> None:
    defined(kernel, f"{kind} act(payload): return int('broken')")
    kernel.run("%runqy worker start q\nt = %runqy enqueue q {'n': 1} --max-retry 0")

    of_handler = kernel.try_run("t.result(timeout=10)").error
    defined(kernel, f"{kind} setup(): return 1 / 0", "@load(queue='p')")
    defined(kernel, "def act(payload, ctx): return ctx", "@task(queue='p')")
    kernel.run("%runqy worker stop")
    of_loader = kernel.try_run("%runqy worker start p").error

    for traceback, error in ((of_handler, "ValueError: invalid"), (of_loader, "division by zero")):
        assert error in traceback
        assert traceback.count("  File ") == 1, traceback


def test_a_loader_run_again_gives_the_next_task_its_new_value(kernel: Kernel) -> None:
    defined(kernel, "def setup(): return 'first'", "@load(queue='q')")
    defined(kernel, "def act(payload, ctx): return ctx")
    kernel.run("%runqy worker start q")
    before = result(kernel, "{}")

    defined(kernel, "def setup(): return 'second'", "@load(queue='q')")

    assert (before, result(kernel, "{}")) == ("'first'", "'second'")


def test_async_handlers_and_loaders_run(kernel: Kernel) -> None:
    defined(kernel, "async def setup(): return 40", "@load(queue='q')")
    defined(
        kernel,
        "async def act(payload, ctx):\n"
        "    import asyncio\n"
        "    await asyncio.sleep(0.01)\n"
        "    return ctx + payload['n']",
    )
    kernel.run("%runqy worker start q")

    assert result(kernel, "{'n': 2}") == "42"


@pytest.mark.parametrize("signature", ["a, b, c", "", "payload, *, option"])
def test_a_handler_that_no_task_fits_is_one_line(kernel: Kernel, signature: str) -> None:
    line = kernel.fail(f"from runqy_notebook import task\n@task\ndef act({signature}): pass")

    assert "(payload) or (payload, ctx)" in line


def test_two_plain_handlers_are_noticed_and_a_cell_run_again_is_not(kernel: Kernel) -> None:
    first = "from runqy_notebook import task\n@task\ndef first(payload): return 1"

    quiet = kernel.run(first).stderr + kernel.run(first).stderr
    noticed = kernel.run("@task\ndef second(payload): return 2").stderr
    kernel.run("%runqy worker start q")

    assert quiet == ""
    assert "RunqyNotice: " in noticed
    assert "'second' replaces 'first'" in noticed
    assert result(kernel, "{}") == "2"


def test_starting_twice_is_one_worker_that_serves_both(kernel: Kernel) -> None:
    defined(kernel, "def act(payload): return 'ok'", "@task")

    first = kernel.run("%runqy worker start a").stdout
    second = kernel.run("%runqy worker start b --concurrency 2").stdout

    assert first.startswith("Worker serves a ")
    assert second.startswith("Worker runs already; it serves a, b ")
    assert second.endswith("2 tasks at a time.\n")
    assert len(kernel.run("w = %runqy workers\nlist(w.index)").value.split(",")) == 1
    assert result(kernel, "{}", "a") == result(kernel, "{}", "b") == "'ok'"


def test_a_paused_worker_claims_nothing_until_resumed(kernel: Kernel) -> None:
    defined(kernel, "def act(payload): return 'done'")
    kernel.run("%runqy worker start q")
    kernel.run("%runqy worker pause")
    kernel.run("t = %runqy enqueue q {}")
    line = kernel.fail("t.result(timeout=0.3)")

    status = kernel.run("%runqy worker status").stdout
    kernel.run("%runqy worker resume")

    assert "pending" in line
    assert " paused: serves q" in status
    assert kernel.run("t.result(timeout=10)").value == "'done'"


def test_stopping_says_what_happened_and_stops_once(kernel: Kernel) -> None:
    kernel.run("%runqy worker start q")

    assert kernel.run("%runqy worker stop").stdout.startswith("Worker stopped")
    assert kernel.run("%runqy worker stop").stdout == "No worker is running in this kernel.\n"


def test_a_notice_of_the_worker_appears_at_the_end_of_a_cell(kernel: Kernel) -> None:
    defined(kernel, "def act(payload): return object()")
    kernel.run("%runqy worker start q --store-results")

    ran = kernel.run("t = %runqy enqueue q {}\nv = t.result(timeout=10)")

    assert "result was not stored" in ran.stdout + kernel.run("pass").stdout


def test_a_config_yml_starts_the_worker_and_names_unknown_keys(kernel: Kernel) -> None:
    lines = ["worker:", "  queue: q", "  concurrency: 3", "  colour: red"]
    kernel.run(f"open('config.yml', 'w').write({chr(10).join(lines)!r})")

    ran = kernel.run("%runqy worker start --config config.yml")

    assert "Worker serves q (q_default), 3 tasks at a time." in ran.stdout
    assert "worker.colour" in ran.stderr


def test_settings_of_the_notebook_hold_from_the_next_start_on(kernel: Kernel) -> None:
    kernel.run("%runqy worker start q")
    kernel.run("%config Runqy.concurrency = 4")
    kernel.run("%runqy worker stop")

    assert "4 tasks at a time" in kernel.run("%runqy worker start q").stdout
