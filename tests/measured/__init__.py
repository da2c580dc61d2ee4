"""What `make coverage` needs so that processes started by the tests are measured too."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def is_measuring() -> bool:
    """Whether this is a `coverage run`."""
    return "COVERAGE_RUN" in os.environ


def measure_children() -> None:
    """Lets this process, if it is measured, start others by the Python beside this file."""
    if is_measuring():
        os.environ.setdefault("MEASURED_PYTHON", sys.executable)
        sys.executable = str(Path(__file__).parent / "python")
