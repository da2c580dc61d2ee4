"""Cards in real kernels: whatever runs meanwhile, what is told of a task reaches its own cell."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.notebook.kernels import Kernel, Message, Ran
from tests.notebook.test_executing import executed

HANDLER = """
import threading
from runqy_notebook import task
gate = threading.Event()
@task(queue="q")
def act(payload):
    if payload.get("waits"):
        gate.wait(20)
    if payload.get("bad"):
        raise ValueError("no <b>such</b> thing")
    return {"n": payload.get("n")}
%runqy worker start q --concurrency 2
"""


def cards(ran: Ran) -> dict[str, str]:
    """The cards that a cell shows, by display id; the outputs below them left out."""
    return {
        message["content"]["transient"]["display_id"]: message["content"]["data"]["text/plain"]
        for message in ran.messages
        if message["msg_type"] == "display_data" and "text/html" in message["content"]["data"]
    }


def updates(messages: list[Message], display_id: str) -> list[Message]:
    """What a display was changed to, in order."""
    return [
        message
        for message in messages
        if message["msg_type"] == "update_display_data"
        and message["content"]["transient"]["display_id"] == display_id
    ]


def the_card(ran: Ran) -> tuple[str, str]:
    ((display_id, text),) = cards(ran).items()
    return display_id, text


def last_state(kernel: Kernel, display_id: str) -> str:
    """What a display says, as far as the kernel was heard."""
    first = [m for m in kernel.said if _first_shows(m, display_id)]
    return str((first + updates(kernel.said, display_id))[-1]["content"]["data"]["text/plain"])


def wait_for_state(kernel: Kernel, display_id: str, text: str) -> None:
    """Returns once an output says this, or said it last."""
    if text not in last_state(kernel, display_id):
        kernel.wait_for_update(display_id, text)


def _first_shows(message: Message, display_id: str) -> bool:
    if message["msg_type"] != "display_data":
        return False
    return bool(message["content"]["transient"].get("display_id") == display_id)


@pytest.mark.any_kernel
def test_a_card_shows_the_result_in_the_cell_that_enqueued(kernel: Kernel) -> None:
    kernel.run(HANDLER)

    ran = kernel.run("t = %runqy enqueue q {'n': 1}")
    display_id, first = the_card(ran)
    awaited = kernel.run("await t")

    said = [first, *(u["content"]["data"]["text/plain"] for u in updates(kernel.said, display_id))]
    assert ran.outputs[0] == "display_data"
    assert re.match(r"Task \S+ in q_default: (waiting|running|completed) \(", first)
    assert said[-1].endswith('\n{"n": 1}')
    assert "completed (in " in said[-1]
    assert awaited.value == "{'n': 1}"


@pytest.mark.any_kernel
def test_a_card_ends_right_after_twenty_other_cells_and_a_tab(kernel: Kernel) -> None:
    """Every change goes out as part of the latest cell, which no Tab in between replaces."""
    kernel.run(HANDLER)
    display_id, _ = the_card(kernel.run("t = %runqy enqueue q {'waits': 1, 'n': 7}"))
    for n in range(20):
        assert kernel.run(f"print({n})").stdout == f"{n}\n"
    kernel.complete("%runqy wor")
    kernel.complete("gat")
    seen = len(kernel.said)

    opened = kernel.begin("gate.set(); v = t.result(timeout=10)")
    ran = kernel.finish(opened)

    late = updates(kernel.said[seen:], display_id)
    assert last_state(kernel, display_id).endswith('{"n": 7}')
    assert late[-1]["parent_header"]["msg_id"] == opened
    assert ran.stdout == ""


@pytest.mark.any_kernel
def test_every_message_about_a_card_has_a_cell_as_its_parent(kernel: Kernel) -> None:
    kernel.run(HANDLER)
    display_id, _ = the_card(kernel.run("t = %runqy enqueue q {'waits': 1}"))
    kernel.complete("gate.s")
    kernel.run("gate.set(); v = t.result(timeout=10)")

    kinds = {m["parent_header"]["msg_type"] for m in updates(kernel.said, display_id)}

    assert kinds == {"execute_request"}


@pytest.mark.any_kernel
def test_a_failure_points_at_the_cell_and_escapes_its_message(kernel: Kernel) -> None:
    number = kernel.run(HANDLER).reply["execution_count"]
    kernel.run("t = %runqy enqueue q {'bad': 1} --max-retry 0\nt.wait(10);")

    shown = kernel.run("t").shown[0]

    assert f"Cell In[{number}], line 9, in act" in shown["text/plain"]
    assert "---->   9         raise ValueError(" in shown["text/plain"]
    assert "ValueError: no <b>such</b> thing" in shown["text/plain"]
    assert "no &lt;b&gt;such&lt;/b&gt; thing" in shown["text/html"]
    assert "<b>" not in shown["text/html"]
    assert "tries once more" in shown["text/plain"]


@pytest.mark.any_kernel
def test_a_handle_at_the_end_of_a_cell_shows_its_one_card(kernel: Kernel) -> None:
    """The same display in each cell, so that all change; in one cell only once."""
    kernel.run(HANDLER)
    first, _ = the_card(kernel.run("t = %runqy enqueue q {'waits': 1}\nt"))
    wait_for_state(kernel, first, "running")
    second, waiting = the_card(kernel.run("t"))

    kernel.run("gate.set(); t.wait(10);")

    assert first == second
    assert "running" in waiting
    assert "completed" in the_card(kernel.run("t"))[1]


def test_a_semicolon_keeps_the_cell_quiet(kernel: Kernel) -> None:
    kernel.run(HANDLER)

    ran = kernel.run("%runqy enqueue q {'n': 1};")

    assert ran.outputs == []


def test_a_loop_shows_twenty_cards_and_says_so(kernel: Kernel) -> None:
    ran = kernel.run("for n in range(25):\n    %runqy enqueue nobody {'n': n}")

    assert len(cards(ran)) == 20
    assert ran.stdout == "The tasks after these 20 get no card: %runqy stream shows all.\n"
    assert len(cards(kernel.run("%runqy enqueue nobody {'n': 1}"))) == 1


def test_a_task_that_nobody_serves_says_what_to_do(kernel: Kernel) -> None:
    display_id, _ = the_card(kernel.run("t = %runqy enqueue nobody {'n': 1}"))

    kernel.wait_for_update(display_id, "%runqy worker start nobody")


@pytest.mark.any_kernel
def test_a_group_is_one_card_with_its_counts(kernel: Kernel) -> None:
    kernel.run(HANDLER)

    display_id, first = the_card(kernel.run("g = %runqy enqueue q [{'n': n} for n in range(300)]"))
    kernel.run("len(await g)")

    assert first.startswith("300 tasks in q_default: ")
    assert "300 completed\n100 % · " in the_card(kernel.run("g"))[1]
    assert len(updates(kernel.said, display_id)) < 60


@pytest.mark.any_kernel
def test_a_result_that_is_more_than_text_is_an_output_of_its_own(kernel: Kernel) -> None:
    kernel.run(
        "import pandas as pd\nfrom runqy_notebook import task\n@task(queue='p')\n"
        "def act(payload): return pd.DataFrame({'x': ['<script>', payload['x']]})"
    )
    kernel.run("%runqy worker start p")
    kernel.run("t = %runqy enqueue p {'x': '<i>'}\nt.wait(10);")

    card, table = kernel.run("t").shown

    assert "completed" in card["text/plain"]
    assert "&lt;script&gt;" in table["text/html"]
    assert "<i>" not in table["text/html"]


def test_what_a_value_raises_while_it_is_shown_reaches_no_cell(kernel: Kernel) -> None:
    kernel.run(
        "from runqy_notebook import task\n"
        "class Odd:\n    def _repr_html_(self): raise ValueError\n"
        "@task(queue='p')\ndef act(payload): return Odd()\n%runqy worker start p"
    )
    ran = kernel.run("t = %runqy enqueue p {}\nt.wait(10);")

    later = kernel.run("t")

    assert ran.stdout + ran.stderr + later.stdout + later.stderr == ""
    assert "cannot be shown (ValueError)" in later.shown[0]["text/plain"]


@pytest.mark.any_kernel
def test_an_unload_freezes_cards_and_leaves_nothing_behind(kernel: Kernel) -> None:
    display_id, _ = the_card(kernel.run("t = %runqy enqueue nobody {'n': 1}"))

    kernel.run("%unload_ext runqy_notebook")
    left = kernel.run(
        "import threading\nip = get_ipython()\n"
        "hooks = [f for fs in (ip.events.callbacks[n] for n in ('pre_run_cell', 'post_run_cell'))"
        " for f in fs if 'runqy' in getattr(f, '__module__', '')]\n"
        "threads = [t.name for t in threading.enumerate() if t.name.startswith('runqy-')]\n"
        "hooks, threads, t"
    )

    assert "the extension was unloaded" in last_state(kernel, display_id)
    assert left.value.startswith("([], [], <Task ")


@pytest.mark.any_kernel
def test_a_kernel_that_ends_says_so_in_its_cards(
    start_kernel: Callable[..., Kernel], url: str
) -> None:
    kernel = start_kernel(RUNQY_REDIS_URL=url)
    kernel.run("%load_ext runqy_notebook")
    display_id, _ = the_card(kernel.run("t = %runqy enqueue nobody {'n': 1}"))

    kernel.client.shutdown()

    kernel.wait_for_update(display_id, "the kernel ended")


CELLS = [
    "%load_ext runqy_notebook",
    HANDLER.strip(),
    "t = %runqy enqueue q {'waits': 1, 'n': 3}",
    "g = %runqy enqueue q [{'n': n} for n in range(50)]",
    "print('between')",
    "gate.set(); v = await t; r = await g",
    "print('last')",
]


@pytest.mark.any_kernel
def test_a_notebook_run_by_nbclient_keeps_the_final_state(tmp_path: Path, url: str) -> None:
    """No buttons there: nobody is to click them, and their state would stay in the file."""
    *_, one, group, between, awaited, last = executed(tmp_path, url, CELLS)

    text = [output["data"].get("text/plain", "") for output in [*one, *group]]
    assert "completed (in " in text[0]
    assert text[0].endswith('{"n": 3}')
    assert "50 completed\n100 %" in text[2]
    assert between == [{"output_type": "stream", "name": "stdout", "text": "between\n"}]
    assert awaited == []
    assert last == [{"output_type": "stream", "name": "stdout", "text": "last\n"}]
    assert not any("widget" in kind for output in [*one, *group] for kind in output["data"])


@pytest.mark.any_kernel
def test_a_card_in_a_captured_cell_is_captured(kernel: Kernel) -> None:
    ran = kernel.run("%%capture out\nt = %runqy enqueue nobody {'n': 1}")

    assert ran.outputs == []
    assert kernel.run("len(out.outputs)").value == "2"


@pytest.mark.parametrize("line", ["%runqy task {t.id}", "%runqy wait {t.id} --timeout 10"])
def test_a_task_by_its_id_is_shown_as_a_card(kernel: Kernel, line: str) -> None:
    kernel.run(HANDLER)
    kernel.run("t = %runqy enqueue q {'n': 1};\nt.wait(10);")

    _, text = the_card(kernel.run(line))

    assert "completed" in text


def test_cards_of_a_session_that_was_left_freeze(kernel: Kernel) -> None:
    display_id, _ = the_card(kernel.run("t = %runqy enqueue nobody {'n': 1}"))
    kernel.run("%runqy disconnect")

    kernel.wait_for_update(display_id, "disconnected")
