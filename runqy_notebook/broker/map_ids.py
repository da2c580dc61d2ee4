"""How the ids of a map's tasks begin: the same for whoever maps the same, until told otherwise.

What is kept is made up at random, so that results of an earlier beginning are never taken for those
of a later one, even when this key expired between the two.
"""

from __future__ import annotations

import secrets

import redis

from runqy_notebook.wire.layout import DOCUMENTED, Layout, to_text


def beginning(
    client: redis.Redis, digest: str, seconds: float, *, fresh: bool, layout: Layout = DOCUMENTED
) -> str:
    """The one of the map with this digest, a new one where there is none or a `fresh` one is asked
    for. It is kept for so many more seconds, or longer where it was to be.
    """
    key, life = layout.map(digest), int(seconds * 1000)
    pipe = client.pipeline()
    pipe.pttl(key)
    pipe.set(key, secrets.token_hex(6), nx=not fresh, px=life)
    pipe.get(key)
    left, _, found = pipe.execute()
    if fresh and left > life:
        client.pexpire(key, left)
    elif not fresh and 0 <= left < life:
        client.pexpire(key, life)
    return to_text(found)
