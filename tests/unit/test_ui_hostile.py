"""Whatever strangers write: what is shown of it is text."""

from __future__ import annotations

import base64
import json
import unicodedata
from dataclasses import replace
from typing import Any

import html5lib
import pytest

from runqy_notebook.ui.card_text import card_text
from runqy_notebook.ui.group_card import group_text
from runqy_notebook.ui.stream_text import stream_text
from runqy_notebook.ui.tally import Tally
from runqy_notebook.ui.tracebacks import readable
from runqy_notebook.ui.values import of_json, picture
from runqy_notebook.ui.view import TaskView, after
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.states import State
from tests.hostile import CANARY, HOSTILE

ELEMENTS = {"div", "span", "strong", "progress", "pre", "details", "summary", "img"}
ELEMENTS |= {"table", "tbody", "tr", "td"}
ATTRIBUTES = {"style", "value", "max", "open", "alt", "src"}
NAMES = [f"{number:02}" for number in range(len(HOSTILE))]


def assert_is_dead(html: str, plain: str) -> None:
    """Nothing but our own elements, with none but our attributes, and text that acts on nothing."""
    for node in html5lib.parseFragment(html, namespaceHTMLElements=False).iter():
        if node.tag == "DOCUMENT_FRAGMENT":
            continue
        assert node.tag in ELEMENTS, node.tag
        assert set(node.attrib) <= ATTRIBUTES, node.attrib
        assert "url(" not in node.attrib.get("style", "")
        assert CANARY not in node.attrib.get("style", "")
        assert node.attrib.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
    for text in (html, plain):
        odd = {c for c in text if unicodedata.category(c) in ("Cc", "Cf", "Cs") and c not in "\n\t"}
        assert not odd, odd
        text.encode()


def test_there_are_fifty_of_them() -> None:
    assert len(set(HOSTILE)) == 50


@pytest.mark.parametrize("text", HOSTILE, ids=NAMES)
def test_a_card_shows_them_as_text(text: str) -> None:
    view = TaskView(text, text, by=text)
    event = Event(Kind.STARTED, text, text, 1.0, text, State.ACTIVE, 1, 3)
    view = after(view, event)
    view = after(view, replace(event, kind=Kind.PROGRESS, done=1, total=2, note=text))
    view = after(view, replace(event, kind=Kind.LOG, lines=(text, text), note=text))
    shown: Any = {"text/plain": text, "text/html": text, "image/svg+xml": text, text: text}
    view = after(view, replace(event, kind=Kind.DISPLAYED, data=shown, note=text))
    fake = {"image/png": text}
    view = after(view, replace(event, kind=Kind.DISPLAYED, data=fake))
    running = card_text(view, 2.0, None, "")
    result = json.dumps({text: [text]}).encode()
    done = replace(event, kind=Kind.COMPLETED, state=State.COMPLETED, result=result)
    completed = card_text(after(view, done), 2.0, of_json(result), "")
    lost = replace(event, kind=Kind.ARCHIVED, state=State.ARCHIVED, error=text)
    told = readable(f'Traceback (most recent call last):\n  File "{text}", line 1, in x\n{text}',
                    lambda name: None)  # fmt: skip
    failed = card_text(replace(after(view, lost), remedy=text), 2.0, None, told)

    for card in (running, completed, failed):
        assert_is_dead(card.html(), card.plain())


@pytest.mark.parametrize("text", HOSTILE, ids=NAMES)
def test_a_group_and_a_stream_show_them_as_text(text: str) -> None:
    tally = Tally([text, "other"], 0.0)
    event = Event(Kind.ARCHIVED, text, text, 1.0, text, State.ARCHIVED, 2, 3, error=text)
    tally.take(event, 1.0)
    tally.take(replace(event, kind=Kind.PROGRESS, note=text), 1.0)
    events = [replace(event, kind=kind, note=text, lines=(text,)) for kind in Kind]

    group = group_text(text, tally.summary(2.0), "", "")
    stream = stream_text(text, events, 100, "", is_over=False)

    assert_is_dead(group.html(), group.plain())
    assert_is_dead(stream.html(), stream.plain())


@pytest.mark.parametrize("text", HOSTILE, ids=NAMES)
def test_a_picture_that_is_none_is_refused(text: str) -> None:
    claimed = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()

    assert picture("image/png", text) is None
    assert picture("image/png", claimed) is None
    assert picture("image/svg+xml", claimed) is None
