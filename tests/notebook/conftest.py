"""Kernels for tests: one that they share, and as many of their own as they like."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis as redis_py

from runqy_notebook.broker import embedded
from tests.notebook.kernels import Kernel, running_kernel
from tests.servers import RunningServer

_CLEAN_UP = """
%unload_ext runqy_notebook
from runqy_notebook.tasks import REGISTRY
REGISTRY.clear()
get_ipython().config.pop("Runqy", None)  # IPython keeps what %config was told
_oh.clear()
for _name in set(globals()) - names_kept:
    del globals()[_name]
"""


@pytest.fixture(scope="session")
def shared_kernel(
    server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kernel]:
    """A kernel set to the shared server, nothing loaded. Its clean-up is ours as %reset takes
    0.1 s a test.
    """
    with running_kernel(tmp_path_factory.mktemp("kernel"), RUNQY_REDIS_URL=server.url) as kernel:
        kernel.run("names_kept = {'names_kept', *globals()}")
        yield kernel


@pytest.fixture
def kernel(shared_kernel: Kernel, redis: redis_py.Redis) -> Iterator[Kernel]:
    """The shared kernel, the extension freshly loaded, the server empty, no name defined."""
    shared_kernel.run("%load_ext runqy_notebook")
    yield shared_kernel
    shared_kernel.run(_CLEAN_UP)


@pytest.fixture
def patient_kernel(kernel: Kernel) -> Iterator[Kernel]:
    """The same, where Tab waits for Redis as long as it takes."""
    kernel.run(
        "from runqy_notebook.magics import complete\n"
        "patience, complete.PATIENCE = complete.PATIENCE, 20.0"
    )
    yield kernel
    kernel.run("complete.PATIENCE = patience")


@pytest.fixture
def start_kernel(tmp_path: Path) -> Iterator[Callable[..., Kernel]]:
    """Starts kernels of the test's own, with these environment variables beside the tests'."""
    with ExitStack() as running:
        yield lambda **environment: running.enter_context(running_kernel(tmp_path, **environment))


@pytest.fixture
def start_embedded(
    start_kernel: Callable[..., Kernel], tmp_path: Path
) -> Iterator[Callable[[], Kernel]]:
    """Starts kernels that share an embedded server of the test's own."""
    yield lambda: start_kernel(RUNQY_EMBEDDED="1", RUNQY_EMBEDDED_TTL="60")
    embedded.stop(tmp_path / "state")
