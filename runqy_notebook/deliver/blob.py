"""Blob storage as a sink: a result becomes a file, or an object, that is there complete or not at
all.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from runqy_notebook.deliver import forms
from runqy_notebook.deliver.keys import checked_template, filled, is_place_of
from runqy_notebook.deliver.sink import Attempt, Content, Delivered, Failed, Limits, Message
from runqy_notebook.deliver.spool import sync_folder, write_private
from runqy_notebook.deliver.stores import STORES, Store
from runqy_notebook.deliver.urls import SinkURL, shown
from runqy_notebook.errors import DestinationError, one_line

_QUERIES = {
    "s3": ("expires", "endpoint_url", "region", "profile", "key", "secret", "token"),
    "gs": ("expires", "endpoint_url", "project", "token"),
    "file": (),
    "memory": (),
}
_EXPIRES = 86_400  # seconds
_LONGEST_EXPIRY = 7 * 86_400  # what S3 and GCS allow
_SLOWEST = 250_000.0  # bytes a second for which an attempt gets more time


class Blob:
    """`s3://bucket/results/{task_id}.png`, and the same with `gs://`, `file:///folder` and
    `memory://`. Its address, `result_url`, is a presigned one for S3 and GCS, good for `?expires=`
    seconds from when it is sent (a day; 0: an address without signature).
    """

    largest = 2**40

    def __init__(self, url: str) -> None:
        self._parts = parts = SinkURL.of(url)
        parts.check_query(_QUERIES[parts.scheme])
        template = unquote(parts.rest) if parts.scheme == "file" else parts.rest
        if "@" in parts.rest.partition("/")[0]:
            raise DestinationError(f"{shown(url)} must not hold user and password")
        self._template = checked_template(template, shown(url))
        if parts.scheme == "file" and not template.startswith("/"):
            raise DestinationError(f"{shown(url)} must be absolute, such as file:///data/x.json")
        bucket, _, key = template.partition("/")
        if parts.scheme in ("s3", "gs") and (not key or not bucket or "{" in bucket):
            raise DestinationError(f"{shown(url)} must name a bucket and a key")
        self.suffix = os.path.splitext(template.rpartition("/")[2])[1]
        self._expires = _expiry(parts.query.get("expires"))
        self._lock = threading.Lock()
        self._opened: Store | None = None

    def __str__(self) -> str:
        return shown(f"{self._parts.scheme}://{self._parts.rest}")

    def __repr__(self) -> str:
        return f"<Blob {self}>"

    def deliver(self, message: Message, limits: Limits) -> Attempt:
        began = time.monotonic()
        try:
            told = message.told() if not message.content else _head(message)
            place = filled(self._template, told, message.id)
            try:
                content, form = _content(message, told, self.suffix)
            except DestinationError as error:
                return Failed(error.problem, time.monotonic() - began, is_final=True)
            seconds = limits.deadline + _size(content) / _SLOWEST
            result_url = self._put(place, content, form, seconds, message.id)
        except Exception as error:  # noqa: BLE001 - stores raise errors of many libraries
            why = self._parts.scrubbed(_described(error, limits.deadline))
            return Failed(why, time.monotonic() - began)
        where = place if self._parts.scheme in STORES else ""
        return Delivered(None, time.monotonic() - began, result_url, where)

    def close(self) -> None:
        self._opened = None

    def address(self, place: str, seconds: float) -> str:
        """The address of what lies at a place of this destination (see `Delivered.place`), signed
        now; raises DestinationError for a place that is none, and what stores raise.
        """
        if not is_place_of(self._template, place):
            raise DestinationError(f"nothing that is delivered to {self} lies there")
        store = self._store(seconds)
        return store.signed(place, self._expires, seconds) if self._expires else store.plain(place)

    # --- inside ---------------------------------------------------------------------------------

    def _put(self, place: str, content: bytes | Path, form: str, seconds: float, mark: str) -> str:
        """Writes it, and gives its address."""
        if self._parts.scheme == "file":
            _write_file(Path(place), _bytes(content), mark)
            return Path(place).as_uri()
        if self._parts.scheme == "memory":
            import fsspec

            fsspec.filesystem("memory").pipe_file(f"/{place}", _bytes(content))
            return f"memory://{place}"
        store = self._store(seconds)
        store.put(place, content, forms.content_type(form, self.suffix), seconds)
        try:
            return self.address(place, seconds)
        except Exception:  # noqa: BLE001 - without a key of its own nobody can sign (GCS)
            return store.plain(place)

    def _store(self, seconds: float) -> Store:
        """The store, opened once."""
        with self._lock:
            if self._opened is None:
                self._opened = STORES[self._parts.scheme](self._parts.query, seconds)
            return self._opened


def _content(message: Message, told: dict[str, Any], suffix: str) -> tuple[bytes | Path, str]:
    """What the file is to hold, and its form."""
    if isinstance(message.content, Content):
        return message.content.path, message.content.form
    value = told.get("result")
    form = forms.form_of(value, suffix)
    forms.check(value, form, suffix)
    if form == forms.JSON:
        return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"), form
    return forms.encoded(value, form, suffix), form


def _head(message: Message) -> dict[str, Any]:
    """What is told of a task whose result lies in a file."""
    return Message(message.id, message.task_id, message.body, message.status).told()


def _bytes(content: bytes | Path) -> bytes:
    return content if isinstance(content, bytes) else content.read_bytes()


def _size(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _write_file(path: Path, content: bytes, mark: str) -> None:
    """All of it or nothing, and safe from a loss of power. `mark` is the delivery's, whose earlier
    attempts may have left drafts behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{mark}-{secrets.token_hex(4)}.part")
    try:
        write_private(draft, content, mode=0o666)  # the umask decides
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    sync_folder(path.parent)
    for left in path.parent.glob(f".{mark}-*.part"):
        left.unlink(missing_ok=True)


def _expiry(text: str | None) -> int:
    if text is None:
        return _EXPIRES
    if not text.isascii() or not text.isdigit() or int(text[:9]) > _LONGEST_EXPIRY:
        raise DestinationError(f"expires is a number of seconds up to {_LONGEST_EXPIRY}")
    return int(text)


def _described(error: BaseException, deadline: float) -> str:
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return f"no answer within {deadline:g} s"
    if isinstance(error, DestinationError):
        return error.problem
    return f"{type(error).__name__}: {one_line(error, 400)}"
