"""`result_url`: a signed address, good from the moment that it is sent."""

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import redis as redis_py

from runqy_notebook import Session, task
from tests.deliver.receiving import Receiver
from tests.services.accounts import Account, Accounts
from tests.services.servers import GCS, S3
from tests.services.test_destinations import delivered
from tests.services.test_outages import refused
from tests.waiting import wait_until


@pytest.fixture
def accounts() -> Iterator[Accounts]:
    with Accounts() as running:
        yield running


def signing_gcs(gcs: GCS, account: Account, accounts: Accounts, folder: Path, expires: int) -> str:
    """A destination whose addresses this account signs."""
    key = account.write(folder / "key.json", accounts.url)
    return gcs.url("results/signed/{task_id}.json", f"token={key}&expires={expires}")


def test_an_address_of_gcs_is_signed_by_the_account_and_expires(
    session: Session, gcs: GCS, accounts: Accounts, tmp_path: Path
) -> None:
    """The emulator takes any signature; this one is verified with the account's public key."""
    account = Account()
    accounts.know(account)
    store = signing_gcs(gcs, account, accounts, tmp_path, 600)
    with Receiver() as receiver:
        session.destination("notice", receiver.url, allow_private=True)

        @task(deliver_to=[store, "notice"])
        def handler(payload: dict[str, Any]) -> int:
            return 7

        session.start_worker("mail")
        session.enqueue("mail", {}, id="a/b %ü")
        delivered(session, 2)

        url = json.loads(receiver.requests[0].body)["result_url"]
    assert account.check(url)["X-Goog-Expires"] == "600"
    assert urllib.request.urlopen(url, timeout=5).read() == b"7"


def test_an_account_that_google_does_not_know_is_one_line(
    quick: Session, gcs: GCS, accounts: Accounts, tmp_path: Path
) -> None:
    account = Account()
    store = signing_gcs(gcs, account, accounts, tmp_path, 600)

    told = refused(quick, store)
    accounts.know(account)
    delivered(quick)

    assert "Invalid Credentials, 401" in told
    assert "PRIVATE" not in told
    assert gcs.objects()["signed/r1.json"] == b'{"n": 1}'


def test_a_key_file_that_is_not_there_is_told(quick: Session, gcs: GCS, tmp_path: Path) -> None:
    told = refused(quick, gcs.url("results/x.json", f"token={tmp_path}/none.json"))

    assert told == "the key file that its ?token= names is not there"


def test_default_credentials_that_are_not_there_are_told(
    quick: Session, gcs: GCS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))

    told = refused(quick, gcs.url("results/x.json", "expires=1"))

    assert "DefaultCredentialsError" in told
    assert "was not found" in told


Late = Callable[[str], list[str]]


@pytest.fixture
def late(quick: Session) -> Late:
    """Has a webhook tell of a file, again and again until it told two different addresses; gives
    the addresses.
    """

    def run(store: str) -> list[str]:
        with Receiver() as receiver:
            receiver.answers(503)
            quick.destination("notice", receiver.url, allow_private=True)
            quick.destination("store", store)

            @task(deliver_to=["store", "notice"])
            def handler(payload: dict[str, Any]) -> int:
                return 7

            def told() -> list[str]:
                bodies = [json.loads(each.body) for each in list(receiver.requests)]
                return list(dict.fromkeys(body["result_url"] for body in bodies))

            quick.start_worker("mail")
            quick.enqueue("mail", {}, id="t1")
            wait_until(lambda: len(told()) > 2, "it should be signed again")
            receiver.answers(204)
            delivered(quick, 2)
            return told()

    return run


def signed_at(url: str) -> datetime:
    query = parse_qs(urlsplit(url).query)
    (moment,) = query.get("X-Amz-Date") or query["X-Goog-Date"]
    return datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)


def test_a_webhook_that_comes_late_has_an_address_of_s3_that_is_good(late: Late, s3: S3) -> None:
    urls = late(s3.url("results/late/{task_id}.json") + "&expires=1")

    assert signed_at(urls[-1]) > signed_at(urls[0]) + timedelta(seconds=1)
    assert all("X-Amz-Expires=1&" in url for url in urls)


def test_a_webhook_that_comes_late_has_an_address_of_gcs_that_is_good(
    late: Late, gcs: GCS, accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With Google's default credentials, as none are in the URL."""
    account = Account()
    accounts.know(account)
    key = account.write(tmp_path / "key.json", accounts.url)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))

    urls = late(gcs.url("results/late/{task_id}.json", "expires=1"))

    assert signed_at(urls[-1]) > signed_at(urls[0]) + timedelta(seconds=1)
    assert [account.check(url)["X-Goog-Expires"] for url in urls] == ["1"] * len(urls)


@pytest.mark.parametrize(
    "place",
    ["store/results/other/t1.json", "store/private/late/t1.json", "notice/results/late/t1.json"],
)
def test_nothing_else_is_signed_whatever_redis_says(
    quick: Session, s3: S3, redis: redis_py.Redis, place: str
) -> None:
    with Receiver() as receiver:
        receiver.answers(503)
        quick.destination("notice", receiver.url, allow_private=True)
        quick.destination("store", s3.url("results/late/{task_id}.json"))

        @task(deliver_to=["store", "notice"])
        def handler(payload: dict[str, Any]) -> int:
            return 7

        quick.start_worker("mail")
        quick.enqueue("mail", {}, id="t1")
        wait_until(lambda: receiver.requests, "the first attempt")
        (row,) = [k for k in redis.scan_iter("asynq:nb:outbox:row:*") if redis.hexists(k, "body")]
        redis.hset(row, "result_at", place)
        before = len(receiver.requests)
        wait_until(lambda: len(receiver.requests) > before + 1, "an attempt with that place")

        told = json.loads(receiver.requests[-1].body)["result_url"]
        receiver.answers(204)
        delivered(quick, 2)
    assert re.search("/results/late/t1.json[?]", told)
