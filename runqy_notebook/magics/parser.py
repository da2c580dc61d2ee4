"""Reading a `%runqy` line: argparse's grammar, errors of one sentence, spaces inside payloads."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from runqy_notebook.errors import UsageError, did_you_mean, one_line
from runqy_notebook.magics.expand import expanded
from runqy_notebook.magics.words import Word, split_line


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UsageError instead of ending the process."""

    def __init__(self, name: str, description: str) -> None:
        super().__init__(
            prog=f"%runqy {name}", description=description, add_help=False, allow_abbrev=False
        )
        self.color = False  # Python 3.14 would paint the help

    def error(self, message: str) -> NoReturn:
        told = message.removeprefix("argument ").replace(
            "the following arguments are required:", "Missing:"
        )
        raise UsageError(f"{told}{self.pointer(told)}")

    def pointer(self, told: str = "") -> str:
        """Where to read on, after a sentence."""
        return f"{'' if told.endswith(('.', '?')) else '.'} {self.prog} --help shows what it takes."

    def options(self) -> list[str]:
        """Its option strings, such as --limit."""
        return [text for action in self._actions for text in action.option_strings]

    def positionals(self) -> list[argparse.Action]:
        """Its positional arguments, in order."""
        return [action for action in self._actions if not action.option_strings]

    def next_argument(self, words: Sequence[str]) -> argparse.Action | None:
        """What a word after these would fill: an option's value, a positional argument, or None
        where only options can follow.
        """
        named = {text: action for action in self._actions for text in action.option_strings}
        option: argparse.Action | None = None
        count = 0
        for word in words:
            if option is not None:
                option = None  # this was its value
            elif word in named:
                option = named[word] if named[word].nargs != 0 else None
            elif word.partition("=")[0] not in named:
                count += 1
        if option is not None:
            return option
        places = self.positionals()
        if count < len(places):
            return places[count]
        return places[-1] if places and places[-1].nargs in ("*", "+") else None


@dataclass(frozen=True, slots=True)
class Command:
    """One `%runqy` command: its words, its arguments, and the function that does it.

    `payloads` names the arguments whose text is taken as it was typed; in all others {expression}
    and $name are filled in.
    """

    words: tuple[str, ...]
    help: str
    act: Callable[..., Any]
    takes_body: bool = False
    payloads: tuple[str, ...] = ()
    parser: Parser = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "parser", Parser(" ".join(self.words), f"{self.help[0].upper()}{self.help[1:]}.")
        )

    def argument(self, *names: str, **options: Any) -> Command:
        """Adds an argument, as argparse's add_argument; gives the command back."""
        self.parser.add_argument(*names, **options)
        return self

    def parse(self, words: Sequence[Word], evaluate: Callable[[str], object]) -> dict[str, Any]:
        """The arguments among these words, by name; raises UsageError."""
        texts: list[str] = []
        for word in words:
            is_option = word.text.partition("=")[0] in self.parser.options()
            fills = None if is_option else self.parser.next_argument(texts)
            if fills is None or fills.dest not in self.payloads:
                texts.append(expanded(word, evaluate))
            else:
                texts.append(word.text if fills.option_strings else _payload(word))
        known, unknown = self.parser.parse_known_intermixed_args(texts)
        if unknown:
            raise UsageError(self._unknown(unknown[0]))
        return vars(known)

    def _unknown(self, word: str) -> str:
        hint = ""
        if word.startswith("-"):
            hint = did_you_mean(word.partition("=")[0], self.parser.options())
        elif self.payloads:
            hint = " A payload with spaces stands in brackets."
        return f"{one_line(word, 80)!r} is not understood here.{hint}{self.parser.pointer('.')}"

    @property
    def synopsis(self) -> str:
        """The command with its arguments, options summed up: "pending [QUEUE] [options]"."""
        forms = {None: "{0}", "?": "[{0}]", "*": "[{0} ...]", "+": "{0} [{0} ...]"}
        places = [forms[a.nargs].format(a.metavar) for a in self.parser.positionals()]  # type: ignore[index]
        return " ".join([*self.words, *places, *["[options]"][: len(self.parser.options())]])


def _payload(word: Word) -> str:
    """As it was typed; JSON may stand in quotes, as shells want it, other quotes make a text."""
    is_text = word.is_quoted and word.text.lstrip()[:1] not in ("{", "[")
    return repr(word.text) if is_text else word.text


def find(commands: Sequence[Command], words: Sequence[str]) -> Command:
    """The command that a line begins with; raises UsageError."""
    for command in commands:
        if tuple(words[: len(command.words)]) == command.words:
            return command
    first, second = (*words, "", "")[:2]
    if seconds := [c.words[1] for c in commands if c.words[0] == first and len(c.words) > 1]:
        raise UsageError(
            f"%runqy {first} wants one of {', '.join(seconds)}, not {one_line(second, 80)!r}."
            f"{did_you_mean(second, seconds)}"
        )
    known = list(dict.fromkeys(command.words[0] for command in commands))
    hint = did_you_mean(first, known) or f" The commands are {', '.join(known)}."
    raise UsageError(f"There is no command {one_line(first, 80)!r}.{hint}")


def typed(line: str) -> list[Word]:
    """The words of a line, less a semicolon at its end."""
    return split_line(line.rstrip().removesuffix(";"))
