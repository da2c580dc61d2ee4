"""The Lua files say what they take, and name the library parts they call."""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

import pytest

from runqy_notebook.broker import scripts
from runqy_notebook.wire.documented import CLAIM_FIELDS
from tests.mutants import TESTS

HERE = Path(__file__).parents[1]
LUA = resources.files("runqy_notebook.broker") / "lua"
SCRIPTS = [
    scripts.Script(path.name.removesuffix(".lua"))
    for path in sorted(LUA.iterdir(), key=str)
    if path.name.endswith(".lua")
]
LIBRARY = {
    path.name.removesuffix(".lua"): path.read_text(encoding="utf-8")
    for path in (LUA / "lib").iterdir()
    if path.name.endswith(".lua")
}


def code_of(source: str) -> str:
    """The source without comments and text."""
    bare = re.sub(r"'[^'\n]*'", "''", source)
    return re.sub(r"--.*", "", bare)


def header_of(name: str, word: str) -> tuple[set[int], int | None]:
    """The numbers that a header documents for KEYS or ARGV, and where its open end begins."""
    source = (LUA / f"{name}.lua").read_text(encoding="utf-8")
    block = re.search(rf"^-- {word}(.*(?:\n--   .*)*)", source, re.MULTILINE)
    assert block, f"{name}.lua has no {word} in its header"
    numbers = set()
    open_end = None
    for item in re.split(r"\s{2,}", block[1].replace("\n--", " ")):
        found = re.match(r"(\d+)(\.\.)? ", item)
        if found and found[2]:
            open_end = int(found[1])
        elif found:
            numbers.add(int(found[1]))
    return numbers, open_end


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
@pytest.mark.parametrize("word", ["KEYS", "ARGV"])
def test_what_a_header_documents_is_what_the_body_uses(script: scripts.Script, word: str) -> None:
    numbers, open_end = header_of(script.name, word)
    body = code_of((LUA / f"{script.name}.lua").read_text(encoding="utf-8"))

    used = {int(number) for number in re.findall(rf"\b{word}\[(\d+)\]", body)}
    has_loop = bool(re.search(rf"\b{word}\[(?!\d+\])|#{word}|\({word},", body))

    assert numbers == used - {open_end}
    assert has_loop == (open_end is not None)
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert open_end in (None, len(numbers) + 1)
    if open_end is not None and open_end > 1:
        shown = rf"\b{open_end}\b|\b{open_end - 1} \+"
        assert re.search(shown, body), f"the open end does not begin at {open_end}"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_brings_every_library_function_that_it_calls(script: scripts.Script) -> None:
    defined = {
        name: part
        for part, source in LIBRARY.items()
        for name in re.findall(r"^local (?:function )?(\w+)", source, re.MULTILINE)
    }
    code = code_of(script.source)

    for name, part in defined.items():
        first = re.search(rf"(?<![.\w]){name}\s*[(\[]", code)
        own = re.search(rf"\blocal (?:function )?{name}\b", code)
        assert not first or (own and own.start() <= first.start()), f"{name} of lib/{part}.lua"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_a_script_spells_no_key_of_its_own(script: scripts.Script) -> None:
    assert "asynq" not in re.sub(r"--.*", "", script.source)


def test_a_claim_s_row_holds_the_fields_that_workers_read_in_their_order() -> None:
    listed = re.search(r"local claim_fields = \{(.*?)\}", LIBRARY["rows"], re.DOTALL)

    assert listed
    assert tuple(re.findall(r"'(\w+)'", listed[1])) == CLAIM_FIELDS


def test_every_library_file_is_used_by_a_script() -> None:
    sources = "".join(script.source for script in SCRIPTS)

    assert all(source in sources for source in LIBRARY.values())


def test_every_script_names_the_tests_that_notice_when_a_line_of_it_goes() -> None:
    files = {f"{script.name}.lua" for script in SCRIPTS} | {f"lib/{name}.lua" for name in LIBRARY}

    assert set(TESTS) == files
    for names in TESTS.values():
        folders = (name.split("/") for name in names)
        assert all((HERE / folder / f"test_{name}.py").exists() for folder, name in folders)
