"""Hostile texts in a real JupyterLab: no dialog, no request, no live node."""

from __future__ import annotations

from collections.abc import Callable

import nbformat
import redis as redis_py

from tests.browser.lab import Lab, Notebook
from tests.hostile import CANARY, HOSTILE

PUBLISH = """
import json, time
from IPython.display import display
from runqy_notebook import current, task
@task(queue="h")
def act(payload):
    print(payload["x"])
    if payload["bad"]:
        raise ValueError(payload["x"])
    return {payload["x"]: [payload["x"]]}
session = current.session()
%runqy worker start h
"""

OUTSIDER = """
client = __import__("redis").Redis.from_url(URL)
for n, x in enumerate(HOSTILE[PART:PART + 10]):
    x = x.encode("utf-8", "replace").decode()
    task_of_x = {"type": x, "payload": json.dumps({"x": x, "bad": n % 2}), "retry": 0,
                 "max_retry": 0, "queue": "h_default"}
    client.hset(f"asynq:t:{x}", mapping=task_of_x)
    display(session.task(x))
    client.lpush("asynq:h_default:pending", x)
"""

WAITING = """
for n in range(PART, PART + 10):
    display(session.enqueue("w", {}, id=f"w{n}"))
"""

STRANGER = """
for n, x in enumerate(HOSTILE):
    for kind in ("progress", "log", "displayed", "retried", "archived", "delivered", "echo"):
        event = {"event": kind, "id": f"w{n}", "queue": "w", "at": time.time(), "by": x,
                 "error": x, "note": x, "done": 1, "total": 2, "lines": [x, x],
                 "data": {"text/html": x, "text/plain": x, "image/svg+xml": x, "image/png": x}}
        client.publish("asynq:events:0:w", json.dumps(event))
        client.publish("asynq:events:0:w", json.dumps({**event, "id": x, "queue": x}))
"""

WEBHOOKS = """
import urllib.request
url = session.webhooks.start()
for n, x in enumerate(HOSTILE):
    body = json.dumps({"task_id": f"w{n}", "x": x, x: [x]}).encode("utf-8", "replace")
    head = {"Content-Type": "application/json", "X-Hostile": x.encode("ascii", "ignore").decode()}
    head["X-Hostile"] = "".join(c for c in head["X-Hostile"] if c.isprintable())
    urllib.request.urlopen(urllib.request.Request(url + "/<b>&amp;%3Cimg%3E", body, head))
"""

PARTS = range(0, 50, 10)  # JupyterLab shows the first 50 outputs of a cell

LIVE = """
const areas = [...panel.node.querySelectorAll('.jp-OutputArea-output')];
const bad = 'script, iframe, object, embed, link, style:not([scoped]), meta, base, form, svg,'
  + ' math, video, audio, input, textarea, template, marquee, a[href^=javascript],'
  + ' a:not([rel~=noopener]),'
  + ' [id^=jupyter], [name], [onerror], [onload]';
return areas.flatMap(area => [...area.querySelectorAll(bad)]
  .filter(node => !node.closest('.widget-button, .jupyter-widgets'))
  .map(node => node.outerHTML.slice(0, 200)));
"""


def test_hostile_texts_are_dead_wherever_they_are_shown(
    open_notebook: Callable[..., Notebook], lab: Lab, redis: redis_py.Redis
) -> None:
    url = redis.connection_pool.connection_kwargs
    address = f"redis://127.0.0.1:{url['port']}/0"
    cells = [
        f"%load_ext runqy_notebook\nURL = {address!r}\nHOSTILE = {HOSTILE!r}\n{PUBLISH}",
        "%runqy stream",
        *[OUTSIDER.strip().replace("PART", str(part)) for part in PARTS],
        *[WAITING.strip().replace("PART", str(part)) for part in PARTS],
        STRANGER.strip(),
        "%runqy tasks h",
        WEBHOOKS.strip(),
    ]
    notebook = open_notebook("hostile.ipynb", cells)

    notebook.run(*range(len(cells) - 1))

    for cell in range(2, 7):
        notebook.until(
            "(area => area.querySelectorAll('strong').length === 10"
            " && !/waiting|running/.test(area.innerText))"
            "(panel.content.widgets[arg].outputArea.node)",
            "the tasks are not done",
            cell,
        )
    for cell in range(7, 12):
        notebook.until(
            "panel.content.widgets[arg].outputArea.node.querySelectorAll('strong').length === 10"
            " && !/waiting/.test(panel.content.widgets[arg].outputArea.node.innerText)",
            "what the stranger said is not shown",
            cell,
        )
    notebook.until("/event/.test(panel.content.widgets[1].outputArea.node.innerText)", "no events")
    notebook.run(len(cells) - 1)
    for cell in range(7, 12):
        notebook.until(
            "panel.content.widgets[arg].outputArea.node.innerText.split('POST /').length > 10",
            "the webhooks are not shown",
            cell,
        )
    assert notebook.js(LIVE) == []
    saved = notebook.save()
    saved.cells[0].source += "\n# no signature fits"
    nbformat.write(saved, lab.folder / "hostile-untrusted.ipynb")
    untrusted = lab.visit("hostile-untrusted.ipynb")
    try:
        assert untrusted.js(LIVE) == []
    finally:
        untrusted.close()
    assert lab.dialogs == []
    assert [request for request in lab.requests if request.startswith(CANARY)] == []
    notebook.wait_for(2, "canary")  # else the test showed nothing
