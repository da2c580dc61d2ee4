"""The lesson in a real JupyterLab: every control clicked, in a cell and on the board."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis as redis_py
from playwright.sync_api import Locator, expect

from runqy_notebook.broker import embedded
from runqy_notebook.session import Session
from tests.browser.boards import PICTURES, WIDTHS, BoardOnPage, pictures, says
from tests.browser.lab import Notebook

Open = Callable[..., Notebook]

GREET = """
@task(queue="greet", max_retry=1)
def greet(payload):
    print("hello", payload["name"])
    if payload.get("bad"):
        raise ValueError("no such name")
    return {"said": payload["name"]}
""".strip()


class LessonInCell:
    """The widgets of a lesson in one cell."""

    def __init__(self, notebook: Notebook, cell: int) -> None:
        self.root: Locator = notebook.output(cell).locator(".runqy-lesson")

    def click(self, label: str, told: str) -> None:
        """Clicks, and returns once the lesson says this."""
        self.root.get_by_role("button", name=label, exact=True).click()
        self.says(told)

    def says(self, told: str) -> None:
        says(self.root, told)


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """Of an embedded server of the test's own."""
    yield tmp_path / "state"
    embedded.stop(tmp_path / "state")


def test_every_move_and_every_fault_is_a_click_in_the_cell(
    open_notebook: Open, state_dir: Path
) -> None:
    connect = (
        f"import os; os.environ['RUNQY_STATE_DIR'] = {str(state_dir)!r}\n"
        "%config Runqy.lease = 1.0\n%runqy connect --embedded"
    )
    put = "for name in ['Ada', 'Bob']:\n    %runqy enqueue greet {'name': name} --id {name};"
    cells = [
        f"%load_ext runqy_notebook\nfrom runqy_notebook import task\n{GREET}",
        connect,
        put,
        "%runqy step greet",
    ]
    notebook = open_notebook("lesson.ipynb", cells)
    notebook.run(0, 1, 2, 3)
    lesson = LessonInCell(notebook, 3)
    lesson.says("Each Next is one move")

    lesson.click("Next", "A worker started in process")
    lesson.click("Next", "Task Ada went from pending to active")
    lesson.click("Next", "hello Ada")
    lesson.click("Drop acknowledgement", "the reply was lost on its way")
    lesson.click("Next", "did nothing twice. Task Ada is completed.")
    lesson.click("Next", "Task Bob went from pending to active")
    lesson.click("Kill worker", "Its guardian gave task Bob back at once")
    _keep(notebook, lesson, "lesson-killed")
    lesson.click("Next", "A worker started in process")
    lesson.click("Next", "It is a suspect")
    lesson.click("Freeze server", "the server answered nobody (SIGSTOP), then it went on (SIGCONT)")
    lesson.click("Next", "The sweep took nothing away")
    lesson.click("Push orphan id", "was pushed without a task hash")
    lesson.click("Kill worker and guardian", "task Bob stays active until its lease ends")
    lesson.click("End lesson", "")
    notebook.until(
        "!JSON.stringify(panel.content.widgets[3].model.toJSON()).includes('widget-view')",
        "a widget is left",
    )
    notebook.wait_for(3, "task Bob stays active until its lease ends")
    saved = str(notebook.save().cells[3].outputs)
    assert "data:image/svg+xml" in saved
    assert "widget-view" not in saved


def test_the_board_has_a_switch_for_the_lesson(
    open_notebook: Open, session: Session, redis: redis_py.Redis
) -> None:
    """On a server that is not ours, what is not ours to break is switched off and says why."""
    cells = [
        f"%load_ext runqy_notebook\nfrom runqy_notebook import task\n{GREET}",
        "b = %runqy board\nb",
    ]
    session.enqueue("greet_high", {"name": "Ada"}, id="ada")
    notebook = open_notebook("lesson-board.ipynb", cells)
    notebook.run(0, 1)
    board = BoardOnPage(notebook.page)
    board.tab("Lesson")

    board.control("Queue").select_option("greet_high")
    board.button("Lesson mode").click()
    board.button("Next").click()
    board.says("A worker started in process")
    expect(board.button("Freeze server")).to_be_disabled()
    board.button("Next").click()
    board.says("Task ada went from pending to active")
    session.enqueue("greet_high", {"name": "Bob"}, id="bob")
    expect(board.root.locator("svg.runqy-wide")).to_contain_text("bob")
    pictures(notebook, "board-lesson")
    board.button("End lesson mode").click()

    board.says("Task ada went back to its queue.", "In a lesson a worker makes one move")
    assert redis.lrange("asynq:greet_high:pending", 0, -1) == [b"bob", b"ada"]


def _keep(notebook: Notebook, lesson: LessonInCell, name: str) -> None:
    """Keeps screenshots in all sizes and themes; in each, nothing is wider than its room."""
    page = notebook.page
    page.emulate_media(reduced_motion="reduce")  # nothing is under way then
    PICTURES.mkdir(parents=True, exist_ok=True)
    notebook.js("jupyterapp.shell.collapseLeft();")
    for theme in ("Dark", "Light"):
        notebook.lab.theme(theme)
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 1900})
            lesson.root.screenshot(path=PICTURES / f"{name}-{theme.lower()}-{width}.png")
            assert lesson.root.evaluate("node => node.scrollWidth <= node.clientWidth + 1"), width
    page.emulate_media(reduced_motion="no-preference")
    page.set_viewport_size({"width": 1180, "height": 900})
