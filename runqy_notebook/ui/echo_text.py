"""What is said of a webhook that arrived, and of a result on its way: in cards and in streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from runqy_notebook.ui.text import cleaned, cleaned_line
from runqy_notebook.wire.events import Event

_TONES: Final = {"verified": "good", "duplicate": "muted", "unsigned": "warm"}


@dataclass(frozen=True, slots=True)
class EchoText:
    """A webhook in words, all of them clean: the line of its request, what is known of its sender
    and how long it took, its headers, and its body as indented JSON.
    """

    request: str
    verdict: str
    tone: str
    headers: str
    body: str

    @property
    def brief(self) -> str:
        """All of it but the headers, in one line."""
        parts = (self.request, self.verdict, cleaned_line(_flat(self.body), 80))
        return " · ".join(filter(None, parts))

    def plain(self) -> str:
        """The same for those who see no HTML."""
        parts = (f"webhook: {self.request} · {self.verdict}", self.headers, self.body)
        return "\n".join(filter(None, parts))


def echo_text(event: Event) -> EchoText:
    """An event of the kind ECHO in words."""
    first, *rest = event.lines or ("",)
    at = rest.index("") if "" in rest else 0
    return EchoText(
        request=cleaned_line(first, 160),
        verdict=cleaned_line(event.note, 60),
        tone=tone_of(event.note.partition(",")[0]),
        headers="\n".join(cleaned_line(line) for line in rest[:at]),
        body=cleaned("\n".join(rest[at:]).lstrip("\n")),
    )


def tone_of(verdict: str) -> str:
    """The name of a verdict's colour."""
    return _TONES.get(verdict, "muted")


def delivery_text(event: Event) -> str:
    """An event of the kind DELIVERED in words: how far the delivery is, where to, and what was
    wrong with the attempt.
    """
    parts = [cleaned_line(event.note, 160), cleaned_line(event.error, 160)]
    parts += [f"attempt {event.attempt}"] if event.attempt > 1 else []
    return " · ".join(filter(None, parts))


def _flat(body: str) -> str:
    return " ".join(line.strip() for line in body[:600].splitlines())
