"""What a stream says: an event a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from runqy_notebook.errors import one_line
from runqy_notebook.ui import html
from runqy_notebook.ui.text import cleaned_line, clock, counted
from runqy_notebook.wire.events import Event, Kind

_TONES: Final = {
    Kind.STARTED: "busy",
    Kind.PROGRESS: "muted",
    Kind.COMPLETED: "good",
    Kind.RETRIED: "warm",
    Kind.ARCHIVED: "bad",
    Kind.REDELIVERED: "warm",
    Kind.CANCELLING: "warm",
}


@dataclass(frozen=True, slots=True)
class Row:
    """An event in words, all of them clean."""

    time: str
    kind: str
    tone: str
    queue: str
    id: str
    text: str

    def plain(self) -> str:
        return "  ".join([self.time, f"{self.kind:11}", self.queue, self.id, self.text]).rstrip()


@dataclass(frozen=True, slots=True)
class StreamText:
    """A stream's texts, the newest row last."""

    tone: str
    title: str
    facts: str
    rows: tuple[Row, ...]

    def html(self) -> str:
        return html.rendered("stream.html", stream=self)

    def plain(self) -> str:
        """The same for those who see no HTML."""
        return "\n".join([f"{self.title}: {self.facts}", *(row.plain() for row in self.rows)])


def stream_text(
    what: str, events: Sequence[Event], n_seen: int, note: str, *, is_over: bool
) -> StreamText:
    """The newest events of `n_seen`; the others are counted."""
    hidden = n_seen - len(events)
    facts = [one_line(what), counted(n_seen, "event")]
    facts += [f"{counted(hidden, 'earlier one')} not shown"] if hidden else []
    facts += [note] if note else []
    return StreamText(
        tone="faint" if is_over else "busy",
        title="stream ended" if is_over else "stream",
        facts=" · ".join(facts),
        rows=tuple(row(event) for event in events),
    )


def row(event: Event) -> Row:
    """One event in words."""
    return Row(
        time=_time(event.at),
        kind=event.kind.value,
        tone=_TONES.get(event.kind, "muted"),
        queue=one_line(event.queue, 60),
        id=one_line(event.task_id, 40),
        text=_words(event),
    )


def _words(event: Event) -> str:
    parts = []
    if event.attempt > 1:
        parts.append(f"attempt {event.attempt} of {max(event.attempt, event.attempts)}")
    if event.total > 0:
        parts.append(f"{100 * min(1.0, max(0.0, event.done / event.total)):.0f} %")
    elif event.done:
        parts.append(f"{event.done:g}")
    parts += [cleaned_line(line, 120) for line in event.lines[-1:]]
    if len(event.lines) > 1 or event.dropped:
        parts.append(f"(+{len(event.lines) - 1 + event.dropped:,} lines)")
    parts += [cleaned_line(text, 160) for text in (event.note, event.error) if text]
    if event.kind is Kind.RETRIED and event.due_at:
        parts.append(f"again at {clock(event.due_at)}")
    if event.kind is Kind.STARTED and event.by:
        parts.append(f"by {cleaned_line(event.by, 60)}")
    return " · ".join(parts)


def _time(at: float) -> str:
    try:
        return datetime.fromtimestamp(at).astimezone().strftime("%H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError, OSError):
        return "--:--:--.---"
