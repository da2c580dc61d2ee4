"""Deletes the lines of the Lua scripts, one at a time, and tells which test notices.

    python -m tests.mutants [--resume] [FILE...]      # files by their path under lua/

A line whose deletion leaves no Lua is deleted with the rest of its statement, where one begins
there. Each mutant lives in a copy of the package, and has the tests of its script run over it until
the first one fails. Those that survive are harmless by the list in `tests/survivors.py`, or lack a
test: then the exit status is 1. What was found stands in out/mutants.md.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import redis

from runqy_notebook.broker.scripts import composed, parts_of
from tests.servers import running_server
from tests.survivors import HARMLESS

ROOT = Path(__file__).parents[1]
OUT = ROOT / "out"
LUA = Path("runqy_notebook/broker/lua")
HANGS_AFTER = 120.0  # seconds; a mutant that never ends is noticed too

TESTS = {
    "attempted.lua": ["deliver/outbox", "deliver/files", "deliver/whereabouts"],
    "beat.lua": ["redis/heartbeat"],
    "cancel.lua": ["redis/control", "redis/hearing", "deliver/owed"],
    "collect.lua": ["deliver/outbox", "deliver/owed", "deliver/whereabouts"],
    "delete.lua": ["redis/control", "redis/hearing"],
    "doubt.lua": ["redis/doctor"],
    "enqueue.lua": ["redis/enqueue", "redis/hearing"],
    "hold.lua": ["deliver/outbox"],
    "leave.lua": ["deliver/owed"],
    "look.lua": ["redis/doctor"],
    "lose.lua": ["redis/handing_back", "redis/lose", "redis/hearing"],
    "mend_lease.lua": ["redis/doctor"],
    "note.lua": ["redis/saying"],
    "pause.lua": ["redis/control", "redis/controlling"],
    "post.lua": ["deliver/outbox", "deliver/echoing"],
    "purge.lua": ["redis/control", "redis/hearing"],
    "redeliver.lua": ["deliver/outbox", "deliver/courier"],
    "renew.lua": ["redis/renew", "redis/settle"],
    "requeue.lua": ["redis/doctor"],
    "resume.lua": ["redis/control", "redis/controlling"],
    "run_now.lua": ["redis/control", "redis/hearing"],
    "seek.lua": ["redis/paging"],
    "settle.lua": [
        "redis/settle",
        "redis/control",
        "deliver/settling",
        "deliver/owed",
        "redis/hearing",
    ],
    "survey.lua": ["redis/doctor"],
    "sweep.lua": ["redis/sweep", "redis/settle", "deliver/owed", "redis/hearing"],
    "take_back.lua": ["redis/doctor"],
    "lib/bury.lua": ["redis/settle", "redis/sweep", "redis/hearing", "deliver/owed"],
    "lib/complete.lua": ["redis/settle", "deliver/settling", "redis/hearing"],
    "lib/claim.lua": ["redis/settle", "redis/sweep"],
    "lib/day.lua": ["redis/count", "deliver/owed"],
    "lib/duplicates.lua": ["redis/enqueue", "redis/unique", "redis/map"],
    "lib/unfit.lua": ["redis/enqueue"],
    "lib/count.lua": ["redis/count", "redis/settle"],
    "lib/echoes.lua": ["deliver/owed"],
    "lib/leased.lua": ["redis/settle", "redis/sweep"],
    "lib/lose.lua": [
        "redis/handing_back",
        "redis/lose",
        "redis/settle",
        "redis/sweep",
        "redis/hearing",
    ],
    "lib/now.lua": ["redis/settle", "redis/enqueue"],
    "lib/outbox.lua": [
        "deliver/outbox",
        "deliver/settling",
        "deliver/owed",
        "deliver/files",
        "deliver/whereabouts",
    ],
    "lib/outcomes.lua": ["redis/settle", "redis/control", "deliver/settling", "redis/hearing"],
    "lib/owe.lua": ["deliver/owed", "deliver/settling"],
    "lib/places.lua": ["redis/doctor"],
    "lib/rows.lua": ["redis/settle", "redis/hearing"],
    "lib/tell.lua": ["redis/hearing", "redis/saying"],
    "lib/trim.lua": ["redis/settle", "redis/sweep"],
    "lib/unsound.lua": ["redis/enqueue", "redis/settle"],
    "lib/whereabouts.lua": ["redis/control"],
}
"""Who is to notice: the script's own tests first. `redis/settle` is tests/redis/test_settle.py."""

NO_LUA, SURVIVED, HUNG = "no Lua without it", "SURVIVED", "never ends"


class Mutant(NamedTuple):
    """One file without some lines of it, counted from 1."""

    file: str
    first: int
    last: int
    gone: str  # the first line of it, for a reader
    source: str

    @property
    def name(self) -> str:
        lines = str(self.first) + (f"-{self.last}" if self.last > self.first else "")
        return f"{self.file}:{lines}"


def main() -> int:
    """The exit status: 0 when every mutant was noticed or is harmless."""
    asked = _parser().parse_args()
    files = asked.files or sorted(str(path.relative_to(LUA)) for path in LUA.rglob("*.lua"))
    with tempfile.TemporaryDirectory() as folder, running_server(Path(folder)) as server:
        client = redis.Redis(port=server.port)
        mutants, broken = [], []
        for file in files:
            for each in mutants_of(file, lambda sources: is_lua(client, sources)):
                (mutants if each.source else broken).append(each)
        client.close()
    known = _known() if asked.resume else {}
    fates = {m.name: known[m.name, m.source] for m in mutants if (m.name, m.source) in known}
    fates |= judge([m for m in mutants if m.name not in fates])
    return report(mutants, broken, fates)


# --- making them ---------------------------------------------------------------------------------


def mutants_of(file: str, is_lua: Callable[[list[str]], bool]) -> Iterator[Mutant]:
    """The mutants of a file; those without a source would be no Lua."""
    lines = (LUA / file).read_text(encoding="utf-8").splitlines()
    for at, line in enumerate(lines):
        if not line.strip() or line.lstrip().startswith("--"):
            continue
        for end in range(at + 1, len(lines) + 1 if _opens(line) else at + 2):
            source = "\n".join(lines[:at] + lines[end:]) + "\n"
            if is_lua(scripts_with(file, source)):
                yield Mutant(file, at + 1, end, line.strip(), source)
                break
        else:
            yield Mutant(file, at + 1, at + 1, line.strip(), "")


def _opens(line: str) -> bool:
    """Whether a statement begins here that may go on over further lines."""
    code = re.sub(r"'[^']*'|--.*", "", line)
    opens = re.match(r"\s*(if|for|while|else|elseif|local function|function)\b", code)
    return bool(opens) or len(re.findall(r"[({]", code)) > len(re.findall(r"[)}]", code))


def scripts_with(file: str, source: str) -> list[str]:
    """The whole text of each script that this file, so changed, is part of."""

    def text_of(part: str) -> str:
        path = f"lib/{part}.lua"
        return source if path == file else (LUA / path).read_text(encoding="utf-8")

    found = []
    for path in LUA.glob("*.lua"):
        body = source if path.name == file else path.read_text(encoding="utf-8")
        parts = [f"lib/{part}.lua" for parts in parts_of(body) for part in parts]
        if file in (path.name, *parts):
            found.append(composed(body, text_of))
    return found


def is_lua(client: redis.Redis, sources: Iterable[str]) -> bool:
    """Whether the server takes these as scripts."""
    try:
        for source in sources:
            client.script_load(source)
    except redis.ResponseError:
        return False
    return True


# --- judging them --------------------------------------------------------------------------------


def judge(mutants: list[Mutant]) -> dict[str, str]:
    """The fate of each: the test that noticed, or that none did. As many at a time as there are
    processors.
    """
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in mutants:
        waiting.put(mutant)
    fates: dict[str, str] = {}

    def work(folder: Path) -> None:
        for part in ("runqy_notebook", "tests", "pyproject.toml"):
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
        while True:
            try:
                mutant = waiting.get_nowait()
            except queue.Empty:
                return
            fates[mutant.name] = fate = fate_of(mutant, folder)
            _remember(mutant, fate)
            print(f"{len(fates)}/{len(mutants)} {mutant.name} {fate}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory() as folder:
        workers = [
            threading.Thread(target=work, args=(Path(folder, str(number)),))
            for number in range(os.cpu_count() or 1)
        ]
        for number, worker in enumerate(workers):
            Path(folder, str(number)).mkdir()
            worker.start()
        for worker in workers:
            worker.join()
    return fates


def fate_of(mutant: Mutant, folder: Path) -> str:
    """What its tests say. A test that fails now and then must say it twice: only those of the
    script's own file are believed at once, and not of a line that is known to be harmless.
    """
    own, *_ = TESTS[mutant.file]
    fate = _fate_of(mutant, folder)
    is_sure = fate.startswith(own) and (mutant.file, mutant.gone) not in HARMLESS
    return fate if fate in (SURVIVED, HUNG) or is_sure else _fate_of(mutant, folder)


def _fate_of(mutant: Mutant, folder: Path) -> str:
    """What its tests say, run in this copy of the package."""
    target = folder / LUA / mutant.file
    target.write_text(mutant.source, encoding="utf-8")
    names = (name.split("/") for name in TESTS[mutant.file])
    files = [f"tests/{folder}/test_{name}.py" for folder, name in names]
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--tb=no", "-p", "no:cacheprovider"]
    try:
        ran = subprocess.run(
            [*command, *files],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=HANGS_AFTER,
        )
    except subprocess.TimeoutExpired:
        return HUNG
    finally:
        shutil.copy(ROOT / LUA / mutant.file, target)
    if ran.returncode == 0:
        return SURVIVED
    noticed = re.search(r"^(?:FAILED|ERROR) tests/(.+?)(?: - |$)", ran.stdout, re.M)
    assert noticed, f"the tests of {mutant.name} did not run:\n{ran.stdout}{ran.stderr}"
    return noticed[1].replace("/test_", "/", 1).replace(".py::", ": ", 1)


# --- telling about them --------------------------------------------------------------------------


def report(mutants: list[Mutant], broken: list[Mutant], fates: dict[str, str]) -> int:
    """Prints the survivors and the figures, writes the whole table; the exit status."""
    survivors = [m for m in mutants if fates[m.name] == SURVIVED]
    unexplained = [m for m in survivors if (m.file, m.gone) not in HARMLESS]
    rows = [(m, HARMLESS.get((m.file, m.gone), SURVIVED)) for m in survivors]
    rows += [(m, fates[m.name]) for m in mutants if fates[m.name] != SURVIVED]
    rows += [(m, NO_LUA) for m in broken]
    OUT.mkdir(exist_ok=True)
    table = ["| line | deleted | what happens |", "| --- | --- | --- |"]
    table += [f"| {m.name} | `{m.gone}` | {fate} |" for m, fate in sorted(rows)]
    (OUT / "mutants.md").write_text("\n".join(table).replace("||", "\\|\\|") + "\n")
    for mutant, fate in rows[: len(survivors)]:
        print(f"{mutant.name}  {mutant.gone}\n    {fate}")
    print(
        f"{len(mutants) + len(broken)} lines: {len(mutants) - len(survivors)} noticed by a test, "
        f"{len(broken)} leave no Lua, {len(survivors) - len(unexplained)} harmless, "
        f"{len(unexplained)} SURVIVED (out/mutants.md)"
    )
    judged, kept = {m.file for m in mutants}, {(m.file, m.gone) for m in survivors}
    needless = [line for line in HARMLESS if line[0] in judged and line not in kept]
    for file, line in needless:
        print(f"tests/survivors.py: {file}  {line}\n    is gone, or no longer harmless")
    return int(bool(unexplained or needless))


def _remember(mutant: Mutant, fate: str) -> None:
    if fate != SURVIVED:
        OUT.mkdir(exist_ok=True)
        with (OUT / "mutants.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps([mutant.name, mutant.source, fate]) + "\n")


def _known() -> dict[tuple[str, str], str]:
    """What earlier runs noticed; survivors are tried again."""
    log = OUT / "mutants.jsonl"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return {(name, source): fate for name, source, fate in map(json.loads, lines)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("files", nargs="*", metavar="FILE", help="like sweep.lua, lib/claim.lua")
    parser.add_argument("--resume", action="store_true", help="trust what earlier runs noticed")
    return parser


if __name__ == "__main__":
    sys.exit(main())
