"""A real JupyterLab in a real browser, driven as a person would."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Browser, Dialog, Locator

from tests.notebook.kernels import ROOT, kernel_environment
from tests.waiting import wait_until

CHROMIUM = "/usr/bin/chromium"
TOKEN = "of-the-tests"
PATIENCE = 30_000  # milliseconds that the browser waits for anything

_SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "completer-extension/manager": {"providerTimeout": PATIENCE},
    "docmanager-extension/plugin": {"autosave": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


class Lab:
    """A running JupyterLab in one page. `folder` is where its notebooks lie; `dialogs` and
    `requests` are what the page asked for by itself.
    """

    def __init__(self, url: str, folder: Path, browser: Browser) -> None:
        self.folder = folder
        self.dialogs: list[str] = []
        self.requests: list[str] = []
        self.url = url
        self.page = browser.new_page(viewport={"width": 1180, "height": 900})
        self.page.set_default_timeout(PATIENCE)
        self.page.on("dialog", self._take_dialog)
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(f"{url}/lab?token={TOKEN}")
        self._wait()

    def open(self, name: str, cells: list[str]) -> Notebook:
        """Makes a notebook of these cells and opens it. Its name is its own: after a reload an
        earlier one may be opened again.
        """
        assert not (self.folder / name).exists(), f"another test has a {name}"
        v4: Any = nbformat.v4
        made = v4.new_notebook(cells=[v4.new_code_cell(source) for source in cells])
        made.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
        nbformat.write(made, self.folder / name)
        return self.visit(name)

    def visit(self, name: str) -> Notebook:
        """Opens a notebook that is there."""
        self.command("docmanager:open", {"path": name, "factory": "Notebook"})
        notebook = Notebook(self, name)
        notebook.wait_until_ready()
        return notebook

    def command(self, name: str, arguments: dict[str, Any] | None = None) -> None:
        """Has JupyterLab do something, to its end."""
        self.page.evaluate(
            "([name, args]) => jupyterapp.commands.execute(name, args).then(() => null)",
            [name, arguments or {}],
        )

    def theme(self, name: str) -> None:
        """Light or Dark."""
        self.command("apputils:change-theme", {"theme": f"JupyterLab {name}"})
        light = str(name == "Light").lower()
        self.page.wait_for_selector(f"body[data-jp-theme-light={light!r}]", state="attached")

    def reload(self) -> None:
        """Loads the page again, as F5 does; kernels go on."""
        self.page.reload()
        self._wait()

    def _wait(self) -> None:
        self.page.wait_for_function("() => window.jupyterapp?.restored")
        self.page.evaluate("() => jupyterapp.restored.then(() => null)")

    def _take_dialog(self, dialog: Dialog) -> None:
        if dialog.type == "beforeunload":  # whether to leave what is not saved, such as a still
            dialog.accept()
            return
        self.dialogs.append(dialog.message)
        dialog.dismiss()


class Notebook:
    """A notebook in a tab of the page."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.page = lab.page
        self.name = name

    def js(self, body: str, argument: object = None) -> Any:
        """What this JavaScript gives, of `panel` and `arg`."""
        return self.page.evaluate(
            "([path, arg]) => { const panel = [...jupyterapp.shell.widgets('main')]"
            f".find(each => each.context?.path === path); {body} }}",
            [self.name, argument],
        )

    def until(self, condition: str, why: str, argument: object = None) -> None:
        """Returns once this JavaScript is true."""

        def holds() -> bool:
            self.page.wait_for_timeout(30)
            return bool(self.js(f"return panel && ({condition});", argument))

        wait_until(holds, f"{self.name}: {why}", PATIENCE / 1000)

    def wait_until_ready(self) -> None:
        """Returns once its cells are there and its kernel answers."""
        self.until("panel.content.widgets.length", "no cells")
        self.until(
            "['idle', 'busy'].includes(panel.sessionContext.session?.kernel?.status)", "no kernel"
        )

    def show(self) -> None:
        """Brings its tab to the front."""
        self.js("jupyterapp.shell.activateById(panel.id);")

    def run(self, *indices: int) -> None:
        """Runs cells, each to its end."""
        for index in indices:
            self.begin(index)
            self.wait_for_idle()

    def begin(self, index: int) -> None:
        """Has a cell run; the page goes on."""
        self.show()
        before = self.js("return panel.content.widgets[arg].model.executionCount;", index)
        self.js(
            "panel.content.activeCellIndex = arg; panel.content.deselectAll();"
            "jupyterapp.commands.execute('notebook:run-cell');",
            index,
        )
        self.until(
            "((cell) => cell.inputArea.promptNode.textContent.includes('*')"
            " || cell.model.executionCount !== arg[1])(panel.content.widgets[arg[0]])",
            f"cell {index} did not begin",
            [index, before],
        )

    def press_tab_after(self, index: int, text: str) -> list[str]:
        """Types this at the end of a cell and presses Tab; gives what is offered, and takes the
        typed text back.
        """
        self.show()
        self.js(
            "panel.content.activeCellIndex = arg; panel.content.mode = 'edit';"
            "panel.content.activeCell.editor.focus();",
            index,
        )
        keyboard = self.page.keyboard
        keyboard.press("Control+End")
        keyboard.type(text)
        keyboard.press("Tab")
        offers = self.page.locator(".jp-Completer .jp-Completer-item")
        offers.first.wait_for()
        found = offers.all_inner_texts()
        keyboard.press("Escape")
        for _ in text:
            keyboard.press("Backspace")
        return found

    def wait_for_idle(self) -> None:
        """Returns once no cell is running."""
        self.until(
            "panel.content.widgets.every("
            "cell => !cell.inputArea?.promptNode.textContent.includes('*'))",
            "a cell went on running",
        )

    def output(self, index: int) -> Locator:
        """Where a cell's outputs are."""
        found = self.js("return panel.id;")
        return self.page.locator(f"[id='{found}'] .jp-Cell").nth(index).locator(".jp-OutputArea")

    def text(self, index: int) -> str:
        """What a cell's outputs say."""
        return str(self.js("return panel.content.widgets[arg].outputArea.node.innerText;", index))

    def wait_for(self, index: int, text: str) -> None:
        """Returns once a cell's outputs say this."""
        try:
            self.until(
                "panel.content.widgets[arg[0]].outputArea.node.innerText.includes(arg[1])",
                "",
                [index, text],
            )
        except AssertionError:
            told = self.text(index)
            raise AssertionError(f"cell {index} never said {text!r}, but {told!r}") from None

    def save(self) -> Any:
        """Saves it; gives what the file holds then."""
        self.js("return panel.context.save().then(() => null);")
        return nbformat.read(self.lab.folder / self.name, as_version=4)

    def picture(self, name: str, *, scroll: int = 0) -> None:
        """Keeps a screenshot, for people to look at."""
        self.show()
        self.js(
            "panel.content.node.querySelector('.jp-WindowedPanel-outer').scrollTop = arg;", scroll
        )
        self.page.wait_for_timeout(300)
        target = Path(__file__).parents[2] / "out" / "browser"
        target.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=target / f"{name}.png")

    def close(self) -> None:
        """Ends its kernel and closes its tab, unsaved."""
        self.js(
            "if (!panel) return; panel.context.model.dirty = false;"
            "return panel.sessionContext.shutdown().catch(() => null)"
            ".then(() => { panel.context.model.dirty = false; panel.close(); return null; });"
        )


@contextmanager
def running_lab(folder: Path, browser: Browser, **environment: str) -> Iterator[Lab]:
    """JupyterLab on a free port, with settings and data of its own."""
    notebooks = folder / "notebooks"
    notebooks.mkdir()
    for name, values in _SETTINGS.items():
        path = folder / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))
    private = {
        "JUPYTER_CONFIG_PATH": str(ROOT / "jupyter-config"),  # as it is installed: the relay
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
    }
    port = _free_port()
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ip=127.0.0.1",
        f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={notebooks}",
        "--ServerApp.base_url=/deep/down/",
        "--LabApp.expose_app_in_browser=True", "--ServerApp.port_retries=0",
        *(["--allow-root"] if os.getuid() == 0 else []),
    ]  # fmt: skip
    log = folder / "lab.log"
    with log.open("w") as written:
        process = subprocess.Popen(
            command,
            env=kernel_environment(folder, **private, **environment),
            stdout=written,
            stderr=subprocess.STDOUT,
            cwd=folder,
        )
    try:
        url = f"http://127.0.0.1:{port}/deep/down"
        wait_until(lambda: _answers(url, process), f"no JupyterLab: {log.read_text()}", 60)
        yield Lab(url, notebooks, browser)
    finally:
        process.terminate()
        process.wait(20)


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "JupyterLab ended at once"
    try:
        with urllib.request.urlopen(f"{url}/api?token={TOKEN}", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        time.sleep(0.1)
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
