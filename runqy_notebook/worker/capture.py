"""What a handler prints goes to its own task: stdout and stderr that know who is printing.

A stream of ours stands in the place of `sys.stdout` and `sys.stderr` while a worker runs. A
handler's text goes to its report; everybody else's to the stream that was there before.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, cast

from runqy_notebook.running import CURRENT, Report
from runqy_notebook.worker import bars, figures, inherit

_NAMES = ("stdout", "stderr")

_WRITTEN_TO = threading.local()
"""Keeps each thread's latest streams: what a stop on another thread takes away between a line and
its end would be freed under `print`, which has borrowed it (python/cpython#130163).
"""


class Stream(io.TextIOBase):
    """Writes to the report of the handler that prints, else to the stream `beneath`, whose
    attributes it has. With `tee` a handler's text goes to both.
    """

    def __init__(self, name: str, beneath: TextIO, *, tee: bool) -> None:
        self.name_of_stream = name
        self.beneath = beneath
        self.tee = tee
        self._other: Any = None

    @property
    def write(self) -> Any:
        """A property because IPython 9 puts its own function here for the time of a cell, calls
        what was here before from it, and puts that back at the end: then a handler's text must
        not pass through its function, and nobody's must come round in a circle.
        """
        setattr(_WRITTEN_TO, self.name_of_stream, self)
        return _Write(self, self._other)

    @write.setter
    def write(self, function: Any) -> None:
        self._other = function.other if isinstance(function, _Write) else function

    def writelines(self, lines: Iterable[Any]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        if _report() is None or self.tee:
            self.beneath.flush()

    def isatty(self) -> bool:
        return _report() is None and self.beneath.isatty()

    def fileno(self) -> int:
        return self.beneath.fileno()

    def close(self) -> None:
        """Whoever closes sys.stdout does not mean everybody's."""

    @property
    def closed(self) -> bool:
        return self.beneath.closed

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.beneath.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self.beneath.errors

    @property
    def newlines(self) -> Any:  # type: ignore[override]
        return self.beneath.newlines

    def __getattr__(self, name: str) -> Any:
        return getattr(self.beneath, name)

    def __repr__(self) -> str:
        return f"<{self.name_of_stream} of handlers, else {self.beneath!r}>"


class _Write:
    """`write` of a stream at one moment. `other` is who else stood in the method's place."""

    __slots__ = ("_stream", "other")

    def __init__(self, stream: Stream, other: Any) -> None:
        self._stream = stream
        self.other = other

    def __call__(self, text: str, *rest: Any, **options: Any) -> int:
        stream = self._stream
        report = _report()
        if report is not None:
            if not isinstance(text, str):
                raise TypeError(f"write() argument must be str, not {type(text).__name__}")
            report.write(stream.name_of_stream, text)
            if not stream.tee:
                return len(text)
        write = self.other or stream.beneath.write
        return cast(int, write(text, *rest, **options))


def _report() -> Report | None:
    task = CURRENT.get()
    return task.report if task is not None else None


class Capture:
    """Puts the streams in their place while somebody wants them there, and takes them away."""

    def __init__(self) -> None:
        self._users = 0
        self._tee = False
        self._streams: list[Stream] = []
        self._lock = threading.Lock()

    @property
    def is_on(self) -> bool:
        return self._users > 0

    def start(self, *, tee: bool) -> None:
        """From now on handlers' text goes to their reports; to where it went before too with
        `tee`. As often as this is called, so often must be `stop`.
        """
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._tee = tee
                self.cover()
                inherit.start()
                bars.start()
                figures.start()

    def stop(self) -> None:
        """Takes the streams away. Where somebody put another one over ours, theirs stays, and ours
        passes everything on.
        """
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for stream in self._streams:
                    _rebind(stream, stream.beneath)
                self._streams = []
                self.take_back()
                inherit.stop()
                bars.stop()
                figures.stop()

    def over(self, name: str, beneath: TextIO) -> Stream:
        """A stream over another one that somebody put in the place of stdout or stderr."""
        return beneath if isinstance(beneath, Stream) else Stream(name, beneath, tee=self._tee)

    def cover(self) -> None:
        """Puts our streams over what stands for stdout and stderr now."""
        for name in _NAMES:
            beneath = getattr(sys, name)
            if beneath is None or isinstance(beneath, Stream):  # None: there is no console
                continue
            known = (stream for stream in self._streams if stream.beneath is beneath)
            stream = next(known, None) or self.over(name, beneath)
            setattr(sys, name, stream)
            _rebind(beneath, stream)
            if stream not in self._streams:
                self._streams.append(stream)

    def take_back(self) -> None:
        """Takes any of our streams away, for the time after `stop`."""
        for name in _NAMES:
            stream = getattr(sys, name)
            if not self.is_on and isinstance(stream, Stream):
                setattr(sys, name, stream.beneath)


CAPTURE = Capture()
"""The one of this process."""


def _rebind(before: object, after: Any) -> None:
    """Has the logging handlers that write to one stream write to the other."""
    for handler in _logging_handlers():
        if isinstance(handler, logging.StreamHandler) and handler.stream is before:
            handler.setStream(after)


def _logging_handlers() -> Iterator[logging.Handler]:
    manager = logging.Logger.manager
    loggers = [logging.root, *list(manager.loggerDict.values())]
    for logger in loggers:
        yield from list(getattr(logger, "handlers", ()))
