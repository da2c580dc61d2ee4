"""The streams in the place of stdout and stderr, as they come and go under who prints."""

from __future__ import annotations

import io
import subprocess
import sys
import weakref

import pytest

from runqy_notebook.worker.capture import Capture

STOPPING = """
import io, sys
from runqy_notebook.worker.capture import CAPTURE

class Beneath(io.StringIO):
    def write(self, text):
        if text == "a line":
            CAPTURE.stop()
            self.others = [io.StringIO() for _ in range(3)]  # they take the memory that is free
        return super().write(text)

before, sys.stdout = sys.stdout, Beneath()
for _ in range(100):
    CAPTURE.start(tee=True)
    print("a line")
said, sys.stdout = sys.stdout.getvalue(), before
assert said == 100 * "a line\\n", said
"""


def test_a_stop_in_the_middle_of_a_print_harms_nothing() -> None:
    """In a process of its own: what went wrong here ended it."""
    subprocess.run([sys.executable, "-c", STOPPING], check=True)


def test_a_thread_keeps_no_more_than_the_stream_that_it_wrote_to_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams = []
    for _ in range(3):
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        capture = Capture()
        capture.start(tee=True)
        streams.append(weakref.ref(sys.stdout))
        print("a line")
        capture.stop()

    assert [stream() is None for stream in streams] == [True, True, False]
