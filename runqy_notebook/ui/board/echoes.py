"""The panel of webhooks: the receiver, what arrived, one looked at and sent again."""

from __future__ import annotations

import time
from typing import Any, Final

from runqy_notebook.echo.receipts import Receipt
from runqy_notebook.errors import UsageError
from runqy_notebook.ui import html
from runqy_notebook.ui.board.panel import Context, Panel, set_pale, set_trait
from runqy_notebook.ui.board.rows import MOST, Entry, Rows
from runqy_notebook.ui.board.task_text import columns
from runqy_notebook.ui.echo_text import tone_of
from runqy_notebook.ui.text import cleaned, cleaned_line, clock, counted

SHOWN: Final = 10
LIST_EVERY: Final = 0.5  # seconds
HEAD: Final = ("id", "verdict", "request", "task", "when", "body")


class Echoes(Panel):
    """The newest receipts come first, as they arrive; an older page holds still."""

    title = "Echoes"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._open = ""  # the id of the receipt that is looked at
        self._newer = 0  # receipts before those shown
        self._turns = 0  # of pages, so far
        self._due_at = 0.0  # when the list is brought up to date again
        self._anchor = ""  # the receipt that an older page begins with

    def make(self) -> Any:
        import ipywidgets

        def button(label: str, tooltip: str, **options: Any) -> Any:
            return ipywidgets.Button(
                description=label, tooltip=tooltip, layout={"width": "auto"}, **options
            )

        wrap = {"flex_flow": "row wrap", "grid_gap": "0 4px", "align_items": "center"}
        self._status = ipywidgets.HTML()
        self._switch = button("Start receiver", "Takes webhooks at a URL of this machine")
        self._switch.on_click(lambda button: self.act(self._switched, button))
        self._earlier = button("Older", "The webhooks before these")
        self._earlier.on_click(lambda button: self._turn(1))
        self._later = button("Newer", "The webhooks after these")
        self._later.on_click(lambda button: self._turn(-1))
        self._caption = ipywidgets.HTML()
        self._rows = Rows("Webhooks", self._clicked, late=self.context.publisher.late)
        self._rows.widget.add_class("runqy-short")
        self._detail = ipywidgets.HTML()
        self._to = ipywidgets.Text(
            description="Send to", placeholder="the receiver, or a URL",
            style={"description_width": "initial"}, layout={"flex": "1 1 15em", "min_width": "0"},
        )  # fmt: skip
        self._replay = button("Replay", "Sends this webhook again")
        self._replay.on_click(lambda button: self.act(self._replayed, button))
        self._again = ipywidgets.HBox([self._to, self._replay], layout={**wrap, "display": "none"})
        return ipywidgets.VBox(
            [
                ipywidgets.HTML(html.rendered("board/rows_style.html", most=MOST)),
                ipywidgets.HBox([self._switch, self._status], layout=wrap),
                ipywidgets.HBox([self._later, self._earlier, self._caption], layout=wrap),
                self._rows.widget,
                self._detail,
                self._again,
            ]
        )

    def refresh(self) -> None:
        status = self.context.session.webhooks.status
        word = "Stop receiver" if status else "Start receiver"  # one button: it has the focus
        set_trait(self._switch, "description", word)
        words = [
            cleaned(each, 300)
            for each in ([status.url, status.relay_url] if status else [])
            if each
        ]
        set_trait(self._status, "value", html.rendered("board/receiver.html", urls=words))
        if time.monotonic() < self._due_at:
            return
        self._due_at = time.monotonic() + LIST_EVERY
        shown, kept = self._shown()
        entries = [_entry(each, is_open=each.id == self._open) for each in shown]
        self._rows.show(entries, self._turns)
        told = self._told(len(kept))
        set_trait(self._caption, "value", html.rendered("board/caption.html", words=told))
        set_pale(self._later, is_pale=not self._newer)
        set_pale(self._earlier, is_pale=self._newer + SHOWN >= len(kept))
        self._show_detail(kept)

    def html(self) -> str:
        kept = self.context.session.webhooks.receipts.newest(SHOWN)
        if not kept:
            return ""
        rows = list(map(_cells, kept))
        return html.rendered("board/table.html", head=HEAD, rows=rows, caption=self._told(None))

    def text(self) -> str:
        kept = self.context.session.webhooks.receipts.newest(SHOWN)
        return columns(HEAD, list(map(_cells, kept))) if kept else ""

    # --- inside ---------------------------------------------------------------------------------

    def _shown(self) -> tuple[list[Receipt], list[Receipt]]:
        """The receipts of this page, and all that are kept."""
        kept = self.context.session.webhooks.receipts.newest()
        if self._anchor:
            ids = [each.id for each in kept]
            if self._anchor in ids:
                self._newer = ids.index(self._anchor)
            else:  # forgotten
                self._newer = max(0, len(kept) - SHOWN)
        return kept[self._newer : self._newer + SHOWN], kept

    def _told(self, n: int | None) -> str:
        arrived = self.context.session.webhooks.receipts.arrived
        if not arrived:
            return "No webhook has arrived yet."
        total = f"{counted(arrived, 'webhook')} arrived"
        if n is None or n <= SHOWN:
            return total
        last = min(self._newer + SHOWN, n)
        return f"{total}; {self._newer + 1} to {last} of the newest {n:,}"

    def _turn(self, pages: int) -> None:
        kept = self.context.session.webhooks.receipts.newest()
        last = max(0, len(kept) - 1) // SHOWN * SHOWN
        self._newer = max(0, min(self._newer + pages * SHOWN, last))
        self._anchor = kept[self._newer].id if self._newer and kept else ""
        self._turns += 1
        self._due_at = 0.0
        self.context.pulse.wake()

    def _clicked(self, receipt_id: str | None) -> None:
        if receipt_id is None:
            self.context.say("The list changed while your click was on its way. Click again.")
        else:
            self._open = receipt_id
        self._due_at = 0.0
        self.context.pulse.wake()

    def _show_detail(self, kept: list[Receipt]) -> None:
        found = next((each for each in kept if each.id == self._open), None)
        set_trait(self._again.layout, "display", None if found else "none")
        told = ""
        if found is not None:
            told = html.rendered(
                "board/receipt.html",
                id=found.id,
                tone=tone_of(str(found.verdict)),
                verdict=str(found.verdict),
                request=_request(found),
                headers="\n".join(cleaned_line(f"{n}: {v}") for n, v in found.headers.items()),
                body=cleaned(found.text()),
            )
        set_trait(self._detail, "value", told)

    def _switched(self) -> str:
        """Does what the button says."""
        webhooks = self.context.session.webhooks
        if self._switch.description == "Start receiver":
            return f"Webhooks are taken at {webhooks.start()}."
        webhooks.stop()
        return "The receiver is stopped; what it received stays."

    def _replayed(self) -> str:
        to = self._to.value.strip() or None
        if to is None and self.context.session.webhooks.url is None:
            raise UsageError("No receiver is running: start it, or say where to send.")
        answer = self.context.session.webhooks.replay(self._open, to)
        said = f": {cleaned_line(answer.text, 120)}" if answer.text else ""
        return f"Answered {answer.status} after {answer.seconds * 1000:.0f} ms{said}"


def _request(receipt: Receipt) -> str:
    where = receipt.path or "/"
    return cleaned_line(f"{receipt.method} {where} from {receipt.source}", 160)


def _cells(receipt: Receipt) -> list[str]:
    return [
        receipt.id,
        str(receipt.verdict),
        _request(receipt),
        cleaned_line(receipt.task_id or "", 60),
        clock(receipt.received_at.timestamp()),
        " ".join(cleaned_line(receipt.text(200), 120).split()),
    ]


def _entry(receipt: Receipt, *, is_open: bool) -> Entry:
    label, verdict, request, task_id, when, body = _cells(receipt)
    told = html.rendered(
        "board/receipt_line.html",
        tone=tone_of(verdict),
        verdict=verdict,
        request=request,
        task=task_id,
        when=when,
        body=body,
    )
    return Entry(receipt.id, label, told, is_open)
