import os
import stat
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, task
from runqy_notebook.deliver.spool import Bounds, Spool
from runqy_notebook.errors import DestinationError
from tests.deliver.receiving import Receiver
from tests.waiting import wait_until

NAME = "msg_" + "0" * 32


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RUNQY_STATE_DIR", str(tmp_path))
    return tmp_path / "spool"


def states(session: Session) -> list[str]:
    return sorted(session.deliveries()["state"])


def test_its_files_are_closed_to_others(folder: Path) -> None:
    spool = Spool(folder, Bounds())

    spool.write(NAME, b"secret")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / NAME).stat().st_mode) == 0o600
    assert sorted(os.listdir(folder)) == ["id", NAME]
    assert spool.path(NAME).read_bytes() == b"secret"


def test_two_that_share_a_folder_share_its_id(folder: Path) -> None:
    one, other = Spool(folder, Bounds()), Spool(folder, Bounds())
    assert one.id == ""

    one.write(NAME, b"x")

    assert one.id == other.id != ""


def test_a_folder_that_others_could_look_into_is_closed(folder: Path) -> None:
    folder.mkdir(mode=0o755)

    Spool(folder, Bounds()).write(NAME, b"x")

    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "id", "/etc/passwd", "msg_x", "", NAME + "\n"]
)
def test_only_its_own_files_are_read(folder: Path, name: str) -> None:
    spool = Spool(folder, Bounds())
    spool.write(NAME, b"x")

    with pytest.raises(DestinationError):
        spool.path(name)


def test_a_link_in_it_is_not_followed(folder: Path, tmp_path: Path) -> None:
    spool = Spool(folder, Bounds())
    spool.write(NAME, b"x")
    other = folder / ("msg_" + "1" * 32)
    other.symlink_to("/etc/passwd")

    with pytest.raises(DestinationError, match="no longer in the spool"):
        spool.path(other.name)


def test_a_full_spool_takes_no_more(folder: Path) -> None:
    spool = Spool(folder, Bounds(size=100))
    spool.write(NAME, b"x" * 60)

    with pytest.raises(DestinationError, match="spool_mb"):
        spool.write("msg_" + "1" * 32, b"x" * 60)

    assert sorted(os.listdir(folder)) == ["id", NAME]


def test_what_is_too_old_goes_and_that_is_told(folder: Path) -> None:
    told: list[str] = []
    spool = Spool(folder, Bounds(ttl=86_400), told.append)
    spool.write(NAME, b"x")
    at = (folder / NAME).stat().st_mtime

    spool.sweep(now=at + 86_000)
    assert (folder / NAME).exists()
    spool.sweep(now=at + 87_000)

    assert os.listdir(folder) == ["id"]
    assert "1 result in the spool had waited for 1 days" in told[0]


def test_a_large_result_never_passes_through_redis(
    session: Session, redis: redis_py.Redis, folder: Path
) -> None:
    @task(deliver_to="orders")
    def handler(payload: dict[str, Any]) -> str:
        return "large" * 40_000

    session.start_worker("mail")
    session.enqueue("mail", {}).wait(10)
    wait_until(lambda: states(session) == ["waiting"], "it should wait")

    assert len(os.listdir(folder)) == 2
    (row,) = list(redis.scan_iter("asynq:nb:outbox:row:*"))
    assert max(len(value) for value in redis.hgetall(row).values()) < 1_000  # type: ignore[union-attr]

    with Receiver() as receiver:
        session.destination("orders", receiver.url, allow_private=True)
        wait_until(lambda: states(session) == ["delivered"], "it should be delivered")
        assert receiver.requests[0].body.count(b"large") == 40_000
    wait_until(lambda: os.listdir(folder) == ["id"], "its file should go")


def test_only_who_has_the_file_delivers_it(make_session: Any, folder: Path, tmp_path: Path) -> None:
    @task(deliver_to="orders")
    def handler(payload: dict[str, Any]) -> str:
        return "x" * (100_000 if payload["is_large"] else 1)

    here, elsewhere = make_session(), make_session(state_dir=str(tmp_path / "elsewhere"))
    here.start_worker("mail")
    for is_large in (True, False):
        here.enqueue("mail", {"is_large": is_large}).wait(10)
    with Receiver() as receiver:
        elsewhere.destination("orders", receiver.url, allow_private=True)
        elsewhere.start_worker("other")
        wait_until(lambda: states(here) == ["delivered", "waiting"], "the small one arrives")

        here.destination("orders", receiver.url, allow_private=True)
        wait_until(lambda: states(here) == ["delivered"] * 2, "and the large one from here")
        assert [len(request.body) > 100_000 for request in receiver.requests] == [False, True]


def test_a_result_whose_file_is_gone_fails_with_that_reason(session: Session, folder: Path) -> None:
    @task(deliver_to="orders")
    def handler(payload: dict[str, Any]) -> str:
        return "x" * 100_000

    session.start_worker("mail")
    session.enqueue("mail", {}).wait(10)
    wait_until(lambda: states(session) == ["waiting"], "it should wait")
    next(folder.glob("msg_*")).unlink()
    session.destination("orders", "http://127.0.0.1:1024/", allow_private=True)
    wait_until(lambda: states(session) == ["failed"], "it should fail")

    assert "no longer in the spool" in session.deliveries()["error"].iloc[0]
