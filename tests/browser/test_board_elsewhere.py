"""Boards that agree, that are saved, and in frontends other than JupyterLab."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import nbformat
from playwright.sync_api import Locator, Page, expect

from runqy_notebook.session import Session
from tests.browser.boards import PICTURES, BoardOnPage, violations
from tests.browser.lab import PATIENCE, TOKEN, Lab, Notebook
from tests.waiting import wait_until

Open = Callable[..., Notebook]

CELLS = ["%load_ext runqy_notebook", "b = %runqy board\nb", "b.close()"]


def test_two_notebooks_agree_and_what_they_save_shows_the_last_state(
    open_notebook: Open, session: Session, lab: Lab
) -> None:
    session.enqueue_many("images", [{"n": n} for n in range(12)])
    first, second = (open_notebook(f"agree-{name}.ipynb", CELLS) for name in ("one", "two"))
    for notebook in (first, second):
        notebook.run(0, 1)
    one, two = (BoardOnPage(each.page, each.output(1)) for each in (first, second))
    one.says("images")
    first.show()

    one.button("Pause").click()

    one.says("‖ paused")
    two.says("‖ paused")
    first.run(2)
    (still,) = [o for o in first.save().cells[1].outputs if o["data"]]
    assert set(still["data"]) == {"text/html", "text/plain"}
    assert "images (paused)" in still["data"]["text/plain"]
    _, last_seen = second.save().cells[1].outputs
    assert "The board as last seen" in last_seen["data"]["text/html"]
    assert "12" in last_seen["data"]["text/plain"]

    first.close()
    lab.reload()
    again = lab.visit(second.name)
    board = BoardOnPage(again.page, again.output(1))
    board.button("Resume").click()
    board.says("Resumed images.")
    assert not session.is_paused("images")


def test_it_works_in_notebook_7(session: Session, lab: Lab) -> None:
    session.enqueue("images", {})
    write(lab, "seven.ipynb")

    with a_page(lab, "notebooks/seven.ipynb") as page:
        for n in range(2):
            prompt = page.locator(".jp-InputPrompt").nth(n)
            wait_until(lambda n=n, prompt=prompt: is_begun(page, n, prompt), f"cell {n} idles", 30)
            expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=PATIENCE)
        works(BoardOnPage(page), session)
        page.screenshot(path=PICTURES / "board-notebook-7.png")
        assert violations(page) == []


def is_begun(page: Page, n: int, prompt: Locator) -> bool:
    """Whether the cell runs or has run; if not, has it run: a page whose kernel is just starting
    may not take the first keys.
    """
    if prompt.inner_text().strip() in ("[ ]:", ""):
        page.locator(".jp-Notebook .jp-CodeCell .cm-content").nth(n).click()
        page.keyboard.press("Shift+Enter")
        with suppress(AssertionError):
            expect(prompt).not_to_have_text(re.compile(r"^(\[ \]:)?$"), timeout=500)
    return prompt.inner_text().strip() not in ("[ ]:", "")


def test_it_works_in_voila(session: Session, lab: Lab) -> None:
    session.enqueue("images", {})
    write(lab, "voila.ipynb")

    with a_page(lab, "voila/render/voila.ipynb") as page:
        works(BoardOnPage(page), session)
        page.screenshot(path=PICTURES / "board-voila.png")


def works(board: BoardOnPage, session: Session) -> None:
    """It is there, and a click does what it says."""
    board.count("images", "pending", "1")
    board.button("Pause").click()
    board.says("‖ paused")
    assert session.is_paused("images")


def write(lab: Lab, name: str) -> None:
    """A notebook with a board, not run yet."""
    v4 = nbformat.v4
    made = v4.new_notebook(cells=[v4.new_code_cell(source) for source in CELLS[:2]])
    made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(made, lab.folder / name)


@contextmanager
def a_page(lab: Lab, path: str) -> Iterator[Page]:
    """Another page of the lab's server; the kernels that it started end with it."""
    request = lab.page.request
    kernels = f"{lab.url}/api/kernels"
    before = {each["id"] for each in request.get(f"{kernels}?token={TOKEN}").json()}
    browser = lab.page.context.browser
    assert browser is not None
    page = browser.new_page(viewport={"width": 1180, "height": 900})
    try:
        page.set_default_timeout(PATIENCE)
        page.goto(f"{lab.url}/{path}?token={TOKEN}")
        yield page
    finally:
        page.close()
        for each in request.get(f"{kernels}?token={TOKEN}").json():
            if each["id"] not in before:
                request.delete(
                    f"{kernels}/{each['id']}?token={TOKEN}",
                    headers={"Authorization": f"token {TOKEN}"},
                )
