import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, deliver, task
from runqy_notebook.deliver.signing import Secret, Verdict, verify
from runqy_notebook.errors import DestinationError, SettingsError, TaskFailedError, UsageError
from runqy_notebook.tasks import Fail
from runqy_notebook.wire.events import Event, Kind, decode_event
from tests.broking import push
from tests.deliver.receiving import Receiver
from tests.waiting import wait_until

MakeSession = Callable[..., Session]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def states(session: Session) -> list[str]:
    return list(session.deliveries()["state"])


def test_a_result_reaches_the_destination_that_was_named(
    session: Session, receiver: Receiver
) -> None:
    @task
    def double(payload: dict[str, Any]) -> dict[str, Any]:
        return {"n": 2 * payload["n"]}

    secret = Secret.new()
    session.destination("orders", receiver.url, secret=secret.reveal(), allow_private=True)
    session.start_worker("mail")
    handle = session.enqueue("mail", {"n": 21}, deliver_to="orders")
    wait_until(lambda: receiver.requests, "it should arrive")

    (request,) = receiver.requests
    body = json.loads(request.body)
    assert body.pop("completed_at").endswith("Z")
    assert body == {
        "task_id": handle.id,
        "queue": "mail_default",
        "status": "completed",
        "result": {"n": 42},
        "attempt": 1,
    }
    assert verify([secret], request.headers, request.body, now=request.unix) is Verdict.VALID


def test_an_error_is_delivered_once_the_task_has_failed_for_the_last_time(
    make_session: MakeSession, receiver: Receiver
) -> None:
    @task(deliver_to="orders")
    def failing(payload: dict[str, Any]) -> None:
        raise ValueError("no such order")

    session = make_session(retry_delay=0)
    session.destination("orders", receiver.url, allow_private=True)
    session.start_worker("mail")
    session.enqueue("mail", {}, max_retry=2)
    wait_until(lambda: receiver.requests, "it should arrive")

    (request,) = receiver.requests
    body = json.loads(request.body)
    assert (body["status"], body["error"]) == ("archived", "ValueError: no such order")
    assert body["attempt"] == 3
    assert "result" not in body


def test_a_receiver_that_is_down_never_makes_the_handler_run_again(
    make_session: MakeSession, receiver: Receiver
) -> None:
    runs: list[str] = []

    @task
    def counted(payload: dict[str, Any]) -> str:
        runs.append(payload["task_id"])
        return "done"

    def down_for_three_attempts(channel: socket.socket) -> None:
        status = 503 if len(receiver.requests) <= 3 else 204
        channel.sendall(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n".encode())

    receiver.does(down_for_three_attempts)
    session = make_session(deliver_schedule="0s 300ms 600ms 900ms")
    session.destination("orders", receiver.url, allow_private=True)
    session.start_worker("mail")
    session.enqueue("mail", {}, deliver_to="orders")
    wait_until(lambda: states(session) == ["delivered"], "it should be taken in the end")

    assert len(runs) == 1
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    (row,) = session.deliveries().itertuples()
    assert (row.attempts, row.answer, row.queue) == (4, 204, "mail_default")


def test_a_task_goes_to_several_places_and_what_it_says_goes_before_its_handler(
    session: Session, receiver: Receiver
) -> None:
    @task(deliver_to="nowhere")
    def handler(payload: dict[str, Any]) -> int:
        return 1

    for name in ("one", "two"):
        session.destination(name, f"{receiver.url}/{name}", allow_private=True)
    session.start_worker("mail")
    session.enqueue("mail", {}, deliver_to=["one", "two"])
    wait_until(lambda: len(receiver.requests) == 2, "both should hear of it")

    assert {request.target for request in receiver.requests} == {"/hook/one", "/hook/two"}
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 2


def test_a_url_of_a_strangers_task_reaches_nothing_on_this_machine(
    make_session: MakeSession, receiver: Receiver, redis: redis_py.Redis
) -> None:
    @task
    def handler(payload: dict[str, Any]) -> int:
        return 1

    notices: list[str] = []
    session = make_session(on_notice=notices.append)
    session.start_worker("mail")
    push(redis, "t1", deliver=f"{receiver.url} file:///etc/passwd http://10.0.0.1:22/ http://[::1]")
    wait_until(lambda: states(session) == ["failed", "failed"], "both URLs should be refused")

    assert receiver.connections == 0
    assert sum("is not delivered" in notice for notice in notices) == 2
    assert redis.hget("asynq:t:t1", "state") == b"completed"


def test_a_handler_that_delivers_by_itself_finds_url_and_id_in_its_payload(
    session: Session, redis: redis_py.Redis
) -> None:
    handle = session.enqueue("mail", {"input": 1}, webhook="http://127.0.0.1:9/hook")
    group = session.enqueue_many("mail", [{"n": 1}, {"n": 2}], webhook="https://hooks.example/")

    held: Any = redis.hget(f"asynq:t:{handle.id}", "payload")
    assert json.loads(held) == {
        "input": 1,
        "webhook_url": "http://127.0.0.1:9/hook",
        "task_id": handle.id,
    }
    assert redis.hget(f"asynq:t:{handle.id}", "deliver") is None
    for each in group:
        held = redis.hget(f"asynq:t:{each.id}", "payload")
        assert json.loads(held)["task_id"] == each.id


def test_deliver_to_leaves_the_payload_as_it_is(session: Session, redis: redis_py.Redis) -> None:
    handle = session.enqueue("mail", {"input": 1}, deliver_to="https://hooks.example/a?b=c")

    assert redis.hget(f"asynq:t:{handle.id}", "payload") == b'{"input":1}'
    assert redis.hget(f"asynq:t:{handle.id}", "deliver") == b"https://hooks.example/a?b=c"


def test_the_documents_own_handler_runs_unchanged(session: Session, receiver: Receiver) -> None:
    """Word for word from runqy's document on delivering results, but for its imports."""
    import logging

    import requests

    def process_data(value: str) -> str:
        return value.upper()

    @task
    def handle(payload: dict, ctx: dict) -> dict:  # type: ignore[type-arg, return]
        webhook_url = payload.get("webhook_url")

        # Do the work
        result = process_data(payload["input"])

        # Deliver via webhook
        if webhook_url:
            try:
                response = requests.post(
                    webhook_url,
                    json={
                        "task_id": payload.get("task_id"),
                        "status": "completed",
                        "result": result,
                    },
                    timeout=30,
                )
                response.raise_for_status()
            except requests.RequestException as e:
                logging.error(f"Webhook delivery failed: {e}")

        # Just return to signal success
        return  # type: ignore[return-value]

    session.start_worker("inference")
    sent = session.enqueue("inference", {"input": "process this"}, webhook=receiver.url)
    assert sent.result(10) is None

    (request,) = receiver.requests
    assert json.loads(request.body) == {
        "task_id": sent.id,
        "status": "completed",
        "result": "PROCESS THIS",
    }
    assert session.deliveries().empty


def test_a_handler_can_have_us_deliver(session: Session, receiver: Receiver) -> None:
    @task
    def handler(payload: dict[str, Any]) -> None:
        deliver.send("orders", {"half": 1}, task_id=payload["task_id"])
        raise Fail("and then it breaks")

    session.destination("orders", receiver.url, allow_private=True)
    session.start_worker("mail")
    handle = session.enqueue("mail", {})
    wait_until(lambda: states(session) == ["delivered"], "it should be delivered")

    assert json.loads(receiver.requests[0].body) == {"half": 1}
    assert list(session.deliveries()["task_id"]) == [handle.id]


def test_without_a_session_nothing_can_be_sent() -> None:
    with pytest.raises(UsageError, match="no session is open"):
        deliver.send("https://hooks.example/", {})


def test_what_is_delivered_from_a_session_without_a_worker(
    session: Session, receiver: Receiver
) -> None:
    session.destination("orders", receiver.url, allow_private=True)

    (sent,) = session.deliver("orders", [1, 2])
    wait_until(lambda: states(session) == ["delivered"], "it should be delivered")

    assert receiver.requests[0].headers["webhook-id"] == sent


def test_a_delivery_that_failed_can_be_had_again(
    make_session: MakeSession, receiver: Receiver
) -> None:
    receiver.answers(500)
    session = make_session(deliver_schedule="0s")
    session.destination("orders", receiver.url, allow_private=True)
    (sent,) = session.deliver("orders", 1)
    wait_until(lambda: states(session) == ["failed"], "there is one attempt only")

    receiver.answers(200)
    session.retry_delivery(sent)
    wait_until(lambda: states(session) == ["delivered"], "the second one should do")

    assert [r.headers["webhook-id"] for r in receiver.requests] == [sent, sent]
    with pytest.raises(UsageError, match="was delivered"):
        session.retry_delivery(sent)
    with pytest.raises(UsageError, match="is not known"):
        session.retry_delivery("msg_0")


def test_results_for_a_name_unknown_here_wait_for_the_session_that_knows_it(
    make_session: MakeSession, receiver: Receiver
) -> None:
    @task
    def handler(payload: dict[str, Any]) -> int:
        return 1

    notices: list[str] = []
    working, knowing = make_session(on_notice=notices.append), make_session()
    knowing.destination("orders", receiver.url, allow_private=True)
    working.start_worker("mail")
    working.enqueue("mail", {}, deliver_to="orders").result(10)
    wait_until(lambda: states(working) == ["waiting"], "it should wait")
    assert "session.destination('orders', URL)" in notices[0]

    knowing.start_worker("other")
    wait_until(lambda: states(working) == ["delivered"], "the other session should deliver")


def test_echo_is_this_sessions_own_receiver(
    make_session: MakeSession, receiver: Receiver, redis: redis_py.Redis
) -> None:
    @task
    def handler(payload: dict[str, Any]) -> int:
        return 1

    session, other = make_session(), make_session()
    secret = Secret.new()
    with pytest.raises(UsageError, match="%runqy webhook start"):
        session.enqueue("mail", {}, deliver_to="echo")
    session.echo_at(receiver.url, secret.reveal())
    other.start_worker("mail")

    told = session.enqueue("mail", {}, deliver_to=["echo"], webhook="echo")
    wait_until(lambda: receiver.requests, "the worker elsewhere cannot deliver it, but we can")

    request = receiver.requests[0]
    assert verify([secret], request.headers, request.body, now=time.time()) is Verdict.VALID
    held: Any = redis.hget(f"asynq:t:{told.id}", "payload")
    assert json.loads(held)["webhook_url"] == receiver.url
    assert session.echo_url() == receiver.url


def test_each_attempt_is_an_event_here_and_for_others(
    make_session: MakeSession, receiver: Receiver, redis: redis_py.Redis
) -> None:
    @task
    def handler(payload: dict[str, Any]) -> int:
        return 1

    heard: list[Event] = []
    receiver.answers(500)
    session = make_session(deliver_schedule="0s 50ms")
    session.listen(heard.append)
    other = redis.pubsub(ignore_subscribe_messages=True)
    other.subscribe("asynq:events:0:mail_default")
    wait_until(lambda: redis.pubsub_numsub("asynq:events:0:mail_default")[0][1], "listening")
    session.destination("orders", receiver.url, allow_private=True)
    session.start_worker("mail")
    session.enqueue("mail", {}, deliver_to="orders")
    published: list[Event] = []

    def attempts(told: list[Event]) -> list[tuple[int, str]]:
        if message := other.get_message(timeout=0.01):
            published.extend(filter(None, [decode_event(message["data"])]))
        return [(e.attempt, e.note) for e in told if e.kind is Kind.DELIVERED and "500" in e.error]

    expected = [(1, "waiting: orders"), (2, "failed: orders")]
    wait_until(lambda: attempts(heard) == expected, "told here")
    wait_until(lambda: attempts(published) == expected, "told to others")
    other.close()


def test_a_result_that_cannot_be_sent_is_told_and_the_rest_is_sent(
    make_session: MakeSession, receiver: Receiver
) -> None:
    @task
    def handler(payload: dict[str, Any]) -> object:
        return object() if payload["kind"] == "odd" else "x" * 2_000_000

    notices: list[str] = []
    session = make_session(on_notice=notices.append)
    session.destination("orders", receiver.url, allow_private=True)
    session.start_worker("mail")
    for kind in ("odd", "large"):
        session.enqueue("mail", {"kind": kind}, deliver_to="orders")
    wait_until(lambda: len(receiver.requests) == 2, "both should arrive")

    for request in receiver.requests:
        body = json.loads(request.body)
        assert (body["status"], body["result"]) == ("completed", None)
    assert sum("without its result" in notice for notice in notices) == 2


COLUMNS = {
    "task_id": "object",
    "queue": "object",
    "status": "object",
    "to": "object",
    "state": "object",
    "attempts": "int64",
    "answer": "Int64",
    "error": "object",
    "seconds": "float64",
    "created_at": "datetime64[us, UTC]",
    "attempted_at": "datetime64[us, UTC]",
    "due_at": "datetime64[us, UTC]",
    "finished_at": "datetime64[us, UTC]",
}


def test_the_frame_of_deliveries_is_the_same_with_and_without_rows(session: Session) -> None:
    empty = session.deliveries()
    session.deliver("https://x.invalid/a?sig=b", 1)
    wait_until(lambda: session.deliveries()["attempts"].sum(), "one attempt")

    for frame in (empty, session.deliveries()):
        assert {name: str(kind) for name, kind in frame.dtypes.items()} == COLUMNS
        assert frame.index.name == "id"
    assert list(session.deliveries()["to"]) == ["https://x.invalid/a?…"]


@pytest.mark.parametrize(
    "to",
    ["ftp://x.example/", "http://me:hunter2@x.example/", "http://x.example:22/", "or ders", "", 7],
)
def test_what_is_no_destination_is_refused_when_it_is_enqueued(session: Session, to: Any) -> None:
    with pytest.raises(DestinationError) as caught:
        session.enqueue("mail", {}, deliver_to=to)
    with pytest.raises(DestinationError):
        task(deliver_to=to)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("webhook", ["ftp://me:hunter2@x.example/", "http:x", "", 7, "http://x\n"])
def test_what_is_no_url_is_refused_as_a_webhook(session: Session, webhook: Any) -> None:
    with pytest.raises(UsageError, match="webhook must be") as caught:
        session.enqueue("mail", {}, webhook=webhook)

    assert "hunter2" not in str(caught.value)


def test_secrets_print_nowhere(url: str, receiver: Receiver) -> None:
    receiver.answers(500)
    secret = Secret.new().reveal()
    notices: list[str] = []
    with Session(
        url, webhook_secret=secret, deliver_schedule="0s", on_notice=notices.append
    ) as session:
        session.destination("orders", receiver.url, allow_private=True)
        session.deliver("orders", 1)
        wait_until(lambda: notices, "it should fail")
        shown = f"{session!r} {session.settings!r} {notices} {session.deliveries().to_string()}"

        assert secret.removeprefix("whsec_") not in shown
        assert verify(
            [Secret.of(secret)],
            receiver.requests[0].headers,
            receiver.requests[0].body,
            now=time.time(),
        )

    with pytest.raises(SettingsError) as caught:
        Session(url, webhook_secret="whsec_hunter2")
    assert "hunter2" not in str(caught.value)


def test_a_rotation_signs_with_both_secrets(make_session: MakeSession, receiver: Receiver) -> None:
    old, new = Secret.new(), Secret.new()
    session = make_session(webhook_secret=f"{new.reveal()} {old.reveal()}")
    session.destination("orders", receiver.url, allow_private=True)
    session.deliver("orders", 1)
    wait_until(lambda: receiver.requests, "it should arrive")

    request = receiver.requests[0]
    for secret in (old, new):
        verdict = verify([secret], request.headers, request.body, now=request.unix)
        assert verdict is Verdict.VALID


@pytest.mark.parametrize(
    ("place", "said"),
    [("orders", ""), ("no/name", "neither a URL nor a name"), ("echo", "No receiver runs")],
)
def test_a_handler_in_a_process_of_its_own_delivers_through_the_session(
    session: Session, receiver: Receiver, redis: redis_py.Redis, place: str, said: str
) -> None:
    """A task that was lost with its worker runs apart, where there is no session."""

    def act(payload: dict[str, Any]) -> list[str]:
        from runqy_notebook import deliver

        return deliver.send(place, {"half": 1}, task_id="suspect")

    task(queue="mail")(act)
    session.destination("orders", receiver.url, allow_private=True)
    push(redis, "suspect", losses="1", max_retry="0")
    session.start_worker("mail")
    handle = session.task("suspect")

    if said:
        with pytest.raises(TaskFailedError, match=said):
            handle.result(20)
        return
    (delivery,) = handle.result(20)
    wait_until(lambda: receiver.requests, "it should arrive")
    assert json.loads(receiver.requests[0].body) == {"half": 1}
    assert receiver.requests[0].headers["webhook-id"] == delivery


def test_a_large_result_that_is_stored_is_told_of_with_what_is_better(
    make_session: MakeSession,
) -> None:
    @task(store_result=True)
    def handler(payload: dict[str, Any]) -> str:
        return "x" * payload["size"]

    notices: list[str] = []
    session = make_session(on_notice=notices.append)
    session.start_worker("mail")
    for size in (2**20 - 10, 2**20 + 10):
        session.enqueue("mail", {"size": size}).result(10)

    (told,) = notices
    assert "takes 1.0 MB of the memory of Redis" in told
    assert "deliver_to='s3://...'" in told
    assert session.queues()["result_bytes"].sum() == 2**21 + 4
