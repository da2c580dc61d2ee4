"""The Lua scripts: one operation a file under `lua/`, shared functions under `lua/lib/`.

A script names the library files it needs in a `-- uses a b` line; they are put before it. Calls
go by SHA-1 and fall back to the full text once when the server has forgotten it (a restart,
SCRIPT FLUSH).
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any, Final

import redis

from runqy_notebook.broker.lines import Lines

_FOLDER = resources.files("runqy_notebook.broker") / "lua"
_USES = re.compile(r"^-- uses (.+)$", re.MULTILINE)


class Script:
    """One server-side operation; calling it runs it atomically."""

    def __init__(self, name: str) -> None:
        body = (_FOLDER / f"{name}.lua").read_text(encoding="utf-8")
        uses = _USES.search(body)
        parts = [
            (_FOLDER / "lib" / f"{part}.lua").read_text(encoding="utf-8")
            for part in (uses.group(1).split() if uses else ())
        ]
        self.name = name
        self.source = "\n".join([*parts, body])
        self.sha = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()

    def __call__(
        self, client: redis.Redis | Lines, keys: Sequence[Any], args: Sequence[Any]
    ) -> Any:
        """The script's answer; raises redis.ResponseError where a command in it was refused."""
        try:
            return client.evalsha(self.sha, len(keys), *keys, *args)
        except redis.exceptions.NoScriptError:
            return client.eval(self.source, len(keys), *keys, *args)


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


@functools.cache
def names_of_scripts() -> dict[bytes, str]:
    """What each script is called, by its SHA-1 and by its text."""
    found: dict[bytes, str] = {}
    for file in _FOLDER.iterdir():
        if file.name.endswith(".lua"):
            script = Script(file.name.removesuffix(".lua"))
            found[script.sha.encode()] = found[script.source.encode()] = script.name
    return found
