"""The board in a real JupyterLab: every control of the overview and the worker's panel worked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import redis as redis_py
from playwright.sync_api import expect

from runqy_notebook.session import Session
from tests.browser.boards import BoardOnPage, pictures, violations
from tests.browser.lab import Notebook
from tests.interop.foreign import ForeignWorker

Open = Callable[..., Notebook]

HANDLERS = """
%load_ext runqy_notebook
import os, time
from runqy_notebook import task
@task(queue="mail", max_retry=0)
def mail(payload):
    while not os.path.exists(payload.get("until", ".")):
        time.sleep(0.05)
    if payload.get("bad"):
        raise ValueError("no such address")
""".strip()
AWAITS = "import asyncio\nwhile True: await asyncio.sleep(.05)"
CELLS = [HANDLERS, "b = %runqy board\nb", AWAITS]


def test_queues_and_the_worker_are_worked_with_clicks_while_a_cell_awaits_too(
    open_notebook: Open, redis: redis_py.Redis, session: Session, tmp_path: Path
) -> None:
    session.enqueue_many("images", [{"n": n} for n in range(12)])
    session.enqueue("mail", {}, delay=600)
    notebook = open_notebook("overview.ipynb", CELLS)
    notebook.run(0, 1)
    board = BoardOnPage(notebook.page)

    queues_are_paused_resumed_and_purged(notebook, board, session)
    notebook.begin(2)
    ForeignWorker(redis, ("mail",)).beat()  # counts for half a minute
    the_worker_is_started_resized_paused_and_stopped(notebook, board, session, tmp_path / "ends")

    assert "*" in notebook.js("return panel.content.widgets[2].inputArea.promptNode.textContent;")


def queues_are_paused_resumed_and_purged(
    notebook: Notebook, board: BoardOnPage, session: Session
) -> None:

    board.control("Queue").select_option("images")
    board.control("Queue").focus()
    notebook.page.keyboard.press("Tab")
    session.enqueue("images", {})
    board.count("images", "pending", "13")  # refreshes take no focus away
    expect(board.button("Pause")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    board.says("Paused images: nothing more is claimed there.", "‖ paused")
    assert session.is_paused("images")
    expect(board.button("Resume")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    board.says("Resumed images.")
    assert not session.is_paused("images")

    board.control("Tasks").select_option("pending")
    board.button("Purge…").click()
    board.says("Delete 13 pending tasks of images for good?")
    expect(board.button("Keep them")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    board.says("Nothing was deleted.")
    board.count("images", "pending", "13")
    board.button("Purge…").click()
    board.button("Delete for good").click()
    board.says("Deleted 13 pending tasks.")
    board.count("images", "pending", "0")
    board.control("Tasks").select_option("archived")
    board.button("Purge…").click()
    board.says("There are no archived tasks in images.")

    board.control("Charts of").select_option("5 min")
    board.says("5 min ago")
    assert violations(notebook.page) == []


def the_worker_is_started_resized_paused_and_stopped(
    notebook: Notebook, board: BoardOnPage, session: Session, ends: Path
) -> None:
    board.tab("Worker")
    board.says("No worker runs in this kernel.", "foreign", "Valkey")
    for word in ("Stop", "Pause"):
        board.button(word).click()
        board.says("No worker is running in this kernel.")

    board.fill("Queues", "mail")
    board.fill("At a time", "2")
    board.button("Start").click()
    board.says("Worker started: serves mail, 2 tasks at a time.", "guardian: watching")
    expect(board.root.get_by_label("Slots").get_by_role("listitem")).to_have_count(2)
    board.fill("At a time", "3")
    board.button("Apply").click()
    board.says("Worker runs on: serves mail, 3 tasks at a time.")
    expect(board.root.get_by_label("Slots").get_by_role("listitem")).to_have_count(3)
    session.enqueue("mail", {"until": str(ends)})
    session.enqueue("mail", {"bad": True}, max_retry=0)
    expect(board.root.get_by_label("Slots").get_by_text("mail")).to_have_count(1)
    pictures(notebook, "board-worker")
    board.button("Pause").click()
    board.says("This kernel's worker: paused")
    board.button("Resume").click()
    board.says("This kernel's worker: running")
    ends.touch()
    board.tab("Overview")
    board.count("mail", "failed", "1")
    board.count("mail", "completed", "1")
    pictures(notebook, "board-overview")
    board.tab("Worker")
    board.button("Stop").click()
    board.says("Worker stopped; nothing was left running.", "No worker runs in this kernel.")
