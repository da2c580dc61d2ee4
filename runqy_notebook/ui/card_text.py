"""What a card says, word by word: from a TaskView to the texts that its templates place."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from runqy_notebook.errors import one_line
from runqy_notebook.ui import html
from runqy_notebook.ui.echo_text import EchoText, delivery_text, echo_text
from runqy_notebook.ui.text import cleaned as clean
from runqy_notebook.ui.text import clock, counted, duration
from runqy_notebook.ui.values import Shown, picture
from runqy_notebook.ui.view import Display, TaskView
from runqy_notebook.wire.states import State

_MOST_LINES_WHILE_RUNNING: Final = 8
_LARGEST_HTML: Final = 256 * 2**10  # characters; a card is sent again as a whole when it changes

_TONES: Final = {
    State.PENDING: "faint",
    State.ACTIVE: "busy",
    State.SCHEDULED: "faint",
    State.RETRY: "warm",
    State.COMPLETED: "good",
    State.ARCHIVED: "bad",
}
_TITLES: Final = {
    State.PENDING: "waiting",
    State.ACTIVE: "running",
    State.SCHEDULED: "scheduled",
    State.RETRY: "will try again",
    State.COMPLETED: "completed",
    State.ARCHIVED: "failed",
}


@dataclass(frozen=True, slots=True)
class Displayed:
    """A thing that the handler displayed: a picture in base64, HTML of this process, or text, which
    the others have as well where the handler gave it.
    """

    text: str = ""
    html: Markup | None = None
    kind: str = ""
    picture: str = ""


@dataclass(frozen=True, slots=True)
class CardText:
    """A card's texts, all of them clean; an empty one is not shown. `tone` names a colour."""

    tone: str
    title: str
    id: str
    queue: str
    facts: str
    progress: str
    done: float
    total: float
    has_progress: bool
    lines: str
    dropped: str
    displayed: tuple[Displayed, ...]
    result: str
    error: str
    traceback: str
    is_open: bool
    deliveries: tuple[str, ...]
    echoes: tuple[EchoText, ...]
    echoes_dropped: str
    remedy: str

    def html(self) -> str:
        return html.rendered("card.html", card=self)

    def plain(self) -> str:
        """The same for those who see no HTML."""
        told = f" ({self.facts})" if self.facts else ""
        parts = [f"Task {self.id} in {self.queue}: {self.title}{told}"]
        parts += [self.progress] if self.has_progress else []
        parts += [self.dropped] if self.dropped else []
        parts += [f"| {line}" for line in self.lines.splitlines()]
        parts += [part.text or "(a picture)" for part in self.displayed]
        last = (self.result, self.traceback, self.error, self.remedy, *self.deliveries)
        parts += [text for text in (*last, self.echoes_dropped) if text]
        parts += [echo.plain() for echo in self.echoes]
        return "\n".join(parts)


def card_text(view: TaskView, now: float, result: Shown | None, traceback: str) -> CardText:
    """What there is to say at the time `now`."""
    is_cancelled = view.state is State.ARCHIVED and view.error == "cancelled"
    tone = "faint" if view.ending and not view.state.is_finished else _TONES[view.state]
    few = view.lines if view.is_done else view.lines[-_MOST_LINES_WHILE_RUNNING:]
    open_line = (view.unfinished_line,) if view.unfinished_line else ()
    n_dropped = view.lines_dropped + len(view.lines) - len(few)
    return CardText(
        tone="warm" if is_cancelled else tone,
        title="cancelled" if is_cancelled else _title(view),
        id=one_line(view.id, 80),
        queue=one_line(view.queue, 80),
        facts=" · ".join(_facts(view, now)),
        progress=_progress(view, now),
        done=view.done,
        total=view.total,
        has_progress=bool(view.done or view.total or view.note) and not view.state.is_finished,
        lines="\n".join(few + open_line),
        dropped=_not_shown(n_dropped, "earlier line"),
        displayed=_all_displayed(view),
        result=_result(view, result),
        error="" if is_cancelled else clean(view.error),
        traceback=traceback,
        is_open=view.state is State.ARCHIVED,
        deliveries=tuple(map(delivery_text, view.deliveries)),
        echoes=tuple(map(echo_text, view.echoes)),
        echoes_dropped=_not_shown(view.echoes_dropped, "earlier webhook"),
        remedy=_remedy(view),
    )


def _not_shown(number: int, thing: str) -> str:
    return f"… {counted(number, thing)} not shown" if number else ""


def _title(view: TaskView) -> str:
    if view.ending and not view.state.is_finished:
        return view.ending
    if view.is_cancelling and view.is_running:
        return "cancelling"
    return _TITLES[view.state]


def _facts(view: TaskView, now: float) -> list[str]:
    facts = ["deleted"] if view.ending == "deleted" and view.state.is_finished else []
    if view.state is State.ACTIVE and view.started_at and not view.ending:
        facts.append(f"for {duration(now - view.started_at)}")
    elif view.started_at and view.ended_at:
        took = duration(view.seconds) if view.seconds >= 0.001 else "less than 1 ms"
        facts.append(f"in {took}")
    elif view.state is State.PENDING and view.enqueued_at:
        facts.append(f"since {clock(view.enqueued_at)}")
    if view.state is State.SCHEDULED and view.due_at:
        facts.append(f"due at {clock(view.due_at)}")
    if view.attempt > 1 or (view.attempt == 1 and view.error and view.attempts > 1):
        facts.append(f"attempt {view.attempt} of {max(view.attempt, view.attempts)}")
    return facts


def _progress(view: TaskView, now: float) -> str:
    parts = []
    if view.total > 0:
        parts.append(f"{100 * min(1.0, max(0.0, view.done / view.total)):.0f} %")
    elif view.done:
        parts.append(f"{view.done:g}")
    if view.note:
        parts.append(view.note)
    if view.is_running and 0 < view.done < view.total and (spent := now - view.started_at) > 1:
        parts.append(f"about {duration(spent * (view.total - view.done) / view.done)} left")
    return " · ".join(parts)


def _result(view: TaskView, result: Shown | None) -> str:
    """The result's text, where it has no better form beside the card."""
    return result.text if result is not None and not result.rich else ""


def _remedy(view: TaskView) -> str:
    if view.remedy:
        return clean(view.remedy)
    name = one_line(view.id, 80)
    match view.state:
        case State.RETRY if view.due_at:
            return f"The next attempt is due at {clock(view.due_at)}; %runqy run {name}: at once."
        case State.ARCHIVED if not view.ending:
            return f"%runqy run {name} tries once more; %runqy delete {name} removes it."
    return ""


def _all_displayed(view: TaskView) -> tuple[Displayed, ...]:
    found = tuple(filter(None, map(_displayed, view.displays)))
    n = view.displays_dropped
    return (Displayed(f"… {counted(n, 'earlier output')} not shown"), *found) if n else found


def _displayed(display: Display) -> Displayed | None:
    """The richest form that may be shown: HTML and SVG only of this process."""
    bundle = display.data
    text = clean(bundle.get("text/plain", ""))
    if display.is_local:
        told = bundle.get("text/html", "")
        if told and len(told) <= _LARGEST_HTML:
            return Displayed(text=text, html=Markup(told))  # noqa: S704 - as a cell's own output
        drawn = bundle.get("image/svg+xml", "")
        if drawn and len(drawn) <= _LARGEST_HTML:  # as an image no script in it runs
            content = base64.b64encode(drawn.encode(errors="replace")).decode()
            return Displayed(text=text, kind="image/svg+xml", picture=content)
    for kind in ("image/png", "image/jpeg"):
        if shown := picture(kind, bundle.get(kind)):
            return Displayed(kind=kind, picture=shown)
    return Displayed(text=text) if text else None
