"""A real Jupyter server with the relay, and kernels that it started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty

from jupyter_client.blocking.client import BlockingKernelClient

from tests.echo.senders import Answer, post
from tests.notebook.kernels import PATIENCE, ROOT, kernel_environment
from tests.servers import free_port
from tests.waiting import wait_until

TOKEN = "token-of-the-jupyter-server"


@dataclass
class JupyterServer:
    """A running server under a base URL, behind a token of its own."""

    url: str
    folder: Path
    log: Path

    @property
    def hooks(self) -> str:
        return f"{self.url}runqy/hooks"

    def ask(
        self,
        path: str,
        body: object = None,
        method: str = "GET",
        *,
        headers: Mapping[str, str] | None = None,
        is_known: bool = True,
    ) -> Answer:
        """A request with the server's token, or as a stranger."""
        known = {"Authorization": f"token {TOKEN}"} if is_known else {}
        return post(f"{self.url}{path}", body, {**known, **(headers or {})}, method=method)

    @contextmanager
    def kernel(self, notebook: str) -> Iterator[BlockingKernelClient]:
        """A kernel that this server starts for this notebook, and a client of it."""
        session = {"path": notebook, "name": notebook, "type": "notebook"}
        asked = {**session, "kernel": {"name": "python3"}}
        started = self.ask("api/sessions", asked, "POST")
        assert started.status == 201, started.text
        kernel_id = json.loads(started.text)["kernel"]["id"]
        client = BlockingKernelClient()
        client.load_connection_file(str(self.folder / "runtime" / f"kernel-{kernel_id}.json"))
        client.start_channels()
        try:
            # Not wait_for_ready, which takes a kernel that still starts for dead.
            wait_until(lambda: _answers(client), "the kernel does not answer", PATIENCE)
            yield client
        finally:
            client.stop_channels()
            self.ask(f"api/kernels/{kernel_id}", method="DELETE")


def _answers(client: BlockingKernelClient) -> bool:
    """Whether a request is answered, and heard to be on the public channel as well."""
    client.kernel_info()
    try:
        client.get_shell_msg(timeout=1)
        client.get_iopub_msg(timeout=1)
    except Empty:
        return False
    return True


def run(client: BlockingKernelClient, code: str) -> str:
    """Runs a cell; gives what it printed, and fails the test if it fails."""
    printed: list[str] = []

    def hear(message: dict[str, object]) -> None:
        content = message["content"]
        assert isinstance(content, dict)
        printed.extend(content.get(key, "") for key in ("text",) if key in content)
        printed.extend(content.get("traceback", ()))

    reply = client.execute_interactive(code, timeout=PATIENCE, output_hook=hear)
    assert reply["content"]["status"] == "ok", printed
    return "".join(printed)


@contextmanager
def jupyter_server(folder: Path, redis_url: str) -> Iterator[JupyterServer]:
    """Started with the configuration that is installed with this package, and ended at last."""
    port = free_port()
    environment = kernel_environment(
        folder,
        RUNQY_REDIS_URL=redis_url,
        JUPYTER_CONFIG_PATH=str(ROOT / "jupyter-config"),
        JUPYTER_CONFIG_DIR=str(folder / "config"),
        JUPYTER_RUNTIME_DIR=str(folder / "runtime"),
        JUPYTER_DATA_DIR=str(folder / "data"),
        # As JupyterHub runs it: what is not marked as open to strangers is not.
        JUPYTER_SERVER_ALLOW_UNAUTHENTICATED_ACCESS="false",
    )
    log = folder / "server.log"
    with ExitStack() as ending, log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter_server", "--no-browser", "--allow-root"),
                f"--port={port}",
                "--ServerApp.port_retries=0",
                "--ServerApp.base_url=/deep/down/",
                f"--IdentityProvider.token={TOKEN}",
                f"--ServerApp.root_dir={folder}",
            ],
            env={**environment, "PATH": os.environ["PATH"]},
            stdout=output,
            stderr=output,
        )
        ending.callback(process.wait)
        ending.callback(process.terminate)
        server = JupyterServer(f"http://127.0.0.1:{port}/deep/down/", folder, log)
        wait_until(lambda: _is_up(server, process), "the Jupyter server did not start", 60)
        yield server


def _is_up(server: JupyterServer, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, server.log.read_text()
    try:
        return server.ask("api/status").status == 200
    except ConnectionError:
        return False
