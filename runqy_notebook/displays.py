"""What a handler displays goes to its own task: IPython's display, and its `%%capture`.

IPython offers hooks for what one thread displays (`display_pub.register_hook`); a handler may use
several threads, so here the publisher itself asks whose the display is.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

from IPython.utils.capture import capture_output

from runqy_notebook.running import reporting_task
from runqy_notebook.worker.capture import CAPTURE


class Displays:
    """Stands between handlers and what a shell shows, from `start` to `stop`."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._undo: list[Callable[[], None]] = []

    def start(self) -> None:
        self._undo.append(_divert(self._shell.display_pub))
        enter, leave = capture_output.__enter__, capture_output.__exit__

        def entered(capturing: Any) -> Any:
            """`%%capture` puts plain streams in the place of sys.stdout: ours go over them."""
            captured = enter(capturing)
            if CAPTURE.is_on:
                for name in ("stdout", "stderr"):
                    if getattr(capturing, name):
                        setattr(sys, name, CAPTURE.over(name, getattr(sys, name)))
            if capturing.display and self._shell is capturing.shell:
                _divert(self._shell.display_pub)
            return captured

        def left(capturing: Any, *error: Any) -> Any:
            """A worker may have been started or stopped meanwhile."""
            result = leave(capturing, *error)
            if CAPTURE.is_on:
                CAPTURE.cover()
            CAPTURE.take_back()
            return result

        capture_output.__enter__, capture_output.__exit__ = entered, left

        def restore() -> None:
            if capture_output.__enter__ is entered:
                capture_output.__enter__, capture_output.__exit__ = enter, leave

        self._undo.append(restore)

    def stop(self) -> None:
        """Undoes `start`."""
        while self._undo:
            self._undo.pop()()


def _divert(publisher: Any) -> Callable[[], None]:
    """Sends what handlers publish there to their tasks; gives what undoes it."""
    publish, clear_output = publisher.publish, publisher.clear_output

    def published(data: Any, *args: Any, **options: Any) -> None:
        task = reporting_task()
        if task is None or task.report is None:
            publish(data, *args, **options)
        else:
            display_id = (options.get("transient") or {}).get("display_id", "")
            task.report.show(as_text(data), str(display_id))

    def cleared(*args: Any, **options: Any) -> None:
        if reporting_task() is None:
            clear_output(*args, **options)

    publisher.publish, publisher.clear_output = published, cleared

    def undo() -> None:
        if vars(publisher).get("publish") is published:
            del publisher.publish, publisher.clear_output

    return undo


def as_text(bundle: Mapping[str, Any]) -> dict[str, str]:
    """A mime bundle as text: images as base64, everything else that is none as JSON."""
    return {kind: _as_text(value) for kind, value in bundle.items() if value is not None}


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # a page takes no half characters
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return json.dumps(value, default=str)
