"""Blob storage as a sink: a result becomes a file, or an object, that is there complete or not at
all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from runqy_notebook.deliver import forms
from runqy_notebook.deliver.keys import checked_template, filled
from runqy_notebook.deliver.sink import Attempt, Content, Delivered, Failed, Limits, Message
from runqy_notebook.deliver.spool import sync_folder, write_private
from runqy_notebook.deliver.urls import SinkURL, shown
from runqy_notebook.errors import DestinationError, one_line

for _name in ("s3fs", "gcsfs"):  # we tell what went wrong; without this Python prints it, too
    logging.getLogger(_name).addHandler(logging.NullHandler())

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
    seconds (a day; 0: an address without signature).
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
        self._opened: Any = None

    def __str__(self) -> str:
        return shown(f"{self._parts.scheme}://{self._parts.rest}")

    def __repr__(self) -> str:
        return f"<Blob {self}>"

    def deliver(self, message: Message, limits: Limits) -> Attempt:
        began = time.monotonic()
        try:
            told = message.told() if not message.content else _head(message)
            place = filled(self._template, told, message.id)
            content, form = _content(message, told, self.suffix)
            seconds = limits.deadline + _size(content) / _SLOWEST
            result_url = self._put(place, content, form, seconds, message.id)
        except Exception as error:  # noqa: BLE001 - stores raise errors of many libraries
            why = self._parts.scrubbed(_described(error, limits.deadline))
            return Failed(why, time.monotonic() - began)
        return Delivered(None, time.monotonic() - began, result_url)

    def close(self) -> None:
        self._opened = None

    # --- inside ---------------------------------------------------------------------------------

    def _put(self, place: str, content: bytes | Path, form: str, seconds: float, mark: str) -> str:
        """Writes it, and gives its address."""
        scheme = self._parts.scheme
        if scheme == "file":
            _write_file(Path(place), _bytes(content), mark)
            return Path(place).as_uri()
        files = self._files(seconds)
        if scheme == "memory":
            files.pipe_file(f"/{place}", _bytes(content))
            return f"memory://{place}"
        from fsspec.asyn import sync

        kind = forms.content_type(form, self.suffix)
        if isinstance(content, bytes):
            told = {"ContentType": kind} if scheme == "s3" else {"content_type": kind}
            sync(files.loop, files._pipe_file, place, content, timeout=seconds, **told)
        else:
            told = {"ContentType": kind} if scheme == "s3" else {"content_type": kind}
            sync(files.loop, files._put_file, str(content), place, timeout=seconds, **told)
        return self._address(files, place)

    def _address(self, files: Any, place: str) -> str:
        """Where it can be had from: presigned, where that can be."""
        bucket, _, key = place.partition("/")
        is_s3 = self._parts.scheme == "s3"
        plain = (
            f"https://{bucket}.s3.amazonaws.com/{quote(key)}"
            if is_s3
            else f"https://storage.googleapis.com/{bucket}/{quote(key)}"
        )
        if endpoint := self._parts.query.get("endpoint_url"):
            plain = f"{endpoint.rstrip('/')}/{bucket}/{quote(key)}"
        if not self._expires:
            return plain
        try:
            return str(files.sign(place, expiration=self._expires))
        except Exception:  # noqa: BLE001 - without a key of its own nobody can sign (GCS)
            return plain

    def _files(self, seconds: float) -> Any:
        """The store, opened once."""
        with self._lock:
            if self._opened is None:
                self._opened = _open(self._parts, seconds)
            return self._opened


def _open(parts: SinkURL, seconds: float) -> Any:
    import fsspec

    query = parts.query
    if parts.scheme == "memory":
        return fsspec.filesystem("memory")
    if parts.scheme == "s3":
        wait = max(1.0, seconds / 3)
        retries = {"total_max_attempts": 1}
        client = {"region_name": query.get("region"), "endpoint_url": query.get("endpoint_url")}
        login = {
            name: query[name] for name in ("key", "secret", "token", "profile") if name in query
        }
        return fsspec.filesystem(
            "s3",
            client_kwargs={name: value for name, value in client.items() if value},
            config_kwargs={
                "connect_timeout": wait,
                "read_timeout": wait,
                "retries": retries,
                "signature_version": "s3v4",  # of presigned URLs; newer regions take no other
            },
            skip_instance_cache=True,
            use_listings_cache=False,
            **login,
        )
    told = {name: query[name] for name in ("endpoint_url", "project", "token") if name in query}
    from gcsfs.core import GCSFileSystem  # the one that gcsfs gives by itself asks over gRPC first

    return GCSFileSystem(skip_instance_cache=True, use_listings_cache=False, **told)


def _content(message: Message, told: dict[str, Any], suffix: str) -> tuple[bytes | Path, str]:
    """What the file is to hold, and its form."""
    if isinstance(message.content, Content):
        return message.content.path, message.content.form
    value = told.get("result")
    form = forms.form_of(value, suffix)
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
