"""One browser and one JupyterLab for all tests here; without Chromium they are skipped, in CI they
fail.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis as redis_py

from tests.servers import RunningServer

if TYPE_CHECKING:
    from tests.browser.lab import Lab, Notebook


@pytest.fixture(scope="session")
def lab(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A JupyterLab whose kernels are set to the shared server."""
    missing = _missing()
    if missing and "CI" in os.environ:
        pytest.fail(missing)
    if missing:
        pytest.skip(missing)
    from playwright.sync_api import expect, sync_playwright

    from tests.browser.lab import CHROMIUM, PATIENCE, running_lab

    expect.set_options(timeout=PATIENCE)
    folder = tmp_path_factory.mktemp("lab")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        with running_lab(folder, browser, RUNQY_REDIS_URL=server.url) as running:
            yield running
        browser.close()


@pytest.fixture
def open_notebook(lab: Lab, redis: redis_py.Redis) -> Iterator[Callable[..., Notebook]]:
    """Opens notebooks, the server empty; they are closed at the end of the test."""
    with ExitStack() as opened:

        def open_one(name: str, cells: list[str]) -> Notebook:
            notebook = lab.open(name, cells)
            opened.callback(notebook.close)
            return notebook

        yield open_one


def _missing() -> str:
    """What these tests lack here; empty: nothing."""
    from importlib.util import find_spec

    modules = [name for name in ("playwright", "jupyterlab") if find_spec(name) is None]
    if modules:
        return f"{' and '.join(modules)} not installed"
    return "" if Path("/usr/bin/chromium").exists() else "no /usr/bin/chromium"
