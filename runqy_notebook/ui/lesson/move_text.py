"""What a lesson tells of one move: the sentence, the commands, the keys before and after."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from runqy_notebook.broker.monitor import Command
from runqy_notebook.deliver.guard import masked
from runqy_notebook.lesson.changes import Change, Part
from runqy_notebook.lesson.moves import Kind, Move
from runqy_notebook.ui import html
from runqy_notebook.ui.lesson.picture import in_words, still_picture
from runqy_notebook.ui.text import cleaned, cleaned_line, counted
from runqy_notebook.wire.layout import to_text

LONGEST_WORD: Final = 160  # characters of one argument
MOST_WORDS: Final = 24
MOST_SHOWN: Final = 60  # commands of a script

_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\"'⏎]+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CommandText:
    """One command, with those inside of the script that it calls."""

    line: str
    facts: str
    writes: tuple[str, ...]
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChangeText:
    """One key before and after; each part with whether it changed."""

    key: str
    word: str
    before: tuple[tuple[str, bool], ...]
    after: tuple[tuple[str, bool], ...]
    same: str


@dataclass(frozen=True, slots=True)
class MoveText:
    """A move in words, all of them clean."""

    title: str
    tone: str
    told: str
    lines: str
    commands: tuple[CommandText, ...]
    no_commands: str
    meanwhile: str
    changes: tuple[ChangeText, ...]
    scene: str

    def html(self) -> str:
        return html.rendered("lesson/move.html", move=self)

    def plain(self) -> str:
        """The same for those who see no HTML."""
        rows = [self.title, *_indented([self.told, self.scene])]
        if self.lines:
            rows += ["  The handler printed:", *_indented(self.lines.splitlines(), 4)]
        rows += ["  Redis was asked:"]
        for command in self.commands:
            rows += _indented([f"{command.line}  {command.facts}".rstrip()], 4)
            rows += _indented(command.writes, 6)
        rows += _indented(filter(None, [self.no_commands, self.meanwhile]), 4)
        if self.changes:
            rows += ["  Keys:"]
        for change in self.changes:
            rows += _indented([f"{change.key} ({change.word})"], 4)
            rows += [f"      - {text}" for text, is_changed in change.before if is_changed]
            rows += [f"      + {text}" for text, is_changed in change.after if is_changed]
        return "\n".join(rows)


def move_text(move: Move) -> MoveText:
    """The words for a move."""
    meanwhile = ", ".join(dict.fromkeys(each.script or each.name for each in move.meanwhile))
    return MoveText(
        title=move.title,
        tone="bad" if move.kind.is_fault else "busy",
        told=cleaned(move.told),
        lines=cleaned("\n".join(move.lines)),
        commands=tuple(_command(each) for each in move.commands),
        no_commands=_why_none(move),
        meanwhile=f"Meanwhile, whatever the move: {meanwhile}." if meanwhile else "",
        changes=tuple(_change(each) for each in move.changes),
        scene=in_words(move.after),
    )


def move_html(move: Move) -> str:
    """The picture and the words, as they are kept in a file."""
    parts = still_picture(move.before, move.after), move_text(move).html()
    return html.rendered("lesson/kept.html", parts=[Markup(part) for part in parts])  # noqa: S704


def _why_none(move: Move) -> str:
    if move.unheard:
        told = cleaned_line(move.unheard)
        return f"The server does not show its commands here (MONITOR: {told}); the keys tell."
    if move.commands:
        return ""
    if move.kind is Kind.RUN:
        return "Nothing: while the handler runs, the worker only renews its lease."
    return "Nothing."


def _command(command: Command) -> CommandText:
    if not command.script:
        return CommandText(_line(command), "" if command.is_write else "only reads", (), ())
    writes = [_line(each) for each in command.inner if each.is_write]
    reads = [_line(each) for each in command.inner if not each.is_write]
    if not command.inner:
        facts = "did nothing: the server did not know this script yet, so its text is sent"
    elif not writes:
        facts = f"{counted(len(reads), 'command')} inside, all of which only read"
    else:
        facts = f"{counted(len(command.inner), 'command')} inside; {len(writes)} that write:"
    shown = tuple(writes[:MOST_SHOWN]), tuple(reads[:MOST_SHOWN])
    return CommandText(f"{command.name} {command.script}", facts, *shown)


def _line(command: Command) -> str:
    words = [_word(each) for each in command.words[:MOST_WORDS]]
    more = len(command.words) - MOST_WORDS
    return " ".join([*words, *([f"… ({more} more)"] if more > 0 else [])])


def _word(raw: bytes) -> str:
    text = _clean(to_text(raw[: 8 * LONGEST_WORD]))
    return text if text and " " not in text and '"' not in text else f"'{text}'"


def _change(change: Change) -> ChangeText:
    same = f"{change.n_same} more as before" if change.n_same else ""
    word = f"{change.kind}, {change.word}" if change.word != "changed" else change.kind
    return ChangeText(
        cleaned_line(change.key), word, _parts(change.before), _parts(change.after), same
    )


def _parts(parts: tuple[Part, ...] | None) -> tuple[tuple[str, bool], ...]:
    return tuple((_clean(part.text), part.is_changed) for part in parts or ())


def _clean(text: str) -> str:
    """One line of it, without what is secret in the URLs that a task may carry."""
    bare = _URL.sub(lambda found: masked(found[0]), text.replace("\n", "⏎"))
    flat = cleaned_line(bare, LONGEST_WORD)
    return flat.encode("utf-8", "replace").decode()


def _indented(rows: Iterable[str], by: int = 2) -> list[str]:
    return [f"{' ' * by}{row}" for row in rows]
