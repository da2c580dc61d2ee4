"""How the Jupyter server finds the receivers of live kernels, and of those only."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from runqy_notebook.echo.directory import Entry, Listing, find, live
from runqy_notebook.errors import UsageError

ENTRY = Entry(port=40_001, relay_key="key", pid=7, since=1.5, notebook="a.ipynb")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")


def test_a_receiver_is_found_by_its_token_until_it_is_closed(tmp_path: Path) -> None:
    listing = Listing(tmp_path, "token", ENTRY)
    other = Listing(tmp_path, "other", Entry(40_002, "k", 8, 0.5, ""))

    during = [find(tmp_path, token) for token in ("token", "tokem", "", "../token", "\ud800")]
    listed = live(tmp_path)
    listing.close()
    other.close()

    assert during == [ENTRY, None, None, None, None]
    assert [entry.pid for entry in listed] == [8, 7]
    assert find(tmp_path, "token") is None
    assert list(tmp_path.iterdir()) == []


def test_neither_token_nor_key_can_be_read_by_others(tmp_path: Path) -> None:
    listing = Listing(tmp_path, "geheim", ENTRY)

    (file,) = tmp_path.iterdir()
    mode, text = file.stat().st_mode & 0o777, file.read_text()
    listing.close()

    assert mode == 0o600
    assert "geheim" not in file.name + text
    assert "key" not in repr(ENTRY).replace("relay_key", "")


def test_the_file_of_a_killed_kernel_counts_for_nothing_and_is_removed(tmp_path: Path) -> None:
    code = (
        "import os, pathlib, sys; from runqy_notebook.echo.directory import *;"
        "Listing(pathlib.Path(sys.argv[1]), 'token', Entry(40001, 'key', 7, 1.5, ''));"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, timeout=60)
    (file,) = tmp_path.iterdir()

    assert find(tmp_path, "token") is None
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"port": 1}', "x" * 5_000])
def test_a_file_that_says_something_else_counts_for_nothing(tmp_path: Path, text: str) -> None:
    listing = Listing(tmp_path, "token", ENTRY)
    (file,) = tmp_path.iterdir()
    file.write_text(text)

    assert find(tmp_path, "token") is None
    listing.close()


def test_a_file_that_others_may_read_or_a_link_counts_for_nothing(tmp_path: Path) -> None:
    listing = Listing(tmp_path, "token", ENTRY)
    (file,) = tmp_path.iterdir()

    file.chmod(0o644)
    assert find(tmp_path, "token") is None
    file.chmod(0o600)
    assert find(tmp_path, "token") == ENTRY
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert find(tmp_path, "token") is None
    file.unlink()
    listing.close()


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(UsageError, match="The relay needs a locked file in") as refused:
        Listing(tmp_path / "file", "token", ENTRY)

    assert "\n" not in str(refused.value)
