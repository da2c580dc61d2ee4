"""The relay's addresses behind a Jupyter server's base URL, and who may use them."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado.template import Template
from tornado.web import HTTPError, authenticated

from runqy_notebook.echo import directory
from runqy_notebook.echo.intake import Intake
from runqy_notebook.echo.screening import RefusedError
from runqy_notebook.echo.surroundings import HOOKS
from runqy_notebook.relay.passing import MOST, Passer


class RelayHandler(Intake):
    """A webhook for the kernel whose token is in its path.

    Senders have no account here: the token says which kernel, the signature, which the receiver
    there insists on, who sends. So neither login nor XSRF cookie is asked for, on this path alone.
    """

    def initialize(self, folder: Path, passer: Passer) -> None:
        self._folder = folder
        self._passer = passer
        self._has_slot = False

    def check_xsrf_cookie(self) -> None:
        """Nothing: cookies open nothing here, and what a web page sends is refused."""

    def check(self) -> None:
        if "Origin" in self.request.headers:
            raise RefusedError(403, "sent by a web page")
        after = (self.request.uri or "").partition(f"/{HOOKS}/")[2]
        path, mark, query = after.partition("?")
        token, slash, rest = path.partition("/")
        entry = directory.find(self._folder, token)
        if entry is None:
            raise RefusedError(403, "wrong token")
        if self._passer.under_way >= MOST:
            raise RefusedError(429, "too many at a time", retry_after=1)
        self._entry, self._rest = entry, f"{slash}{rest}{mark}{query}"
        self._passer.under_way += 1
        self._has_slot = True

    @allow_unauthenticated  # type: ignore[untyped-decorator]
    async def post(self, *path: str) -> None:
        await super().post(*path)

    async def take(self, body: bytes) -> None:
        source = self.request.remote_ip or "?"
        await self._passer.pass_on(self._entry, self._rest, self.request.headers, body, source)
        self.answer(204)

    def on_finish(self) -> None:
        self._leave()

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._leave()

    def _leave(self) -> None:
        if self._has_slot:
            self._has_slot = False
            self._passer.under_way -= 1


class StatusHandler(JupyterHandler):  # type: ignore[misc]
    """The page that lists the receivers which the relay passes webhooks on to."""

    def initialize(self, folder: Path) -> None:
        self._folder = folder

    @authenticated
    def get(self) -> None:
        page = Template((Path(__file__).parent / "status.html").read_text("utf-8"))
        rows = [
            (entry.notebook or "-", entry.pid, datetime.fromtimestamp(entry.since, timezone.utc))
            for entry in directory.live(self._folder)
        ]
        self.finish(page.generate(rows=rows))

    @allow_unauthenticated  # type: ignore[untyped-decorator]
    def post(self) -> None:
        raise HTTPError(403, "A webhook's path ends in a token.")


def add_routes(server_app: Any) -> None:
    """Adds them to a Jupyter server."""
    folder = Path(server_app.runtime_dir)
    web_app = server_app.web_app
    base = web_app.settings["base_url"]
    web_app.add_handlers(
        ".*$",
        [
            (url_path_join(base, HOOKS, "?"), StatusHandler, {"folder": folder}),
            (
                url_path_join(base, HOOKS, "/.+"),
                RelayHandler,
                {"folder": folder, "passer": Passer()},
            ),
        ],
    )
