"""Cards in a real JupyterLab: in their own cell whatever else is done, and right in the end."""

from __future__ import annotations

from collections.abc import Callable

import nbformat
import pytest
import redis as redis_py

from tests.browser.lab import Lab, Notebook
from tests.notebook.test_cards import HANDLER

LOAD = "%load_ext runqy_notebook\nimport asyncio\n" + HANDLER.strip()

Open = Callable[..., Notebook]

TALKATIVE = """
@task(queue="talk")
def talk(payload):
    print("hello from", payload["n"])
    gate.wait(20)
    print("goodbye from", payload["n"])
    return payload["n"]
%runqy worker start talk
"""


def test_prints_land_in_the_card_whatever_else_is_run_or_typed(open_notebook: Open) -> None:
    cells = [LOAD + TALKATIVE, "t = %runqy enqueue talk {'n': 'Ada'}"]
    cells += [f"print({n} * 11)" for n in range(1, 21)] + ["gate.set(); v = await t"]
    notebook = open_notebook("prints.ipynb", cells)
    notebook.run(0, 1)
    notebook.wait_for(1, "hello from Ada")
    notebook.run(*range(2, 22))
    offers = notebook.press_tab_after(22, "\n%runqy wor")

    notebook.run(22)

    notebook.wait_for(1, "goodbye from Ada")
    notebook.wait_for(1, "completed")
    for n in range(2, 22):
        notebook.wait_for(n, str((n - 1) * 11))
    assert [notebook.text(n).strip() for n in range(2, 22)] == [str(n * 11) for n in range(1, 21)]
    assert notebook.text(22).strip() == ""
    assert [offer.split()[1] for offer in offers] == ["worker", "workers"]
    saved = notebook.save().cells
    assert "goodbye from Ada" in saved[1].outputs[0]["data"]["text/html"]
    assert [len(saved[n].outputs) for n in range(2, 22)] == [1] * 20


def test_a_click_on_cancel_works_while_a_cell_awaits(open_notebook: Open) -> None:
    notebook = open_notebook(
        "cancel.ipynb",
        [
            LOAD,
            "from runqy_notebook import current_task\n"
            "@task(queue='long')\n"
            "def long(payload):\n"
            "    while not current_task().cancelled: gate.wait(.05)\n"
            "    raise RuntimeError('stopped half-way')\n"
            "%runqy worker start long",
            "t = %runqy enqueue long {}",
            "try:\n    await t\nexcept Exception as error:\n    print(error)",
        ],
    )
    notebook.run(0, 1, 2)
    notebook.begin(3)

    notebook.output(2).get_by_role("button", name="Cancel").click()

    notebook.wait_for_idle()
    notebook.wait_for(3, "was cancelled")
    notebook.wait_for(2, "cancelled")
    notebook.until("!panel.content.widgets[2].outputArea.node.querySelector('button')", "a button")
    outputs = notebook.save().cells[2].outputs
    assert [set(output["data"]) - {"text/html", "text/plain"} for output in outputs] == [set()] * 2


FAILING = """
%load_ext runqy_notebook
from runqy_notebook import task
broken, runs = True, []
@task(queue="f", max_retry=0)
def act(payload):
    runs.append(payload)
    if broken:
        raise ValueError(f"not yet, in run {len(runs)}")
    return "well"
%runqy worker start f
"""


def test_a_failed_task_is_retried_or_deleted_from_its_card(open_notebook: Open) -> None:
    """The same card follows the new run, and in the end no button is left in the file."""
    cells = [
        FAILING.strip(),
        "t = %runqy enqueue f {}",
        "u = %runqy enqueue f {}",
        "broken = False",
    ]
    notebook = open_notebook("retry.ipynb", cells)
    notebook.run(0, 1, 2)
    for cell in (1, 2):
        notebook.wait_for(cell, "ValueError: not yet")
    again = notebook.output(1).get_by_role("button", name="Retry")

    again.click()
    notebook.wait_for(1, "ValueError: not yet, in run 3")  # the click's own, while it is broken
    notebook.run(3)
    again.click()
    notebook.wait_for(1, "well")
    notebook.output(2).get_by_role("button", name="Delete").click()
    notebook.wait_for(2, "deleted")

    notebook.wait_for(1, "completed")
    assert "not yet" not in notebook.text(1)
    for cell in (1, 2):
        notebook.until(
            "!JSON.stringify(panel.content.widgets[arg].model.toJSON()).includes('widget-view')",
            "a widget is left",
            cell,
        )
    outputs = [output for cell in notebook.save().cells[1:3] for output in cell.outputs]
    assert {kind for output in outputs for kind in output["data"]} == {"text/html", "text/plain"}


def test_a_scheduled_task_is_run_by_a_click(open_notebook: Open) -> None:
    notebook = open_notebook("later.ipynb", [LOAD, "t = %runqy enqueue q {'n': 8} --in 1h"])
    notebook.run(0, 1)
    notebook.wait_for(1, "due at")

    notebook.output(1).get_by_role("button", name="Run now").click()

    notebook.wait_for(1, '{"n": 8}')


@pytest.mark.parametrize(
    ("payloads", "said"), [("{}", "cancelled\u2002nobody"), ("[{}, {}]", "2 archived")]
)
def test_a_queue_is_paused_and_what_waits_in_it_cancelled_by_clicks(
    open_notebook: Open, redis: redis_py.Redis, payloads: str, said: str
) -> None:
    cells = ["%load_ext runqy_notebook", f"made = %runqy enqueue nobody {payloads}"]
    notebook = open_notebook(f"paused{len(payloads)}.ipynb", cells)
    notebook.run(0, 1)
    below = notebook.output(1)

    below.get_by_role("button", name="Pause queue").click()
    below.get_by_role("button", name="Resume queue").wait_for()
    is_paused = redis.exists("asynq:nobody_default:paused")
    below.get_by_role("button", name="Resume queue").click()
    below.get_by_role("button", name="Pause queue").wait_for()
    below.get_by_role("button", name="Cancel").click()

    notebook.wait_for(1, said)
    assert is_paused
    notebook.until("!panel.content.widgets[1].outputArea.node.querySelector('button')", "a button")


def test_what_is_saved_is_still_there_after_a_reload_and_the_handle_shows_the_live_card(
    open_notebook: Open, lab: Lab
) -> None:
    cells = [
        LOAD,
        "d = %runqy enqueue q {'n': 42}",
        "t = %runqy enqueue q {'waits': 1}",
        "t",
        "gate.set()",
    ]
    notebook = open_notebook("reload.ipynb", cells)
    notebook.run(0, 1, 2)
    notebook.wait_for(1, '{"n": 42}')
    notebook.output(2).get_by_role("button", name="Cancel").wait_for()
    notebook.save()

    lab.reload()
    again = lab.visit("reload.ipynb")
    again.run(3, 4)

    again.wait_for(3, "completed")
    again.wait_for(1, '{"n": 42}')
    assert "Loading widget" not in again.text(2) + again.text(3)


def test_two_notebooks_have_their_own_cards_and_share_the_queue(open_notebook: Open) -> None:
    worker = open_notebook("worker.ipynb", [LOAD, "%runqy stream q", "gate.set()"])
    worker.run(0, 1)
    producer = open_notebook(
        "producer.ipynb", ["%load_ext runqy_notebook", "t = %runqy enqueue q {'waits': 1, 'n': 5}"]
    )
    producer.run(0, 1)
    producer.wait_for(1, "running")

    worker.run(2)

    producer.wait_for(1, '{"n": 5}')
    worker.wait_for(1, "completed")
    producer.wait_for(1, "completed")
    assert worker.text(0).count("completed") == worker.text(2).count("completed") == 0


READABLE = """
const channels = text => text.match(/[\\d.]+/g).slice(0, 3).map(Number);
const light = text => channels(text).map(c => c / 255)
  .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const page = light(getComputedStyle(document.querySelector('.jp-Notebook')).backgroundColor);
const contrast = node => {
  const own = light(getComputedStyle(node).color);
  return (Math.max(own, page) + 0.05) / (Math.min(own, page) + 0.05);
};
const nodes = [...panel.node.querySelectorAll('.jp-OutputArea-output *')]
  .filter(node => [...node.childNodes].some(c => c.nodeType === 3 && c.textContent.trim()));
return [nodes.length, Math.min(...nodes.map(contrast))];
"""


def test_cards_are_readable_in_both_themes(open_notebook: Open, lab: Lab) -> None:
    """Every text has at least the contrast that WCAG 2.1 asks of large text, which JupyterLab's own
    colours have.
    """
    notebook = open_notebook(
        "themes.ipynb",
        [
            LOAD,
            "t = %runqy enqueue q {'n': 1}",
            "u = %runqy enqueue q {'bad': 1} --max-retry 0",
            "r = %runqy enqueue q {'bad': 1} --max-retry 3",
            "w = %runqy enqueue nobody {'n': 1}",
            "g = %runqy enqueue q [{'n': n, 'bad': n > 97} for n in range(100)] --max-retry 0",
            "%runqy stream q",
            "v = %runqy enqueue q {'n': 2}",
        ],
    )
    notebook.run(*range(8))
    notebook.wait_for(5, "2 archived")
    notebook.wait_for(4, "No worker serves nobody")
    notebook.wait_for(6, "completed")

    for theme in ("Light", "Dark"):
        lab.theme(theme)
        notebook.picture(f"cards-{theme.lower()}", scroll=420)
        n, least = notebook.js(READABLE)
        assert n > 40
        assert least >= 3, f"{theme}: a contrast of {least:.2f}"
    lab.theme("Light")


def test_an_untrusted_notebook_shows_the_same(open_notebook: Open, lab: Lab) -> None:
    """JupyterLab takes the HTML of a file from elsewhere apart: colours, the bar and pictures
    stay.
    """
    plot = (
        "@task(queue='plots')\n"
        "def plot(payload):\n"
        "    import matplotlib; matplotlib.use('agg')\n"
        "    from matplotlib.figure import Figure\n"
        "    from IPython.display import display\n"
        "    figure = Figure(figsize=(2, 1)); figure.add_subplot().plot([1, 3, 2])\n"
        "    return Drawn(figure)\n"
        "class Drawn:\n"
        "    def __init__(self, figure): self.figure = figure\n"
        "    def _repr_png_(self):\n"
        "        import io; file = io.BytesIO(); self.figure.savefig(file, format='png')\n"
        "        return file.getvalue()\n"
        "%runqy worker start plots"
    )
    cells = [LOAD, plot, "t = %runqy enqueue plots {}", "g = %runqy enqueue q [{'n': 1}, {}, {}]"]
    made = open_notebook("trusted.ipynb", cells)
    made.run(0, 1, 2, 3)
    made.wait_for(3, "3 completed")
    made.until("panel.content.widgets[2].outputArea.node.querySelector('img')", "no plot")
    saved = made.save()
    saved.cells[0].source += "\n# from a stranger: no signature fits"
    nbformat.write(saved, lab.folder / "untrusted.ipynb")

    notebook = lab.visit("untrusted.ipynb")
    try:
        colours = (
            "[...panel.content.widgets[{}].outputArea.node.querySelectorAll('strong')]"
            ".map(node => getComputedStyle(node).color)"
        )
        assert not notebook.js("return panel.content.widgets[2].model.trusted;")
        for cell in (2, 3):
            there = notebook.js(f"return {colours.format(cell)};")
            assert there == made.js(f"return {colours.format(cell)};")
            assert there
        assert notebook.output(2).locator("img").count() == 1
        assert notebook.output(3).locator("progress").count() == 1
    finally:
        notebook.close()
