"""Where `deliver.send` goes: through the session that was opened last and is still open."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

_outlets: list[weakref.WeakMethod[Callable[..., Any]]] = []


def opened(outlet: Callable[..., Any]) -> None:
    """A session is there; `outlet` is a method of it."""
    _outlets.append(weakref.WeakMethod(outlet))


def closed(outlet: Callable[..., Any]) -> None:
    """It is gone."""
    _outlets[:] = [each for each in _outlets if each() not in (outlet, None)]


def latest() -> Callable[..., Any] | None:
    """How to send; None where no session is open."""
    return next((outlet for each in reversed(_outlets) if (outlet := each())), None)
