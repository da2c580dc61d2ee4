"""Webhooks in a real JupyterLab: seen in their task's card and in the stream, and passed on by the
Jupyter server to the kernel that asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from runqy_notebook.deliver.signing import Secret
from tests.browser.lab import Lab, Notebook
from tests.echo.senders import post, signed

Open = Callable[..., Notebook]

HANDLERS = """
%load_ext runqy_notebook
import json, urllib.request
from runqy_notebook import task
@task(queue="by_itself")
def deliver(payload):
    body = json.dumps({"task_id": payload["task_id"], "result": {"n": payload["n"]}}).encode()
    kind = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(payload["webhook_url"], body, kind), timeout=30)
@task(queue="by_us")
def square(payload):
    return {"square": payload["n"] ** 2}
%runqy worker start by_itself by_us
""".strip()

OPENED_HEADERS = """((node) => {
    node.querySelector('details').open = true;
    return node.innerText.includes('Webhook-Signature: ');
})(panel.content.widgets[arg].outputArea.node)"""


def test_webhooks_show_in_their_tasks_cards_and_in_the_stream(
    open_notebook: Open, lab: Lab
) -> None:
    notebook = open_notebook(
        "webhooks.ipynb",
        [
            HANDLERS,
            "%runqy webhook start",
            "%runqy stream",
            't = %runqy enqueue by_itself {"n": 7} --webhook echo',
            'u = %runqy enqueue by_us {"n": 9} --deliver-to echo',
            "%runqy echoes",
            "%runqy webhook replay w1",
            "%runqy deliveries",
        ],
    )

    notebook.run(0, 1, 2, 3, 4)

    notebook.wait_for(3, '"n": 7')
    notebook.wait_for(3, "POST / from 127.0.0.1")
    notebook.wait_for(3, "unsigned, ")
    notebook.wait_for(4, '"square": 81')
    notebook.wait_for(4, "verified, ")
    notebook.wait_for(4, "delivered: ")
    notebook.wait_for(2, '"square": 81')
    notebook.wait_for(3, "completed")
    notebook.until(OPENED_HEADERS, "no headers", 4)  # a card that is painted anew has them closed
    notebook.run(5, 6, 7)
    notebook.wait_for(5, "verified")
    notebook.wait_for(6, "Answered 204")
    notebook.wait_for(7, "delivered")
    notebook.picture("webhooks", scroll=450)
    notebook.picture("webhooks-2", scroll=1250)


def test_the_relay_takes_signed_webhooks_to_the_notebook_that_asked(
    open_notebook: Open, lab: Lab
) -> None:
    secret = Secret.new()
    start = f"%load_ext runqy_notebook\nsecret = {secret.reveal()!r}\n"
    start += "%runqy webhook start --relay --secret $secret"
    one, other = (
        open_notebook(name, [start, "t = %runqy enqueue nobody {} --id " + name[:3]])
        for name in ("one.ipynb", "two.ipynb")
    )
    hook, _ = (_hook(notebook) for notebook in (one, other))
    body = json.dumps({"task_id": "one", "status": "from afar"}).encode()

    statuses = [
        post(hook, body, signed(secret, body, "m1")).status,
        post(hook, body, signed(Secret.new(), body, "m2")).status,
        post(hook.rpartition("/")[0], body, signed(secret, body, "m3")).status,
        post(f"{hook}x", body, signed(secret, body, "m4")).status,
    ]

    assert hook.startswith(f"{lab.url}/runqy/hooks/")
    assert statuses == [204, 401, 403, 403]
    one.wait_for(1, "from afar")
    one.wait_for(1, "POST / from relay 127.0.0.1")
    assert one.text(1).count("from afar") == 1
    assert "webhook" not in other.text(1)


def _hook(notebook: Notebook) -> str:
    """Runs its cells; gives where the Jupyter server takes its webhooks."""
    notebook.run(0, 1)
    notebook.wait_for(0, "signed ones only: http")  # while it is in front: else nothing is painted
    found = re.search(r"signed ones only: (http://\S+)", notebook.text(0))
    assert found, notebook.text(0)
    return found[1].replace("localhost", "127.0.0.1")
