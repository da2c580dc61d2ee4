"""The URLs of sinks: taken apart, and shown without what is secret in them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode

from runqy_notebook.errors import DestinationError, did_you_mean, one_line

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://(.*)", re.IGNORECASE | re.DOTALL)
_LONGEST = 4_096
_HARMLESS: Final = frozenset(
    {
        *("table", "create", "statement", "routing_key", "vhost", "declare", "expires"),
        *("region", "endpoint_url", "project", "profile", "charset", "sslmode", "ssl_mode"),
    }
)
"""Parts of a query that are no secrets, and tell destinations apart."""


@dataclass(frozen=True, slots=True)
class SinkURL:
    """A URL taken apart: `rest` stands between scheme and query. It prints no secret."""

    scheme: str
    rest: str = field(repr=False)
    query: Mapping[str, str] = field(repr=False)

    @classmethod
    def of(cls, url: str) -> SinkURL:
        """Raises DestinationError, which quotes no secret."""
        found = _URL.fullmatch(url)
        if not found or len(url) > _LONGEST or not url.isprintable():
            raise DestinationError(
                f"{shown(url)!r} is no URL such as 's3://bucket/results/{{task_id}}.json'"
            )
        head, _, query = found[2].partition("?")
        return cls(found[1].lower(), head, dict(parse_qsl(query, keep_blank_values=True)))

    @property
    def kind(self) -> str:
        """The scheme without its driver: postgresql of postgresql+psycopg."""
        return self.scheme.partition("+")[0]

    @property
    def password(self) -> str:
        """As it stands in the URL, or nothing."""
        login = self.rest.rpartition("@")[0]
        return login.partition(":")[2]

    def without(self, *names: str) -> str:
        """The URL but for these parts of its query."""
        kept = {name: value for name, value in self.query.items() if name not in names}
        query = f"?{urlencode(kept)}" if kept else ""
        return f"{self.scheme}://{self.rest}{query}"

    def check_query(self, known: tuple[str, ...]) -> None:
        """Raises DestinationError for a part of the query that nobody knows."""
        for name in self.query:
            if name not in known:
                raise DestinationError(
                    f"a {self.scheme}:// URL has no {one_line(name, 40)!r}; after its ? stand "
                    f"{', '.join(known)}.{did_you_mean(name, known)}".rstrip(".")
                )

    def internal_name(self) -> str:
        """A name for the place that the URL says: the same in every process, and nothing secret can
        be guessed from it, for the password and what may be one are not in it.
        """
        login, _, place = self.rest.rpartition("@")
        told = sorted((k, v) for k, v in self.query.items() if k in _HARMLESS)
        text = repr((self.scheme, login.partition(":")[0], place, told))
        mark = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12]
        return f"{re.sub('[^a-z0-9]', '', self.kind)}-{mark}"

    def scrubbed(self, text: object, limit: int = 200) -> str:
        """A line of somebody's error without the secrets of this URL."""
        line = " ".join(str(text).split())
        secrets = [v for k, v in self.query.items() if k not in _HARMLESS and len(v) > 3]
        secrets += [self.password] if self.password else []
        for secret in secrets:
            for form in {secret, unquote(secret), quote(secret, safe="")}:
                line = line.replace(form, "…")
        line = re.sub(r"([a-z][a-z0-9+.-]*://)[^\s@/]*:[^\s@]*@", r"\1…@", line, flags=re.I)
        return one_line(line, limit)


def shown(url: object) -> str:
    """A sink's URL as it may be shown: without user, password and query."""
    text = one_line(url, _LONGEST)
    text = re.sub(r"^([a-z][a-z0-9+.-]*://).*@", r"\1…@", text, flags=re.IGNORECASE)
    return one_line(re.sub(r"\?.*", "?…", text), 120)
