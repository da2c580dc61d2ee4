"""The `%runqy` commands about webhooks: how they are written, and what they do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from runqy_notebook import current
from runqy_notebook.echo.webhooks import Webhooks
from runqy_notebook.errors import UsageError
from runqy_notebook.magics.commands import Cell, say_where
from runqy_notebook.magics.parser import Command
from runqy_notebook.magics.values import count


def hook_commands() -> Iterable[Command]:
    start = Command(("webhook", "start"), "take webhooks at a URL of this machine", _start)
    start.argument(
        "--require-signature", action="store_true", help="refuse those that are not signed"
    )
    start.argument(
        "--secret",
        action="append",
        metavar="SECRET",
        help="whsec_..., best as $name, so that the notebook does not hold it; twice while "
        "senders change to a new one (default: one made by the session)",
    )
    yield start.argument(
        "--relay", action="store_true", help="have the Jupyter server pass signed ones on, too"
    )
    yield Command(("webhook", "stop"), "stop taking webhooks; receipts stay", _stop)
    yield Command(("webhook", "status"), "what the receiver took and refused", _status)
    yield (
        Command(("webhook", "replay"), "send a received webhook again", _replay)
        .argument("receipt", metavar="ID", help="a receipt's, from %%runqy echoes")
        .argument("--to", metavar="URL", help="where to (default: the receiver)")
    )
    yield Command(("echoes",), "the webhooks that were received, newest first", _echoes).argument(
        "--limit", type=count, metavar="N", help="at most so many"
    )


def _start(cell: Cell, require_signature: bool, secret: list[str] | None, relay: bool) -> None:
    """Starts the receiver; prints where it takes what."""
    webhooks = _webhooks()
    url = webhooks.start(require_signature=require_signature, secret=secret, relay=relay)
    kind = "signed ones only" if require_signature else "signed or not"
    print(f"Webhooks from this machine, {kind}: {url}")
    if webhooks.relay_url:
        print(f"Through the Jupyter server, signed ones only: {webhooks.relay_url}")
    if secret is None and (require_signature or relay):
        print("Senders sign with the secret that session.webhooks.secret.reveal() tells.")


def _stop(cell: Cell) -> None:
    is_stopped = current.has_session() and current.session().webhooks.stop()
    print("Receiver stopped; %runqy echoes has what it received." if is_stopped else _NONE)


def _status(cell: Cell) -> None:
    """Prints the receiver's addresses and counters."""
    found = current.session().webhooks.status if current.has_session() else None
    if found is None:
        print(_NONE)
        return
    kind = "signed ones only" if found.requires_signature else "signed or not"
    print(f"Receiver at {found.url} since {found.since:%H:%M:%S} UTC, {kind}.")
    if found.relay_url:
        print(f"  through the Jupyter server: {found.relay_url}")
    print(f"  taken: {_counts(found.verdicts)}; refused: {_counts(found.refused)}")
    if found.dropped:
        print(f"  {found.dropped} came too fast to be shown as they came")


def _replay(cell: Cell, receipt: str, to: str | None) -> None:
    answer = _webhooks().replay(receipt, to)
    said = f": {answer.text}" if answer.text else ""
    print(f"Answered {answer.status} after {answer.seconds * 1000:.0f} ms{said}")


def _echoes(cell: Cell, limit: int | None) -> object:
    if not current.has_session():
        raise UsageError("Not connected: %runqy connect.")
    return current.session().echoes(limit)


def _webhooks() -> Webhooks:
    """The session's; where there is no session, one is opened and announced."""
    if not current.has_session():
        current.connect()
        say_where()
    return current.session().webhooks


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {what}" for what, n in counts.items()) or "none"


_NONE = "No receiver is running in this kernel: %runqy webhook start."
