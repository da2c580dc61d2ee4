"""The Enqueue panel on a real server: form and JSON in step, options, DataFrames, what is sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal, TypedDict

import pandas as pd
import pytest
import redis as redis_py
from pydantic import BaseModel, Field

from runqy_notebook.errors import RunqyNotice
from runqy_notebook.session import Session
from runqy_notebook.tasks import REGISTRY, Handler, task
from runqy_notebook.ui.board.enqueue import Enqueue
from tests.boarding import Seen, is_pale, looked_at, named, names_of, opened, told, until


class Book(TypedDict, total=False):
    title: str
    pages: int
    kind: Literal["novel", "poems"]
    tags: list[str]


class Letter(BaseModel):
    to: str = Field(min_length=1)
    copies: int = Field(1, ge=1)


Opened = tuple[Enqueue, Seen]


@pytest.fixture
def panel(session: Session) -> Iterator[Opened]:
    @task(queue="books")
    def shelve(payload: Book) -> None:
        """Puts a book on its shelf."""

    table = pd.DataFrame({"title": ["a", "b"], "pages": [1, 2]})
    with opened(Enqueue, session, {"df": table, "_df": table, "n": 1}) as made:
        yield made


def choose(panel: Enqueue, queue: str) -> None:
    named(panel, "Queue").value = queue
    looked_at(panel)


def send(panel: Enqueue, seen: Seen) -> str:
    """Clicks Enqueue; what was said then."""
    looked_at(panel)
    n = len(seen.said)
    named(panel, "Enqueue").click()
    until(panel, lambda: len(seen.said) > n, "nothing was said")
    return seen.said[-1]


def payloads(redis: redis_py.Redis, queue: str = "books_default") -> list[object]:
    ids = redis.lrange(f"asynq:{queue}:pending", 0, -1)[::-1]
    return [json.loads(redis.hget(b"asynq:t:" + each, "payload")) for each in ids]


def test_the_queues_of_handlers_and_those_that_are_known_are_offered(
    panel: Opened, redis: redis_py.Redis, session: Session
) -> None:
    session.enqueue("mail_high", {})
    until(panel[0], lambda: "mail_high" in named(panel[0], "Queue").options, "not offered")

    assert named(panel[0], "Queue").options[0] == "books"
    choose(panel[0], "books")
    assert "books_default" in told(panel[0])
    assert "shelve" in told(panel[0])


def test_form_and_json_are_kept_in_step(panel: Opened) -> None:
    (board, _) = panel
    choose(board, "books")
    text = named(board, "Payload (JSON)")

    named(board, "title").value = "Emma"
    named(board, "pages").value = "12"
    named(board, "kind").value = '"novel"'
    after_form = json.loads(text.value)
    text.value = '{"pages": 13, "tags": ["x"], "more": 1}'

    assert after_form == {"title": "Emma", "pages": 12, "kind": "novel"}
    assert [named(board, name).value for name in ("title", "pages", "kind", "tags")] == [
        "", "13", "", '["x"]',
    ]  # fmt: skip
    named(board, "pages").value = ""
    assert json.loads(text.value) == {"tags": ["x"], "more": 1}


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('{"pages": 1,\n}', "Line 1, column 12: this comma is one too many."),
        ('{"pages": "x"}', "pages is &#34;x&#34;, not a whole number."),
        ("[1]", "item 1 of the list is a number"),
    ],
)
def test_what_is_wrong_is_told_as_one_types(panel: Opened, text: str, what: str) -> None:
    choose(panel[0], "books")

    named(panel[0], "Payload (JSON)").value = text

    assert what in told(panel[0])


def test_what_a_pydantic_model_refuses_is_told_as_one_types_in_the_form_or_the_json(
    panel: Opened,
) -> None:
    @task(queue="letters")
    def send_letter(payload: Letter) -> None:
        """Sends."""

    (board, seen) = panel
    choose(board, "letters")
    named(board, "to").value = "Emma"
    named(board, "copies").value = "0"
    in_form = told(board)
    named(board, "copies").value = "1"
    mended = told(board)
    named(board, "Payload (JSON)").value = '[{"to": "Emma"}, {"to": ""}]'
    in_json = told(board)

    assert "⚠ copies is 0: input should be greater than or equal to 1." in in_form
    assert "⚠" not in mended
    assert "item 2: to is &#34;&#34;: string should have at least 1 character." in in_json
    assert send(board, seen) == "Enqueued 2 tasks in letters_default."


def test_a_mistake_keeps_enqueue_off_and_a_doubt_does_not(panel: Opened) -> None:
    (board, seen) = panel
    choose(board, "books")
    states = []

    for text in ('{"pages": 1', '{"pages": "x"}'):
        named(board, "Payload (JSON)").value = text
        looked_at(board)
        states.append(is_pale(named(board, "Enqueue")))
    named(board, "pages").value = "twelve"
    looked_at(board)

    assert states == [True, False]
    assert is_pale(named(board, "Enqueue"))
    assert "pages: &#34;twelve&#34; is not a whole number." in told(board)
    assert send(board, seen).startswith("Mend the payload first")


def test_a_payload_is_sent_with_its_options(panel: Opened, redis: redis_py.Redis) -> None:
    (board, seen) = panel
    choose(board, "books")
    named(board, "title").value = "Emma"
    named(board, "Options").value = True
    for name, value in (
        ("Retries", "7"),
        ("Timeout", "1m"),
        ("Id", "my-task"),
        ("Result", "keep"),
        ("Deliver to", "https://example.com/a, https://example.com/b"),
    ):
        named(board, name).value = value

    said = send(board, seen)

    held = redis.hgetall("asynq:t:my-task")
    assert said == "Enqueued task my-task in books_default."
    assert [card.id for card in seen.cards] == ["my-task"]
    assert json.loads(held[b"payload"]) == {"title": "Emma"}
    assert (held[b"max_retry"], held[b"timeout"], held[b"store"]) == (b"7", b"60", b"1")
    assert held[b"deliver"] == b"https://example.com/a https://example.com/b"
    assert "my-task" in send(board, seen)  # it is there already
    assert len(seen.cards) == 1


@pytest.mark.parametrize("given", [("In", "10m"), ("At", "2090-01-31T18:30")])
def test_a_task_may_be_for_later(
    panel: Opened, redis: redis_py.Redis, given: tuple[str, str]
) -> None:
    (board, seen) = panel
    choose(board, "books")
    named(board, "Options").value = True
    named(board, given[0]).value = given[1]

    send(board, seen)

    assert redis.zcard("asynq:books_default:scheduled") == 1


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("Retries", "x", "Retries is a whole number from 0"),
        ("Timeout", "soon", "timeout must be a number of seconds"),
        ("At", "noon", "is not a moment"),
        ("Webhook", "ftp://x", "webhook must be an http"),
        ("Deliver to", "ftp://x", "ftp"),
        ("Queue", "no queue", "no queue"),
    ],
)
def test_an_option_that_makes_no_sense_is_told_and_keeps_enqueue_off(
    panel: Opened, name: str, value: str, what: str
) -> None:
    (board, _) = panel
    choose(board, "books")
    named(board, "Options").value = True

    named(board, name).value = value
    looked_at(board)

    assert what in told(board)
    assert is_pale(named(board, "Enqueue"))


def test_a_payload_may_be_sent_several_times_and_a_list_is_a_task_for_each(
    panel: Opened, redis: redis_py.Redis
) -> None:
    (board, seen) = panel
    choose(board, "books")

    named(board, "Payload (JSON)").value = '[{"pages": 1}, {"pages": 2}]'
    named(board, "Count").value = 2
    said = send(board, seen)

    assert said == "Enqueued 4 tasks in books_default."
    assert payloads(redis) == [{"pages": 1}, {"pages": 2}] * 2
    assert len(seen.cards[0]) == 4


def test_the_rows_of_a_data_frame_are_sent(panel: Opened, redis: redis_py.Redis) -> None:
    (board, seen) = panel
    choose(board, "books")
    source = named(board, "Send")

    source.value = "df"
    looked_at(board)
    shown, names = told(board), names_of(board)
    said = send(board, seen)

    assert [value for _, value in source.options] == ["", "df"]
    assert "2 tasks" in shown
    assert "{&#34;title&#34;:&#34;a&#34;,&#34;pages&#34;:1}" in shown
    assert "Payload (JSON)" not in names
    assert said == "Enqueued 2 tasks in books_default."
    assert payloads(redis) == [{"title": "a", "pages": 1}, {"title": "b", "pages": 2}]


def test_a_data_frame_that_goes_leaves_the_payload(panel: Opened) -> None:
    (board, _) = panel
    choose(board, "books")
    named(board, "Send").value = "df"

    board.context.shell.user_ns.pop("df")
    looked_at(board)

    assert named(board, "Send").value == ""
    assert "Payload (JSON)" in names_of(board)


def test_a_handler_that_is_defined_anew_has_a_new_form_and_a_typed_payload_stays(
    panel: Opened,
) -> None:
    (board, _) = panel
    choose(board, "books")
    named(board, "title").value = "Emma"

    def shelve(payload: dict[str, object]) -> None:
        """Shelves.

        Payload:
            author (str): who wrote it
        """

    with pytest.warns(RunqyNotice):
        REGISTRY.add(Handler(shelve, "books"))
    looked_at(board)

    assert "author *" in names_of(board)
    assert json.loads(named(board, "Payload (JSON)").value) == {"title": "Emma"}
    assert "author is missing" in told(board)


def test_an_untouched_payload_begins_with_what_must_be_there(panel: Opened) -> None:
    @task(queue="letters")
    def send_letter(payload: dict[str, object]) -> None:
        """Sends.

        Payload:
            to (str): whom
            copies (int): how many
            kind ({"a", "b"}): which
            now (bool, optional): at once
        """

    choose(panel[0], "letters")

    text = named(panel[0], "Payload (JSON)").value
    assert json.loads(text) == {"to": "", "copies": 0, "kind": "a"}


def test_a_refresh_writes_nothing_that_is_there_already(panel: Opened) -> None:
    (board, _) = panel
    choose(board, "books")
    looked_at(board)
    before = [id(each) for each in board.widget.children]
    written: list[str] = []
    for each in board.widget.children:
        each.observe(lambda change: written.append(change["name"]))

    for _ in range(3):
        board.refresh()

    assert written == []
    assert [id(each) for each in board.widget.children] == before
