"""Which sink serves which scheme. Others add theirs by an entry point in the group
`runqy_notebook.sinks`: its name is the scheme, and it names what makes a `Sink` of a URL (and the
options of `session.destination`).
"""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final, cast

from runqy_notebook.deliver.sink import Sink
from runqy_notebook.deliver.urls import SinkURL
from runqy_notebook.errors import DestinationError, did_you_mean, one_line

GROUP: Final = "runqy_notebook.sinks"

_DELIVER = "runqy_notebook.deliver."
_BLOB, _TABLE, _EXCHANGE = (
    _DELIVER + place for place in ("blob:Blob", "table:Table", "exchange:Exchange")
)
_OURS: Final[dict[str, tuple[str, tuple[str, ...], str]]] = {
    "file": (_BLOB, (), ""),
    "memory": (_BLOB, ("fsspec",), ""),
    "s3": (_BLOB, ("s3fs",), "s3"),
    "gs": (_BLOB, ("gcsfs",), "gcs"),
    "postgresql": (_TABLE, ("sqlalchemy",), "postgres"),
    "postgres": (_TABLE, ("sqlalchemy",), "postgres"),
    "mysql": (_TABLE, ("sqlalchemy",), "mysql"),
    "mariadb": (_TABLE, ("sqlalchemy",), "mysql"),
    "sqlite": (_TABLE, ("sqlalchemy",), "sql"),
    "amqp": (_EXCHANGE, ("pika",), "amqp"),
    "amqps": (_EXCHANGE, ("pika",), "amqp"),
}
"""Of each scheme of ours: what makes the sink, the modules it needs, and the extra with them."""


def open_sink(url: str, **options: Any) -> Sink:
    """The sink that a URL names; nothing is connected yet. Raises DestinationError, one line, for a
    scheme that nobody serves, a missing package and a URL that the sink cannot use.
    """
    parts = SinkURL.of(url)
    make = _maker(parts)
    try:
        return make(url, **options)
    except TypeError:
        names = ", ".join(options)
        if not options:
            raise
        raise DestinationError(f"a {parts.kind}:// destination takes no {names}") from None


def schemes() -> list[str]:
    """The schemes that something serves, http and https among them."""
    return sorted({"http", "https", *_OURS, *(each.name for each in _others())})


def needed(module: str, extra: str, what: str) -> DestinationError:
    """What is said where a package is missing."""
    return DestinationError(
        f"{what} needs the package {module}, which is not installed: "
        f"pip install 'runqy-notebook[{extra}]'"
    )


def _maker(parts: SinkURL) -> Callable[..., Sink]:
    if parts.kind in _OURS:
        place, modules, extra = _OURS[parts.kind]
        for module in modules:
            if find_spec(module) is None:
                raise needed(module, extra, f"{parts.kind}://")
        module, _, name = place.partition(":")
        return cast("Callable[..., Sink]", getattr(importlib.import_module(module), name))
    for other in _others():
        if other.name == parts.kind:
            return cast("Callable[..., Sink]", other.load())
    known = schemes()
    raise DestinationError(
        f"nothing here delivers to {one_line(parts.scheme, 40)}:// (but to {', '.join(known)})."
        f"{did_you_mean(parts.kind, known)}".rstrip(".")
    )


def _others() -> list[importlib.metadata.EntryPoint]:
    return [each for each in importlib.metadata.entry_points(group=GROUP) if each.name not in _OURS]
