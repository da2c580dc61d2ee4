"""Where receivers that the relay may reach are listed: a file each in Jupyter's runtime folder.

The kernel writes `runqy-hook-HASH.json`, HASH being SHA-256 of the token in the public URL, for
its user alone to read, and holds a lock on it for as long as it lives: a file that nobody has
locked is one of a dead kernel. Webhook secrets and tokens are never in it.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from runqy_notebook.errors import UsageError, one_line

_PREFIX, _SUFFIX = "runqy-hook-", ".json"
_LARGEST = 4_096  # bytes of a file


@dataclass(frozen=True, slots=True)
class Entry:
    """A receiver: its port on 127.0.0.1 and the path there that is the relay's alone."""

    port: int
    relay_key: str = field(repr=False)
    pid: int
    since: float  # unix seconds
    notebook: str  # as Jupyter calls it, or ""


class Listing:
    """An entry, from now until `close` or the end of this process."""

    def __init__(self, folder: Path, token: str, entry: Entry) -> None:
        """Raises UsageError where it cannot be written or locked."""
        self._path = folder / _name(token)
        draft = self._path.with_suffix(".tmp")
        try:
            import fcntl

            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.write(self._file, json.dumps(asdict(entry)).encode())
                draft.rename(self._path)  # locked and complete when it is first seen
            except OSError:
                os.close(self._file)
                draft.unlink(missing_ok=True)
                raise
        except (ImportError, OSError) as error:
            problem = "Windows has no such locks" if sys.platform == "win32" else one_line(error)
            raise UsageError(
                f"The relay needs a locked file in {folder}: {problem}. Without --relay the "
                "receiver takes webhooks from this machine."
            ) from None

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def find(folder: Path, token: str) -> Entry | None:
    """The live receiver that this token belongs to."""
    return _read(folder / _name(token)) if token else None


def live(folder: Path) -> list[Entry]:
    """All live receivers, the oldest first."""
    return sorted(_live(folder), key=lambda entry: entry.since)


def _live(folder: Path) -> Iterator[Entry]:
    for path in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        if (entry := _read(path)) is not None:
            yield entry


def _name(token: str) -> str:
    return f"{_PREFIX}{hashlib.sha256(token.encode('utf-8', 'replace')).hexdigest()}{_SUFFIX}"


def _read(path: Path) -> Entry | None:
    """What a file says, if it is ours alone and its writer lives; a dead one's is removed."""
    try:
        import fcntl

        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except (ImportError, OSError):
        return None
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _entry(os.read(descriptor, _LARGEST))
        with suppress(OSError):
            path.unlink()
        return None
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _entry(text: bytes) -> Entry | None:
    try:
        entry = Entry(**json.loads(text))
    except (ValueError, TypeError):
        return None
    return entry if isinstance(entry.port, int) and 0 < entry.port < 65_536 else None
