"""What `make coverage` needs so that processes started by the tests are measured too."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def measure_children() -> None:
    """Under `coverage run`, lets this process start others by the Python beside this file."""
    if "COVERAGE_RUN" in os.environ:
        os.environ.setdefault("MEASURED_PYTHON", sys.executable)
        sys.executable = str(Path(__file__).parent / "python")
