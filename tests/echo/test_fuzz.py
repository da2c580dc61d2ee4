"""Ten thousand requests of every kind of nonsense: nothing breaks, nothing is logged."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections import Counter
from contextlib import suppress

import pytest

from runqy_notebook.echo.webhooks import Webhooks
from tests.echo import fuzz
from tests.echo.senders import connected, post, said

_STATUS = re.compile(rb"^HTTP/1\.1 (\d+)", re.MULTILINE)

COUNT = 10_000
SEED = int(os.environ.get("RUNQY_FUZZ_SEED", "5"))


def test_nonsense_is_refused_without_an_error_of_ours(
    webhooks: Webhooks, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    answers: Counter[str] = Counter()

    for request in fuzz.requests(url, COUNT, SEED):
        with connected(url) as connection:
            with suppress(OSError):  # it may have refused, and closed, already
                connection.sendall(request)
                connection.shutdown(socket.SHUT_WR)
            answers.update(_STATUS.findall(said(connection)))

    assert caplog.records == []
    assert not [status for status in answers if status.startswith(b"5")], answers
    # It was more than the front door that was tried.
    assert answers.keys() >= {b"204", *b"400 401 403 404 405 413 415".split()}, answers
    assert webhooks.receipts.arrived >= answers[b"204"] > 100  # some leave without their answer
    assert post(url, {}).status == 204
