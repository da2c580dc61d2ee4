"""The panels Enqueue, Tasks and Echoes in a real JupyterLab: every control of them worked."""

from __future__ import annotations

from collections.abc import Callable

import redis as redis_py
from playwright.sync_api import expect

from runqy_notebook.session import Session
from tests.browser.boards import BoardOnPage, pictures
from tests.browser.lab import Lab, Notebook
from tests.hostile import HOSTILE
from tests.waiting import wait_until

Open = Callable[..., Notebook]

HANDLERS = """
%load_ext runqy_notebook
from typing import Literal, TypedDict
import pandas as pd
from runqy_notebook import task
df = pd.DataFrame({"title": ["a", "b", "c"], "pages": [1, 2, 3]})
class Book(TypedDict, total=False):
    title: str
    pages: int
    kind: Literal["novel", "poems"]
    tags: list[str]
@task(queue="books", max_retry=0)
def shelve(payload: Book):
    \"\"\"Puts a book on its shelf.\"\"\"
    if payload.get("pages") == 13:
        raise ValueError("an unlucky book")
    return {"on the shelf": payload.get("title")}
%runqy worker start books
""".strip()
BOARD = "b = %runqy board\nb"


def test_tasks_are_enqueued_looked_through_and_acted_on_with_every_control(
    open_notebook: Open, lab: Lab, redis: redis_py.Redis, session: Session
) -> None:
    """Strangers' texts are among them, and stay text."""
    notebook = open_notebook("tasks.ipynb", [HANDLERS, BOARD])
    notebook.run(0, 1)
    board, before = BoardOnPage(notebook.page), len(lab.requests)

    tasks_are_enqueued_with_form_json_and_tables_and_their_webhooks_replayed(notebook, board, redis)
    tasks_are_looked_through_and_acted_on(notebook, board, redis, session)

    notebook.page.wait_for_timeout(200)
    strange = [url for url in lab.requests[before:] if not url.startswith(lab.url)]
    assert (lab.dialogs, strange) == ([], [])
    assert board.root.locator(".runqy-listed *:not(span):not(.runqy-line)").count() == 0


def tasks_are_enqueued_with_form_json_and_tables_and_their_webhooks_replayed(
    notebook: Notebook, board: BoardOnPage, redis: redis_py.Redis
) -> None:
    json = board.control("Payload (JSON)")

    board.tab("Echoes")
    board.button("Start receiver").click()
    board.says("Receiving at http://127.0.0.1")

    board.tab("Enqueue")
    board.fill("Queue", "books")
    board.says("Goes to books_default", "This kernel's handler for it is shelve.")
    board.control("title").press_sequentially("Emma")
    expect(json).to_have_value('{\n  "title": "Emma"\n}')
    expect(board.control("title")).to_be_focused()
    json.fill('{\n  "title": "Emma"\n  "pages": 12\n}')
    board.says("✗ Line 3, column 3:", "a comma is missing")
    json.fill('{"title": "Persuasion", "pages": "many"}')
    board.says('⚠ pages is "many", not a whole number.')
    expect(board.control("title")).to_have_value("Persuasion")
    board.control("kind").select_option("novel")
    board.control("pages").fill("13")
    board.control("tags").fill('["x"]')
    board.says("✓ A payload with 4 fields.")
    board.button("Options").click()
    board.fill("Deliver to", "echo")
    board.fill("Retries", "none")
    board.says("✗ Retries is a whole number from 0, not 'none'.")
    board.fill("Retries", "0")
    board.button("Enqueue").click()
    board.says("an unlucky book", "Enqueued task ")
    pictures(notebook, "board-enqueue", is_simple=True)

    board.control("pages").fill("14")
    board.fill("Id", "emma-1")
    board.fill("Type", "task")
    board.fill("Timeout", "1m")
    board.control("Result").select_option("keep it")
    board.button("Enqueue").click()
    board.says("Enqueued task emma-1 in books_default.", '{"on the shelf": "Persuasion"}')
    for name in ("Id", "Deliver to"):
        board.fill(name, "")
    board.fill("In", "1h")
    board.fill("At", "18:30")
    board.says("Give either delay or at, not both.")
    board.fill("At", "")
    board.fill("Unique key", "once")
    board.fill("Unique for", "1h")
    board.root.get_by_label("Unique: give back").check()
    board.fill("Webhook", "https://example.com/")
    board.button("Enqueue").click()
    board.says("scheduled")
    wait_until(lambda: redis.zcard("asynq:books_default:scheduled") == 1, "not scheduled")
    for name in ("In", "Unique key", "Unique for", "Webhook"):
        board.fill(name, "")
    board.root.get_by_label("Unique: give back").uncheck()

    board.control("Send").select_option("the rows of df (3 rows)")
    board.says("3 tasks one for each row")
    board.button("Enqueue").click()
    board.says("Enqueued 3 tasks in books_default.", "3 completed")
    board.control("Send").select_option("the payload below")
    board.fill("Count", "5")
    board.button("Enqueue").click()
    board.says("Enqueued 5 tasks in books_default.", "5 completed")

    board.tab("Echoes")
    board.says("verified", "2 webhooks arrived")
    board.open("w2")
    board.says('"task_id": "emma-1"', "Webhook-Signature")
    board.button("Replay").click()
    board.says("Answered 204", "duplicate", "3 webhooks arrived")
    expect(board.button("Replay")).to_be_focused()
    board.fill("Send to", "nowhere")
    board.button("Replay").click()
    board.says("http:// or https:// URL")
    board.button("Older").click()
    board.button("Newer").click()
    pictures(notebook, "board-echoes", is_simple=True)
    board.button("Stop receiver").click()
    board.says("No receiver is running.")
    expect(board.button("Start receiver")).to_be_focused()


def tasks_are_looked_through_and_acted_on(
    notebook: Notebook, board: BoardOnPage, redis: redis_py.Redis, session: Session
) -> None:
    session.enqueue_many("orders_default", [{"n": n} for n in range(95)])
    for n in range(30):
        session.enqueue("orders_default", {"n": n}, id=f"order-{n:02}", type="order")
    hostile = [text.encode("utf-8", "replace").decode() for text in HOSTILE]
    for text in hostile:
        redis.hset(f"asynq:t:{text}", mapping={"type": text, "payload": text, "error_msg": text})
        redis.zadd("asynq:orders_default:completed", {text: 4_000_000_000})
    board.tab("Tasks")
    board.says("1 to 10 of 125 pending tasks")

    board.button("Next").click()
    board.says("11 to 20 of 125")
    expect(board.button("Next")).to_be_focused()
    board.button("Previous").click()
    board.says("1 to 10 of 125")
    board.fill("Page", "13")
    board.says("121 to 125 of 125")
    board.button("First").click()
    board.control("Rows").select_option("20")
    board.control("Queue").select_option("orders_default")
    board.says("1 to 20 of 125")
    board.control("Search").press_sequentially("order-1")
    board.says("10 found, looked at 125 of 125 pending tasks")
    expect(board.control("Search")).to_be_focused()
    notebook.page.keyboard.press("Tab")  # Rows
    for _ in range(3):
        notebook.page.keyboard.press("Tab")  # First, Previous, Next: the page has no number
    expect(board.button("Next")).to_be_focused()

    board.open("order-12")
    board.says("▸ order-12", "waiting")
    for name in ("order-10", "order-11"):
        board.box(name).check()
    board.says("held still, 2 ticked")
    pictures(notebook, "board-tasks")
    board.button("Cancel").first.click()
    board.says("Cancelled 2 tasks.", "8 found")
    board.box("order-13").check()
    board.button("Run now").click()
    board.says("Next to run: 1 task.")
    assert redis.lindex("asynq:orders_default:pending", -1) == b"order-13"

    board.fill("Search", "")
    board.control("State").select_option("archived")
    board.says("1 to 2 of 2 archived tasks", "cancelled")
    board.box("order-10").check()
    board.button("Retry").click()
    board.says("1 to 1 of 1 archived task")
    board.root.get_by_label("All on this page").check()
    board.button("Delete").first.click()
    board.says("Delete 1 task for good?")
    expect(board.button("Keep")).to_be_focused()
    notebook.page.keyboard.press("Enter")
    board.says("Nothing was deleted.")
    expect(board.button("Delete").first).to_be_focused()
    notebook.page.keyboard.press("Enter")
    board.button("Yes, delete").click()
    board.says("Deleted 1 task.", "No archived tasks.")

    board.control("State").select_option("completed")
    board.control("Rows").select_option("50")
    board.says("1 to 50 of 50 completed tasks")
