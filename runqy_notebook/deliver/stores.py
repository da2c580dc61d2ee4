"""Stores of objects, S3 and Google Cloud Storage, through fsspec: an object is there complete or
not at all, one attempt is one attempt, and addresses can be signed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

from runqy_notebook.errors import DestinationError

for _name in ("s3fs", "gcsfs"):  # we tell what went wrong; without this Python prints it, too
    logging.getLogger(_name).addHandler(logging.NullHandler())

_BOUNDARY = b"--==0=="  # what gcsfs puts between the parts of a request, whatever they hold
_AT_ONCE = 4 * 2**20  # bytes that go to GCS in one request


class Store(Protocol):
    """A place is `bucket/key`. Methods raise errors of many libraries."""

    def put(self, place: str, content: bytes | Path, kind: str, seconds: float) -> None:
        """Writes an object of a content type."""

    def signed(self, place: str, expires: int, seconds: float) -> str:
        """An address that is good for `expires` seconds from now; raises where none can be made."""

    def plain(self, place: str) -> str:
        """Its address without a signature."""


class S3:
    """Amazon's, and others that speak its language."""

    def __init__(self, query: Mapping[str, str], seconds: float) -> None:
        import fsspec

        wait = max(1.0, seconds / 3)
        client = {"region_name": query.get("region"), "endpoint_url": query.get("endpoint_url")}
        login = {
            name: query[name] for name in ("key", "secret", "token", "profile") if name in query
        }
        self._endpoint = query.get("endpoint_url", "")
        self._files = fsspec.filesystem(
            "s3",
            client_kwargs={name: value for name, value in client.items() if value},
            config_kwargs={
                "connect_timeout": wait,
                "read_timeout": wait,
                "retries": {"total_max_attempts": 1},
                "signature_version": "s3v4",  # of presigned URLs; newer regions take no other
            },
            skip_instance_cache=True,
            use_listings_cache=False,
            **login,
        )

    def put(self, place: str, content: bytes | Path, kind: str, seconds: float) -> None:
        from fsspec.asyn import sync

        files = self._files
        if isinstance(content, bytes):
            sync(files.loop, files._pipe_file, place, content, timeout=seconds, ContentType=kind)
        else:
            sync(
                files.loop, files._put_file, str(content), place, timeout=seconds, ContentType=kind
            )

    def signed(self, place: str, expires: int, seconds: float) -> str:
        from fsspec.asyn import sync

        return str(sync(self._files.loop, self._files._url, place, expires, timeout=seconds))

    def plain(self, place: str) -> str:
        if self._endpoint:
            return f"{self._endpoint.rstrip('/')}/{quote(place)}"
        bucket, _, key = place.partition("/")
        return f"https://{bucket}.s3.amazonaws.com/{quote(key)}"


class GCS:
    """Google's."""

    def __init__(self, query: Mapping[str, str], seconds: float) -> None:
        from gcsfs.core import GCSFileSystem  # what gcsfs gives by itself asks over gRPC first

        token = query.get("token", "google_default")  # else gcsfs tries four ways, for 16 s
        if ("/" in token or token.endswith(".json")) and not Path(token).is_file():
            raise DestinationError("the key file that its ?token= names is not there")
        self._endpoint = query.get("endpoint_url", "https://storage.googleapis.com")
        self._files = _once(GCSFileSystem)(
            skip_instance_cache=True,
            use_listings_cache=False,
            consistency="md5",
            token=token,
            **{name: query[name] for name in ("endpoint_url", "project") if name in query},
        )

    def put(self, place: str, content: bytes | Path, kind: str, seconds: float) -> None:
        from fsspec.asyn import sync

        files = self._files
        files.credentials.maybe_refresh()  # here, since it blocks: others share gcsfs's loop
        if isinstance(content, Path) and content.stat().st_size <= _AT_ONCE:
            content = content.read_bytes()
        told = {"timeout": seconds, "content_type": kind}
        if isinstance(content, Path):
            sync(files.loop, files._put_file, str(content), place, **told)
            return
        if _BOUNDARY in content:  # such a content must not be a part of anything
            told["chunksize"] = len(content)
        sync(files.loop, files._pipe_file, place, content, **told)

    def signed(self, place: str, expires: int, seconds: float) -> str:
        from google.auth.credentials import Signing

        credentials = self._files.credentials.credentials
        if not isinstance(credentials, Signing):  # else Google's library looks for others
            raise DestinationError("only a service account signs addresses")
        return str(self._files.sign(place, expiration=expires, version="v4"))

    def plain(self, place: str) -> str:
        return f"{self._endpoint.rstrip('/')}/{quote(place)}"


STORES: Final[Mapping[str, Callable[[Mapping[str, str], float], Store]]] = {"s3": S3, "gs": GCS}


def _once(kind: Any) -> Any:
    """A gcsfs that asks once: the outbox tries again, and tells of each attempt what went wrong."""

    class Once(kind):  # type: ignore[misc]
        _request = getattr(kind._request, "__wrapped__", kind._request)

    return Once
