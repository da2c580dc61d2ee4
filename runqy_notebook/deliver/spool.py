"""The spool: results that are too large for Redis, or no JSON, in private files until they are
delivered. Only who has the folder can deliver them, so it has an id, which is part of the lane.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runqy_notebook.errors import DestinationError, one_line

LANE: Final = "spool:"

_ID = re.compile(r"[0-9a-f]{16}")
_FILE = re.compile(r"msg_[0-9a-f]{32}")
_SWEEP_EVERY = 600.0  # seconds


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds after which a file goes, whether it was delivered or not, and bytes of all files."""

    ttl: float = 7 * 86_400.0
    size: int = 4 * 2**30


class Spool:
    """A folder of files, a delivery each. Threads and processes share it."""

    def __init__(
        self, folder: Path, bounds: Bounds, notice: Callable[[str], None] = lambda text: None
    ) -> None:
        self.bounds = bounds
        self._folder = folder
        self._notice = notice
        self._id = ""
        self._swept = 0.0
        self._held = 0  # bytes, as far as this process knows

    @property
    def id(self) -> str:
        """Of this folder; empty while nothing was ever spooled here."""
        if not self._id:
            with contextlib.suppress(OSError, UnicodeError):
                text = (self._folder / "id").read_text("ascii").strip()
                self._id = text if _ID.fullmatch(text) else ""
        return self._id

    def lane(self, lane: str) -> str:
        """The lane of rows whose file lies here."""
        return f"{LANE}{self.id}:{lane}"

    def write(self, name: str, content: bytes) -> None:
        """Puts a file there, complete or not at all, and safe from a loss of power. Raises
        DestinationError where there is no room.
        """
        try:
            self._prepare()
            self.sweep()
            if self._held + len(content) > self.bounds.size:
                self._held = sum(size for _, size, _ in self._files())
            if self._held + len(content) > self.bounds.size:
                raise DestinationError(
                    f"the spool in {self._folder} holds {self._held / 2**20:.0f} MB, and no more "
                    f"than {self.bounds.size / 2**20:.0f} (the setting spool_mb)"
                )
            draft = self._folder / f"draft-{secrets.token_hex(8)}"
            write_private(draft, content)
            draft.replace(self._folder / name)
            sync_folder(self._folder)
            self._held += len(content)
        except OSError as error:
            raise DestinationError(
                f"the spool in {self._folder} cannot be written: {one_line(error.strerror)}"
            ) from None

    def path(self, name: str) -> Path:
        """Where a file lies; raises DestinationError where it does not."""
        if not _FILE.fullmatch(name):  # from Redis, so it may be anything
            raise DestinationError("the outbox names no file of a spool")
        path = self._folder / name
        if not path.is_file() or path.is_symlink():
            raise DestinationError(f"its result is no longer in the spool ({self._folder})")
        return path

    def drop(self, name: str) -> None:
        """Removes a file, if it is there."""
        if _FILE.fullmatch(name):
            with contextlib.suppress(OSError):
                (self._folder / name).unlink()

    def names(self) -> list[str]:
        """The files that lie there."""
        return [path.name for path, _, _ in self._files() if _FILE.fullmatch(path.name)]

    def sweep(self, *, now: float | None = None) -> None:
        """Removes what is too old, and what a process left half-written; does nothing when it has
        done so lately.
        """
        at = time.time() if now is None else now
        if now is None and at - self._swept < _SWEEP_EVERY:
            return
        self._swept = at
        late = self._held = 0
        for path, size, since in self._files():
            self._held += size
            is_draft = path.name.startswith("draft-")
            if at - since > (3_600.0 if is_draft else self.bounds.ttl):
                with contextlib.suppress(OSError):
                    path.unlink()
                    late += not is_draft
        if late:
            self._notice(
                f"{late} {'result' if late == 1 else 'results'} in the spool had waited for "
                f"{self.bounds.ttl / 86_400:g} days to be delivered, and went (the setting "
                "spool_ttl)."
            )

    def _files(self) -> list[tuple[Path, int, float]]:
        """Path, size, and when it was written, of each."""
        found = []
        with contextlib.suppress(OSError), os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.startswith(("msg_", "draft-")):
                    with contextlib.suppress(OSError):
                        told = entry.stat(follow_symlinks=False)
                        found.append((Path(entry.path), told.st_size, told.st_mtime))
        return found

    def _prepare(self) -> None:
        """Makes the folder, closed to others, and its id."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        told = self._folder.lstat()
        if not self._folder.is_dir() or self._folder.is_symlink() or told.st_uid != _user():
            raise DestinationError(f"{self._folder} is not a folder of this user")
        if told.st_mode & 0o077:
            self._folder.chmod(0o700)
        if not self.id:
            draft = self._folder / f"draft-{secrets.token_hex(8)}"
            write_private(draft, secrets.token_hex(8).encode())
            with contextlib.suppress(FileExistsError):  # another process was first
                os.link(draft, self._folder / "id")
            draft.unlink()


def _user() -> int:
    return os.geteuid() if hasattr(os, "geteuid") else 0  # as `stat` says on Windows


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Writes a new file to the disk, and waits until it is there."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Waits until a renaming in this folder is on the disk, where the system knows such a thing."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
