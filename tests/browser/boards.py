"""A board in a page, worked as a person would, and looked at in all sizes and themes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, TimeoutError, expect  # noqa: A004

from tests.browser.lab import Notebook

WIDTHS = (1280, 600)
PICTURES = Path(__file__).parents[2] / "out" / "browser"
SERIOUS = ("serious", "critical")
_SAYS = "([node, text]) => node.textContent.replace(/\\s+/g, ' ').includes(text)"
_COUNTS = """([queue, column, text]) =>
    [...document.querySelectorAll('.runqy-queues tr')].some(row =>
        row.querySelector('th').innerText.split(/\\s/)[0] === queue
        && row.querySelector(`[data-of='${column}']`)?.innerText === text)"""
_SETTLED = """async node => {
    for (let same = 0, size = ''; same < 4; ) {
        await new Promise(requestAnimationFrame);
        const now = `${node.clientWidth} ${node.clientHeight}`;
        same = now === size ? same + 1 : 0;
        size = now;
    }
}"""


class BoardOnPage:
    """The widgets of the one board that is to be seen on a page."""

    def __init__(self, page: Page, root: Locator | None = None) -> None:
        self.page = page
        self.root = (root or page.locator("body")).locator(".runqy-board")

    def tab(self, title: str) -> None:
        """Has this panel looked at."""
        self.root.locator(".lm-TabBar-tab").filter(has_text=title).click()

    def button(self, name: str) -> Locator:
        return self.root.get_by_role("button", name=name, exact=True).filter(visible=True)

    def control(self, label: str) -> Locator:
        """The field with this label."""
        fields = self.page.locator("input, select, textarea").filter(visible=True)
        return self.root.get_by_label(label, exact=True).and_(fields)

    def fill(self, label: str, text: str) -> None:
        """Types into a field, to its end."""
        self.control(label).fill(text)
        self.control(label).press("Enter")

    def row(self, queue: str) -> Locator:
        """A queue's row of the overview."""
        name = re.compile(rf"^{re.escape(queue)}\b")  # what follows says that it is paused
        header = self.page.get_by_role("rowheader", name=name)
        return self.root.get_by_role("row").filter(has=header)

    def place(self, name: str) -> int:
        """The number of the row of a list that has this name."""
        name_of = self.page.get_by_role("cell", name=re.compile(rf"^(▸ )?{re.escape(name)}$"))
        row = self.root.get_by_role("row").filter(has=name_of).filter(visible=True)
        return int(row.get_by_role("rowheader").inner_text().removeprefix("Row"))

    def name_at(self, place: int) -> str:
        """What stands in this row of a list now."""
        names = self.root.locator(f".runqy-name.runqy-at-{place}")
        return names.filter(visible=True).inner_text().removeprefix("▸ ")

    def box(self, name: str) -> Locator:
        """The box that ticks the row of this name."""
        return self.root.get_by_label(f"Select row {self.place(name)}", exact=True)

    def open(self, name: str) -> None:
        """Clicks on the row of this name."""
        self.button(f"Show row {self.place(name)}").click()

    def says(self, *texts: str) -> None:
        """Returns once the board says each of these."""
        for text in texts:
            says(self.root, text)

    def count(self, queue: str, column: str, text: str) -> None:
        """Returns once this cell of the overview has this text."""
        self.page.wait_for_function(_COUNTS, arg=[queue, column, text])


def says(root: Locator, text: str) -> None:
    """Returns once this says that: looked at in each frame, where Playwright's own `expect` looks
    once a second after a while.
    """
    try:
        node = root.element_handle()
        root.page.wait_for_function(_SAYS, arg=[node, text])
    except TimeoutError:
        expect(root).to_contain_text(text, timeout=1)


def pictures(notebook: Notebook, name: str, *, is_simple: bool = False) -> None:
    """Keeps screenshots of the board in all sizes and themes, for people to look at; in each, no
    part of it is wider than its room, and in each theme axe finds nothing serious. Of a simple
    panel there is one in each theme and size.
    """
    page = notebook.page
    board = BoardOnPage(page, notebook.output(_cell_of(notebook)))
    PICTURES.mkdir(parents=True, exist_ok=True)
    notebook.js("jupyterapp.shell.collapseLeft();")
    before = page.viewport_size or {"width": 1180, "height": 900}
    for theme in ("Dark", "Light"):
        notebook.lab.theme(theme)
        for width in (WIDTHS[theme == "Dark"],) if is_simple else WIDTHS:
            page.set_viewport_size({"width": width, "height": 1000})
            board.root.evaluate(_SETTLED)
            board.root.screenshot(path=PICTURES / f"{name}-{theme.lower()}-{width}.png")
            assert board.root.evaluate("node => node.scrollWidth <= node.clientWidth + 1"), width
        assert violations(page) == [], theme
    page.set_viewport_size(before)


def violations(page: Page, within: str = ".runqy-board") -> list[str]:
    """What axe finds that keeps people from using the board."""
    found: dict[str, Any] = Axe().run(page, context=within).response
    return [
        f"{each['id']}: {each['help']}: {node['html'][:200]}"
        for each in found["violations"]
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


def _cell_of(notebook: Notebook) -> int:
    return int(
        notebook.js(
            "return panel.content.widgets.findIndex("
            "cell => cell.outputArea?.node.querySelector('.runqy-board'));"
        )
    )
