"""What a receiver takes at most."""

from __future__ import annotations

import sys
from typing import Final

MAX_HEADER: Final = 16 * 1024
"""Bytes of a request's head."""

MAX_BODY: Final = 2**20
"""Bytes of one webhook."""

MAX_BODIES: Final = 16 * 2**20
"""Bytes of all bodies that are under way."""

REQUEST_SECONDS: Final = 10.0
"""From a connection's opening to the end of its request."""

MAX_CONNECTIONS: Final = 1_000

_LEFT_TO_THE_KERNEL = 256  # descriptors: sockets, files and libraries of the process we live in


def most_connections() -> int:
    """MAX_CONNECTIONS, or less in a process that may not have so many files open."""
    if sys.platform == "win32":
        return MAX_CONNECTIONS
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(64, min(MAX_CONNECTIONS, soft - _LEFT_TO_THE_KERNEL))
