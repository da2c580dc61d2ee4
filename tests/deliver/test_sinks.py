"""Which sink a URL opens, and what is said where none does."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, task
from runqy_notebook.deliver import sinks
from runqy_notebook.deliver.places import IN_CODE
from runqy_notebook.deliver.sink import Attempt, Delivered, Limits, Message
from runqy_notebook.deliver.sinks import open_sink
from runqy_notebook.deliver.urls import SinkURL, shown
from runqy_notebook.errors import DestinationError, UsageError
from tests.broking import push
from tests.waiting import wait_until

taken: list[dict[str, Any]] = []


class Pigeon:
    """A sink of somebody else's."""

    suffix = None
    largest = 1_000_000

    def __init__(self, url: str) -> None:
        self._url = url

    def deliver(self, message: Message, limits: Limits) -> Attempt:
        taken.append(message.told())
        return Delivered(None, 0.0)

    def close(self) -> None:
        pass

    def __str__(self) -> str:
        return "a pigeon"


@pytest.fixture
def _pigeons(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A package that registers for pigeon:// is installed."""
    info = tmp_path / "pigeons-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pigeons\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{sinks.GROUP}]\npigeon = {__name__}:Pigeon\ns3 = {__name__}:Pigeon\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])
    taken.clear()


@pytest.mark.usefixtures("_pigeons")
def test_others_add_a_sink_by_an_entry_point(session: Session) -> None:
    @task(deliver_to="pigeon://tower/3")
    def handler(payload: dict[str, Any]) -> int:
        return 7

    session.start_worker("mail")
    session.enqueue("mail", {}, id="t1")
    wait_until(lambda: list(session.deliveries()["state"]) == ["delivered"], "by pigeon")

    assert [(told["task_id"], told["result"]) for told in taken] == [("t1", 7)]
    assert list(session.deliveries()["to"]) == ["pigeon://tower/3"]


@pytest.mark.usefixtures("_pigeons")
def test_our_own_schemes_are_not_for_others() -> None:
    assert not isinstance(open_sink("s3://bucket/{task_id}"), Pigeon)
    assert "pigeon" in sinks.schemes()


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("gopher://x/y", "nothing here delivers to gopher://"),
        ("amqq://x/y", "Did you mean 'amqp'"),
        ("s3://bucket", "must name a"),
        ("s3://{task_id}/x", "must name a bucket"),
        ("s3://b/x?expire=3", "Did you mean 'expires'"),
        ("s3://b/x?expires=900000", "up to 604800"),
        ("s3://key:s3cret@b/x", "must not hold user and password"),
        ("file://relative/x", "must be absolute"),
        ("file:///tmp/../etc/{task_id}", "without"),
        ("sqlite:///x.db", "which table"),
        ("postgresql://u:s3cret@h/db", "which table"),
        ("postgresql://u:s3cret@h:port/db?table=x", "no URL of a database"),
        ("postgresql+asyncpg://u:s3cret@h/db?table=x", "write postgresql://"),
        ("mysql+pg8000://u:s3cret@h/db?table=x", "no URL of a database"),
        ("amqp://u:s3cret@h", "where to"),
        ("amqp://u:s3cret@h/x?declare=odd", "one of direct"),
        ("amqp://u:s3cret@h/x?key=y", "has no 'key'"),
        ("nonsense", "is no URL"),
    ],
)
def test_a_url_that_is_of_no_use_is_one_line_without_its_secret(url: str, problem: str) -> None:
    with pytest.raises(DestinationError, match=problem) as caught:
        open_sink(url)

    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [
        ("s3://b/x", "s3fs", "s3"),
        ("gs://b/x", "gcsfs", "gcs"),
        ("sqlite:///x?table=t", "sqlalchemy", "sql"),
        ("postgresql://h/d?table=t", "sqlalchemy", "postgres"),
        ("mysql://h/d?table=t", "sqlalchemy", "mysql"),
        ("amqp://h/x", "pika", "amqp"),
    ],
)
def test_a_missing_package_is_one_line_with_the_command(
    url: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(sinks, "find_spec", lambda n: None if n == module else real(n))

    with pytest.raises(DestinationError) as caught:
        open_sink(url)

    assert f"pip install 'runqy-notebook[{extra}]'" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("scheme", "driver"), [("postgresql", "psycopg"), ("mysql", "pymysql")])
def test_a_missing_driver_is_one_line_with_the_command(
    scheme: str, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, driver, None)  # as if it were not there

    with pytest.raises(DestinationError) as caught:
        open_sink(f"{scheme}://h/d?table=t")

    extra = {"psycopg": "postgres", "pymysql": "mysql"}[driver]
    assert f"pip install 'runqy-notebook[{extra}]'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_extra_that_is_named_exists() -> None:
    project = Path(__file__).parents[2].joinpath("pyproject.toml").read_text("utf-8")

    named = {extra for _, _, extra in sinks._OURS.values() if extra} | {"parquet"}

    assert all(f"\n{extra} = [" in project for extra in named)


def test_no_secret_of_code_goes_to_redis(session: Session, redis: redis_py.Redis) -> None:
    @task(deliver_to="postgresql://me:s3cret@127.0.0.1:9/db?table=t")
    def handler(payload: dict[str, Any]) -> int:
        return 1

    session.start_worker("mail")
    session.enqueue("mail", {}).wait(10)
    wait_until(lambda: list(session.deliveries()["attempts"]) == [1], "it should be attempted")

    held = [redis.hgetall(key) for key in redis.scan_iter("asynq:nb:outbox:row:*")]
    held += [redis.hgetall(key) for key in redis.scan_iter("asynq:t:*")]
    assert "s3cret" not in str(held)
    assert "127.0.0.1:9" not in str(held[0][b"to"])  # type: ignore[index]
    assert list(session.deliveries()["to"]) == ["postgresql://…@127.0.0.1:9/db?…"]


def test_a_name_of_code_does_not_hang_on_the_password() -> None:
    def name(url: str) -> str:
        return SinkURL.of(url).internal_name()

    base = name("postgresql+psycopg://me:one@h/db?table=t")
    assert base.startswith("postgresql-")
    assert base == name("postgresql+psycopg://me:two@h/db?table=t")
    assert base != name("postgresql+psycopg://me:one@h/db?table=u")
    assert name("s3://b/x?secret=one") == name("s3://b/x?secret=two")


@pytest.mark.parametrize("to", ["s3://b/{task_id}", "file:///tmp/x", "sqlite:///x?table=t"])
def test_only_code_names_such_destinations(
    make_session: Any, redis: redis_py.Redis, to: str, tmp_path: Path
) -> None:
    notices: list[str] = []
    session = make_session(on_notice=notices.append)

    @task
    def handler(payload: dict[str, Any]) -> int:
        return 1

    with pytest.raises(DestinationError, match="give it a name"):
        session.enqueue("mail", {}, deliver_to=to)
    with pytest.raises(DestinationError, match="give it a name"):
        session.deliver(to, 1)
    session.start_worker("mail")
    push(redis, "t1", deliver=to)
    wait_until(lambda: any("is not delivered" in each for each in notices), "refused")

    assert session.deliveries().empty
    assert not IN_CODE or to not in IN_CODE.values()


@pytest.mark.parametrize(
    ("to", "problem"),
    [
        (Path("/data/x.json"), "'/data/x.json' is a path; write a URL, such as 'file:///"),
        ("~/x.json", "is a path"),
        (7, "7 is neither a URL nor a name"),
        (["orders", "a b"], "'a b' is neither a URL nor a name"),
    ],
)
def test_what_is_no_url_is_told_what_one_looks_like(to: Any, problem: str) -> None:
    with pytest.raises(DestinationError, match=problem):
        task(deliver_to=to)


def test_options_that_a_destination_does_not_have_are_refused(session: Session) -> None:
    with pytest.raises(UsageError, match="for http"):
        session.destination("x", "s3://b/{task_id}", secret="whsec_x")
    with pytest.raises(DestinationError, match="takes no statement"):
        session.destination("x", "s3://b/{task_id}", statement="SELECT 1")
    with pytest.raises(UsageError, match="takes no statement"):
        session.destination("x", "https://h/", statement="SELECT 1")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cret@h/d",
        "postgresql://u:s3/cret@h/d",
        "postgresql://u:s3@cret@h/d?password=s3cret",
        "s3://b/x?secret=s3cret",
    ],
)
def test_a_url_is_shown_without_its_secret(url: str) -> None:
    told = SinkURL.of(url).scrubbed(f"cannot reach {url}: refused", 500)

    for secret in ("s3cret", "s3/cret", "s3@cret", "/cret@", "@cret"):
        assert secret not in shown(url)
        assert secret not in told
