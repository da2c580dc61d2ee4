"""The release before this one, to run beside it."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.chaos.fleet import ROOT


def previous_release(folder: Path) -> Path:
    """A copy of the newest tagged commit before this one, made in `folder`; skips where there is
    none. A tag on this very commit is the release that is being made.
    """
    folder.mkdir()
    top = _git("rev-parse", "--show-toplevel")
    if top is None or Path(top.decode().strip()) != ROOT:
        pytest.skip("this is no git repository, so there is no previous release")
    described = _git("describe", "--tags", "--abbrev=0", "HEAD^")
    if described is None:
        pytest.skip("no release was tagged before this commit")
    archive = folder.with_suffix(".zip")
    tag = described.decode().strip()
    assert _git("archive", f"--output={archive}", tag, "runqy_notebook", "tests") is not None
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder


def _git(*words: str) -> bytes | None:
    """What git says about this repository; None where it refuses or is missing."""
    try:
        said = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True)
    except FileNotFoundError:
        return None
    return said.stdout if said.returncode == 0 else None
