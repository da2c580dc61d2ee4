"""Results as files, and as rows of SQLite: destinations that need no server."""

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from runqy_notebook import Session, deliver, task
from runqy_notebook.deliver.blob import Blob
from runqy_notebook.deliver.sink import Delivered, Failed, Limits, Message
from runqy_notebook.errors import PayloadError
from tests.deliver.receiving import Receiver
from tests.waiting import wait_until


@pytest.fixture(autouse=True)
def _state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNQY_STATE_DIR", str(tmp_path / "state"))


Ran = Callable[..., pd.DataFrame]


@pytest.fixture
def ran(session: Session) -> Ran:
    """Has a task with this result run and delivered; gives the deliveries when they have ended."""

    def run(deliver_to: Any, result: object, id: str = "t1") -> pd.DataFrame:
        @task(deliver_to=deliver_to)
        def handler(payload: dict[str, Any]) -> object:
            return result

        if session.worker is None:
            session.start_worker("mail")
        before = len(session.deliveries())
        session.enqueue("mail", {}, id=id).wait(10)
        wait_until(
            lambda: (
                len(session.deliveries()) > before
                and set(session.deliveries()["state"]) <= {"delivered", "failed"}
            ),
            "deliveries should end",
        )
        return session.deliveries()

    return run


@pytest.mark.parametrize(
    ("name", "result", "content"),
    [
        ("x.json", {"a": [1, None]}, b'{"a": [1, null]}'),
        ("x.json", "text", b'"text"'),
        ("x", "text", b"text"),
        ("x.txt", "grün", "grün".encode()),
        ("x.bin", b"\x00\xff", b"\x00\xff"),
        ("x", bytearray(b"ab"), b"ab"),
        ("x", [1, 2], b"[1, 2]"),
        ("x", None, b"null"),
        ("x.csv", pd.DataFrame({"a": [1], "b": ["x"]}), b"a,b\n1,x\n"),
        ("x.svg", "<svg/>", b"<svg/>"),
        ("x.pkl", b"\x80", b"\x80"),
        ("x.html", "<p>", b"<p>"),
    ],
)
def test_a_result_becomes_a_file(
    ran: Ran, tmp_path: Path, name: str, result: object, content: bytes
) -> None:
    rows = ran(f"file://{tmp_path}/a/b/{name}", result)

    assert list(rows["state"]) == ["delivered"]
    assert (tmp_path / "a/b" / name).read_bytes() == content
    assert os.listdir(tmp_path / "a/b") == [name]


def test_an_array_without_a_suffix_is_an_array(ran: Ran, tmp_path: Path) -> None:
    ran(f"file://{tmp_path}/{{task_id}}", np.eye(3))

    assert (np.load(tmp_path / "t1") == np.eye(3)).all()


@pytest.mark.parametrize(
    ("name", "result", "told"),
    [
        ("x.png", {"a": 1}, "a result of type dict makes no .png"),
        ("x.npy", [object()], "makes no .npy"),
        ("x.json", object(), "object"),
        ("x.xlsx", pd.DataFrame({"a": [1]}), "a result of type pandas DataFrame makes no .xlsx"),
        ("x.pkl", {"a": 1}, "a result of type dict makes no .pkl"),
    ],
)
def test_a_result_that_makes_no_such_file_fails_with_the_reason(
    ran: Ran, tmp_path: Path, name: str, result: object, told: str
) -> None:
    rows = ran(f"file://{tmp_path}/{name}", result)

    assert list(rows["state"]) == ["failed"]
    assert told in rows["error"].iloc[0]
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "tif", "bmp", "webp"])
def test_a_picture_is_what_its_suffix_says(ran: Ran, tmp_path: Path, kind: str) -> None:
    ran(f"file://{tmp_path}/x.{kind}", Image.new("RGB", (3, 2)))

    with Image.open(tmp_path / f"x.{kind}") as found:
        assert (found.format or "").lower() in (kind, {"jpg": "jpeg", "tif": "tiff"}.get(kind))


def test_memory_keeps_files_for_this_process(ran: Ran) -> None:
    ran("memory://results/{task_id}.json", [1])

    assert fsspec.filesystem("memory").cat("/results/t1.json") == b"[1]"


@pytest.mark.parametrize("task_id", ["../../evil", "/etc/evil", "a\x00b", "..", "", "." * 300])
def test_no_id_leads_out_of_the_folder(tmp_path: Path, task_id: str) -> None:
    sink = Blob(f"file://{tmp_path}/in/{{task_id}}")
    body = json.dumps({"task_id": task_id, "result": 1}).encode()

    made = sink.deliver(Message("msg_1", task_id, body, "completed"), Limits())

    assert isinstance(made, Delivered)
    assert os.listdir(tmp_path) == ["in"]
    assert len(os.listdir(tmp_path / "in")) == 1


def test_a_folder_that_cannot_be_written_is_told_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    made = Blob(f"file://{tmp_path}/file/x").deliver(Message("msg_1", "t", b"1"), Limits())

    assert isinstance(made, Failed)
    assert not made.is_final
    assert "NotADirectoryError" in made.why or "FileExistsError" in made.why


def test_an_error_makes_no_file_but_is_told_elsewhere(session: Session, tmp_path: Path) -> None:
    database = tmp_path / "x.db"

    @task(
        max_retry=0,
        deliver_to=[f"file://{tmp_path}/out/x", f"sqlite:///{database}?table=t&create=true"],
    )
    def handler(payload: dict[str, Any]) -> None:
        raise ValueError("no")

    session.start_worker("mail")
    session.enqueue("mail", {}, id="t1")
    wait_until(lambda: list(session.deliveries()["state"]) == ["delivered"], "the row")

    with sqlite3.connect(database) as connection:
        found = connection.execute("SELECT task_id, status, error, result FROM t").fetchall()
    connection.close()
    assert found == [("t1", "archived", "ValueError: no", None)]
    assert not (tmp_path / "out").exists()


def test_a_second_run_of_a_task_updates_its_row(ran: Ran, tmp_path: Path) -> None:
    database = tmp_path / "x.db"
    for result in (1, 2):
        ran(f"sqlite:///{database}?table=t&create=true", result)

    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT task_id, result FROM t").fetchall() == [("t1", 2)]
    connection.close()


def test_a_webhook_waits_for_the_file_that_it_tells_of(make_session: Any, tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("")
    session = make_session(deliver_schedule="0s" + " 100ms" * 90)
    with Receiver() as receiver:
        session.destination("notice", receiver.url, allow_private=True)

        @task(deliver_to=["notice", f"file://{tmp_path}/blocked/{{task_id}}"])
        def handler(payload: dict[str, Any]) -> bytes:
            return b"\x00" * 10

        session.start_worker("mail")
        session.enqueue("mail", {}, id="t1")
        wait_until(lambda: session.deliveries()["attempts"].max() > 1, "the file should fail")
        assert receiver.requests == []
        (tmp_path / "blocked").unlink()
        wait_until(lambda: list(session.deliveries()["state"]) == ["delivered"] * 2, "both")

        told = json.loads(receiver.requests[0].body)
    assert told["result_url"] == (tmp_path / "blocked/t1").as_uri()
    assert told["result"] is None


def test_a_webhook_goes_without_the_file_when_that_has_failed_for_good(
    session: Session, tmp_path: Path
) -> None:
    with Receiver() as receiver:
        session.destination("notice", receiver.url, allow_private=True)

        @task(deliver_to=[f"file://{tmp_path}/x.png", "notice"])
        def handler(payload: dict[str, Any]) -> list[int]:
            return [1]

        session.start_worker("mail")
        session.enqueue("mail", {})
        wait_until(lambda: receiver.requests, "it should go")

        told = json.loads(receiver.requests[0].body)
    assert told["result"] == [1]
    assert "result_url" not in told


def test_a_handler_can_have_a_file_made_of_more_than_its_result(
    session: Session, tmp_path: Path
) -> None:
    @task
    def handler(payload: dict[str, Any]) -> int:
        deliver.send("pictures", b"a picture", task_id=payload["task_id"])
        return 1

    session.destination("pictures", f"file://{tmp_path}/out/{{task_id}}.png")
    session.start_worker("mail")
    session.enqueue("mail", {}, id="t1").wait(10)
    wait_until(lambda: list(session.deliveries()["state"]) == ["delivered"], "delivered")

    assert (tmp_path / "out/t1.png").read_bytes() == b"a picture"
    with pytest.raises(PayloadError):
        session.deliver("elsewhere", b"a picture")
