"""The place of a result in a blob store: a template with fields such as {task_id}, whose values
cannot lead out of it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from runqy_notebook.errors import DestinationError, did_you_mean, one_line

FIELDS: Final = ("task_id", "queue", "status", "attempt", "date", "hour", "delivery_id")
_FIELD = re.compile(r"\{([^{}]*)\}")
_LONGEST = 120  # characters of a field's value; a name in a folder has 255 bytes at most


def checked_template(template: str, what: str) -> str:
    """A template as given; raises DestinationError for one that is none. `what` is the URL as it
    may be shown.
    """
    for name in _FIELD.findall(template):
        if name not in FIELDS:
            raise DestinationError(
                f"{what} has no field {one_line(name, 40)!r}; there are "
                f"{', '.join(f'{{{field}}}' for field in FIELDS)}."
                f"{did_you_mean(name, FIELDS)}".rstrip(".")
            )
    bare = _FIELD.sub("x", template)
    if "{" in bare or "}" in bare:
        raise DestinationError(f"{what} has a brace without its other half")
    if ".." in bare.split("/") or "\\" in bare:
        raise DestinationError(f"{what} must name a place without .. and backslash")
    if bare.endswith("/") or not bare:
        raise DestinationError(f"{what} must name a file, such as .../{{task_id}}.json")
    return template


def filled(template: str, told: Mapping[str, Any], delivery_id: str) -> str:
    """The place for what is told of a task."""
    moment = str(told.get("completed_at", ""))
    values = {
        **{name: told.get(name, "") for name in ("task_id", "queue", "status", "attempt")},
        "date": moment[:10],
        "hour": moment[11:13],
        "delivery_id": delivery_id,
    }
    return _FIELD.sub(lambda found: safe(str(values[found[1]])), template)


def is_place_of(template: str, place: str) -> bool:
    """Whether `filled` may have made this place of that template."""
    parts = re.split(_FIELD, template)[::2]
    pattern = f"[A-Za-z0-9_.%-]{{1,{_LONGEST}}}".join(map(re.escape, parts))
    return re.fullmatch(pattern, place) is not None and ".." not in place.split("/")


def safe(value: str) -> str:
    """The value as a part of one name: letters, digits, - _ . and percent codes; a long one is cut,
    and told apart by a hash.
    """
    text = quote(value, safe="").replace("~", "%7E")
    if not text.strip("."):
        text = text.replace(".", "%2E") or "_"
    if len(text) > _LONGEST:
        mark = hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()[:16]
        text = f"{text[: _LONGEST - 17]}-{mark}"
    return text
