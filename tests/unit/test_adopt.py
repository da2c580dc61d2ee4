"""Production code pasted into a cell: `from runqy_task import task, load, run`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runqy_notebook import adopt
from runqy_notebook.errors import HandlerError, RunqyNotice
from runqy_notebook.registry import REGISTRY, Registry
from runqy_notebook.tasks import load, task

Install = Callable[..., None]

DECORATOR = """
handler = loader = None

def task(function):
    global handler
    handler = function
    return function

def load(function):
    global loader
    loader = function
    return function

def get_handler(): return handler
def get_loader(): return loader
"""
SDK = """
from .decorator import task, load

def run(): raise AssertionError("reads stdin")

class RunqyClient: ...
"""


def run(*queues: str) -> str:
    return "ours"


@pytest.fixture(autouse=True)
def _no_sdk(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if no SDK were installed, nor had ever been imported."""

    def forget() -> None:
        for name in [n for n in sys.modules if n.partition(".")[0] in adopt.SDK_MODULES]:
            del sys.modules[name]

    monkeypatch.setattr(adopt, "_collected", {})
    forget()
    yield
    adopt.give_back()
    forget()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs an SDK that looks like PyPI's runqy-task (or runqy-python)."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def installed(name: str = "runqy_task", source: str = SDK) -> None:
        package = tmp_path / name
        package.mkdir()
        (package / "__init__.py").write_text(source)
        (package / "decorator.py").write_text(DECORATOR)
        importlib.invalidate_caches()

    return installed


def imported(name: str = "runqy_task") -> Any:
    return importlib.import_module(name)


def handle(payload: dict[str, Any]) -> int:
    return 1


def setup() -> dict[str, Any]:
    return {}


# --- not installed ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", adopt.SDK_MODULES)
def test_without_the_sdk_a_module_of_its_name_hands_out_our_names(name: str) -> None:
    adopt.take_over(run)

    module = imported(name)

    assert (module.task, module.load) == (task, load)
    assert module.run() == module.run_once() == "ours"
    assert issubclass(module.RetryableError, Exception)


def test_pasted_production_code_registers_its_handler() -> None:
    adopt.take_over(run)

    code = "from runqy_task import task, load, run\n@load\ndef setup(): return {}\n"
    code += "@task\ndef handle(payload, ctx): return payload\nif __name__ == '__main__': run()\n"
    exec(code, {"__name__": "__main__"})

    handler = REGISTRY.handler_for("inference_default")
    assert handler is not None
    assert handler.takes_context
    assert REGISTRY.loader_for("inference_default") is not None


def test_given_back_the_stand_ins_are_gone() -> None:
    adopt.take_over(run)
    imported()

    adopt.give_back()

    assert "runqy_task" not in sys.modules
    with pytest.raises(ModuleNotFoundError):
        imported()


def test_other_modules_are_none_of_our_business() -> None:
    adopt.take_over(run)

    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("runqy_tasks")
    assert importlib.import_module("json").loads("1") == 1


def test_giving_back_what_was_never_taken_does_nothing() -> None:
    before = list(sys.meta_path)

    adopt.give_back()
    adopt.give_back()

    assert sys.meta_path == before


def test_taking_over_twice_leaves_one_finder() -> None:
    before = list(sys.meta_path)

    adopt.take_over(run)
    adopt.take_over(run)

    assert len(sys.meta_path) == len(before) + 1
    adopt.give_back()
    assert sys.meta_path == before


# --- installed --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", adopt.SDK_MODULES)
def test_an_installed_sdk_gets_our_names_and_keeps_its_others(name: str, install: Install) -> None:
    install(name)
    adopt.take_over(run)

    module = imported(name)

    assert (module.task, module.run()) == (task, "ours")
    assert module.RunqyClient.__module__ == name
    assert Path(module.__file__).name == "__init__.py"
    assert importlib.import_module(f"{name}.decorator").get_handler() is None


def test_an_sdk_imported_before_gets_our_names_too(install: Install) -> None:
    install()
    module = imported()
    theirs = module.task

    adopt.take_over(run)

    assert module.task is task
    adopt.give_back()
    assert module.task is theirs
    assert sys.modules["runqy_task"] is module


def test_given_back_an_installed_sdk_is_as_it_was(install: Install) -> None:
    install()
    adopt.take_over(run)
    module = imported()

    adopt.give_back()

    assert sys.modules["runqy_task"] is module
    assert module.task.__module__ == "runqy_task.decorator"
    assert not hasattr(module, "run_once"), "this SDK has none"
    with pytest.raises(AssertionError, match="reads stdin"):
        module.run()


def test_an_sdk_of_one_file_is_taken_over_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "runqy_task.py").write_text("task = load = run = None\nextra = 1\n")
    adopt.take_over(run)

    module = imported()

    assert (module.task, module.extra) == (task, 1)


def test_an_sdk_that_cannot_be_imported_says_why_itself(install: Install) -> None:
    install(source="raise ImportError('its own trouble')")
    adopt.take_over(run)

    with pytest.raises(ImportError, match="its own trouble"):
        imported()


# --- collecting -------------------------------------------------------------------------------


def theirs(name: str = "runqy_task") -> ModuleType:
    """The SDK's own decorators, which production code may import directly."""
    return importlib.import_module(f"{name}.decorator")


def test_what_the_sdks_own_decorators_took_is_collected(install: Install) -> None:
    install()
    theirs().task(handle)
    theirs().load(setup)

    adopt.take_over(run)

    handler, loader = REGISTRY.handler_for("q"), REGISTRY.loader_for("q")
    assert handler is not None
    assert loader is not None
    assert (handler.function, loader.function) == (handle, setup)


def test_each_handler_is_collected_once(install: Install) -> None:
    install()
    theirs().task(handle)
    registry = Registry()
    adopt.collect(registry)
    version = registry.version

    adopt.collect(registry)

    assert registry.version == version


def test_what_was_registered_here_since_then_stays(install: Install) -> None:
    install()
    theirs().task(handle)
    adopt.collect(REGISTRY)

    def handle_here(payload: dict[str, Any]) -> int:
        return 2

    with pytest.warns(RunqyNotice, match="replaces 'handle'"):
        task(handle_here)
    adopt.collect(REGISTRY)

    handler = REGISTRY.handler_for("q")
    assert handler is not None
    assert handler.function is handle_here


def test_a_new_handler_of_the_sdk_is_collected_too(install: Install) -> None:
    install()
    theirs().task(handle)
    adopt.collect(REGISTRY)
    theirs().task(lambda payload: 3)

    with pytest.warns(RunqyNotice, match="replaces 'handle'"):
        adopt.collect(REGISTRY)

    handler = REGISTRY.handler_for("q")
    assert handler is not None
    assert handler.function({}) == 3


def test_a_handler_that_cannot_be_one_is_told_each_time(install: Install) -> None:
    install()
    theirs().task(lambda: None)

    for _ in range(2):
        with pytest.raises(HandlerError, match="a handler takes"):
            adopt.collect(REGISTRY)


def test_without_an_sdk_there_is_nothing_to_collect() -> None:
    adopt.collect(REGISTRY)

    assert not REGISTRY.has_plain_handler()
