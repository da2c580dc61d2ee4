"""`%runqy step` in a kernel, where nobody clicks and where somebody does, and in a terminal."""

from __future__ import annotations

import psutil
import pytest
import redis as redis_py

from tests.notebook.kernels import Kernel

WIDGETS = "application/vnd.jupyter.widget-view+json"
HOSTILE = "<img src=x onerror=alert(1)>"
HANDLER = """
from runqy_notebook import task
@task(queue="greet")
def greet(payload):
    print(payload["name"])
    return payload["name"]
"""
LEFT = (
    "import threading, ipywidgets\n"
    "print([t.name for t in threading.enumerate() if 'lesson' in t.name],"
    " len(ipywidgets.widgets.widget._instances), len(s.events.subscriptions))"
)
ATTENDED = (
    "from runqy_notebook.ui import clicking\nfrom runqy_notebook.ui.lesson import lessons\n"
    "lessons.has_widgets = lambda publisher: True"
)


@pytest.mark.any_kernel
def test_where_nobody_clicks_each_call_makes_one_move_and_shows_it(kernel: Kernel) -> None:
    kernel.run(HANDLER)
    kernel.run("t = %runqy enqueue greet {'name': 'Ada'} --id ada;")

    moves = [kernel.run("%runqy step greet") for _ in range(4)]

    texts = [move.value for move in moves]
    assert [text.splitlines()[0] for text in texts] == [
        "Move 1: a worker starts",
        "Move 2: claim",
        "Move 3: run the handler",
        "Move 4: acknowledge",
    ]
    assert "      LPUSH asynq:greet_default:active ada" in texts[1].splitlines()
    assert "      - ada" in texts[1].splitlines()
    assert "completed 1 (ada)" in texts[3]
    assert "data:image/svg+xml" in moves[3].shown[0]["text/html"]
    assert WIDGETS not in moves[3].shown[0]
    assert kernel.run("t.result(5)").value == "'Ada'"


def test_faults_are_options_and_stop_ends_it(kernel: Kernel, redis: redis_py.Redis) -> None:
    kernel.run(HANDLER)
    kernel.run("%runqy enqueue greet {'name': 'Ada'} --id ada;")
    for _ in range(2):
        kernel.run("%runqy step greet")

    killed = kernel.run("%runqy step greet --fault kill")
    refused = kernel.try_run("%runqy step greet --fault freeze")
    stopped = kernel.run("%runqy step --stop")

    assert "Its guardian gave task ada back at once" in killed.value
    assert refused.error.startswith(
        "LessonError: This fault cannot be made here: only the embedded"
    )
    assert len(refused.error.splitlines()) == 1
    assert stopped.stdout == "The lesson is over.\n"
    assert kernel.run("%runqy step --stop").stdout == "No lesson is going on.\n"
    assert kernel.try_run("%runqy step").error.startswith("UsageError: Name the queue")


def test_a_strangers_id_payload_and_error_are_text(kernel: Kernel) -> None:
    kernel.run(
        "from runqy_notebook import task\n"
        "@task(queue='greet', max_retry=0)\n"
        "def greet(payload):\n"
        f"    print({HOSTILE!r}); raise ValueError({HOSTILE!r} + chr(27) + '[31m')"
    )
    kernel.run("from runqy_notebook import current; s = current.session()")
    kernel.run(f"s.enqueue('greet', {{'x': {HOSTILE!r}}}, id={HOSTILE!r});")

    html = "".join(kernel.run("%runqy step greet").shown[0]["text/html"] for _ in range(4))
    live = kernel.run(
        "from runqy_notebook.ui.lesson.picture import live_picture\n"
        "print(live_picture(None, s.lesson.scene))"
    ).stdout

    assert "onerror" in html
    assert "onerror" in live
    assert "<img src=x" not in html + live
    assert "\x1b" not in html + live


def test_secrets_of_addresses_are_not_shown(kernel: Kernel) -> None:
    kernel.run(HANDLER)
    kernel.run(
        "t = %runqy enqueue greet {'name': 'Ada', 'to': 'https://u:pass@example.org/in?sig=secret'}"
        " --id ada --deliver-to https://example.org/hook?token=secret;"
    )

    shown = [kernel.run("%runqy step greet").shown[0] for _ in range(4)]

    told = "".join(bundle["text/html"] + bundle["text/plain"] for bundle in shown)
    assert "https://example.org/hook?…" in told
    assert "secret" not in told
    assert "pass@" not in told


@pytest.mark.any_kernel
def test_a_lesson_with_widgets_leaves_a_still_and_nothing_else(
    kernel: Kernel, redis: redis_py.Redis
) -> None:
    kernel.run(HANDLER)
    kernel.run("from runqy_notebook import current; s = current.session(); import ipywidgets")
    kernel.run("%runqy enqueue greet {'name': 'Ada'} --id ada;")
    before = kernel.run(LEFT).stdout
    kernel.run(ATTENDED)

    ran = kernel.run("%runqy step greet")
    kernel.run("s.lesson.next(), s.lesson.next();")
    pid = int(kernel.run("s.lesson._stage.worker.pid").value)
    kernel.run("%runqy step --stop")

    first, second = ran.shown
    assert WIDGETS in first
    assert "The lesson as last seen" in second["text/html"]
    kernel.run(
        "import time\nfor _ in range(50):\n"
        "    if not any('lesson' in t.name for t in threading.enumerate()): break\n"
        "    time.sleep(0.1)"
    )
    assert kernel.run(LEFT).stdout == before
    assert not psutil.pid_exists(pid)
    assert redis.lrange("asynq:greet_default:pending", 0, -1) == [b"ada"]
    kernel.run("lessons.has_widgets = clicking.has_widgets")


def test_unloading_ends_the_lesson(kernel: Kernel, redis: redis_py.Redis) -> None:
    kernel.run(HANDLER)
    kernel.run("%runqy enqueue greet {'name': 'Ada'} --id ada;")
    for _ in range(2):
        kernel.run("%runqy step greet")
    kernel.run("from runqy_notebook import current")
    pid = int(kernel.run("current.session().lesson._stage.worker.pid").value)

    kernel.run("%unload_ext runqy_notebook")

    assert not psutil.pid_exists(pid)
    assert redis.lrange("asynq:greet_default:pending", 0, -1) == [b"ada"]
    kernel.run("%load_ext runqy_notebook")
