"""The Lua scripts: one operation a file under `lua/`, shared functions under `lua/lib/`.

A script names the library files it needs in a `-- uses a b` line; they are put before it. What it
needs seldom, `-- seldom uses c d; wants f` puts into a function: `seldom().f`. Making the functions
of a file costs each call some microseconds, used or not.

Calls go by SHA-1 and fall back to the full text once when the server has forgotten it (a restart,
SCRIPT FLUSH).
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Sequence
from importlib import resources
from typing import Any, Final

import redis

from runqy_notebook.broker.lines import Lines

_FOLDER = resources.files("runqy_notebook.broker") / "lua"
_USES = re.compile(r"^-- uses (.+)$", re.MULTILINE)
_SELDOM = re.compile(r"^-- seldom uses (.+); wants (.+)$", re.MULTILINE)
_WRAPPED = """\
local seldom_made
local function seldom()
if seldom_made then return seldom_made end
{parts}
seldom_made = {{{wanted}}}
return seldom_made
end"""


def parts_of(body: str) -> tuple[list[str], list[str]]:
    """The library files that a script needs, and those that it needs seldom."""
    uses, seldom = _USES.search(body), _SELDOM.search(body)
    return uses[1].split() if uses else [], seldom[1].split() if seldom else []


def composed(body: str, text_of: Callable[[str], str]) -> str:
    """A script's whole source; `text_of` gives that of a library file."""
    always, rarely = parts_of(body)
    parts = [text_of(part) for part in always]
    if seldom := _SELDOM.search(body):
        wanted = ", ".join(f"{name} = {name}" for name in seldom[2].split())
        parts.append(_WRAPPED.format(parts="\n".join(map(text_of, rarely)), wanted=wanted))
    return "\n".join([*parts, body])


@functools.cache
def _read(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


class Script:
    """One server-side operation; calling it runs it atomically."""

    def __init__(self, name: str) -> None:
        self.name = name

    @functools.cached_property
    def source(self) -> str:
        """The whole text, composed when it is first used."""
        return composed(_read(f"{self.name}.lua"), lambda part: _read(f"lib/{part}.lua"))

    @functools.cached_property
    def sha(self) -> str:
        """What the server calls it."""
        return hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def __call__(
        self, client: redis.Redis | Lines, keys: Sequence[Any], args: Sequence[Any], **how: Any
    ) -> Any:
        """The script's answer; raises redis.ResponseError where a command in it was refused. For
        `how` see `Lines.execute_command`.
        """
        try:
            return client.execute_command("EVALSHA", *self.call(keys, args), **how)
        except redis.exceptions.NoScriptError:
            return client.execute_command("EVAL", self.source, len(keys), *keys, *args)

    def call(self, keys: Sequence[Any], args: Sequence[Any]) -> list[Any]:
        """What follows EVALSHA in a call."""
        return [self.sha, len(keys), *keys, *args]


ENQUEUE: Final = Script("enqueue")
SETTLE: Final = Script("settle")
RENEW: Final = Script("renew")
SWEEP: Final = Script("sweep")
LOSE: Final = Script("lose")
BEAT: Final = Script("beat")
NOTE: Final = Script("note")
POST: Final = Script("post")
COLLECT: Final = Script("collect")
ATTEMPTED: Final = Script("attempted")
HOLD: Final = Script("hold")
REDELIVER: Final = Script("redeliver")
LEAVE: Final = Script("leave")
SEEK: Final = Script("seek")


@functools.cache
def names_of_scripts() -> dict[bytes, str]:
    """What each script is called, by its SHA-1 and by its text."""
    found: dict[bytes, str] = {}
    for file in _FOLDER.iterdir():
        if file.name.endswith(".lua"):
            script = Script(file.name.removesuffix(".lua"))
            found[script.sha.encode()] = found[script.source.encode()] = script.name
    return found
