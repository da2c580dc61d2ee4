import json
import subprocess
from pathlib import Path

from runqy_notebook import Session, task
from runqy_notebook.deliver.signing import Secret
from tests.interop.programs import found
from tests.waiting import wait_until

TEXTS = ["plain", "ünïcödé €", "😀\u2028\u0000", '"quotes" \\ and / slashes', "a\nb"]


def test_a_receiver_in_node_verifies_what_we_deliver(session: Session) -> None:
    @task
    def echoed(payload: dict[str, str]) -> str:
        return payload["text"]

    secret = Secret.new()
    command = [found("node"), str(Path(__file__).with_name("receive.js")), secret.reveal()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as node:
        assert node.stdin
        assert node.stdout
        port = int(node.stdout.readline())
        url = f"http://127.0.0.1:{port}/"
        session.destination("ours", url, secret=secret.reveal(), allow_private=True)
        wrong = Secret.new().reveal()
        session.destination("others", url, secret=wrong, allow_private=True)
        session.start_worker("mail")

        session.enqueue_many("mail", [{"text": text} for text in TEXTS], deliver_to="ours")
        heard = [json.loads(node.stdout.readline()) for _ in TEXTS]
        session.enqueue("mail", {"text": "forged"}, deliver_to="others")
        forged = json.loads(node.stdout.readline())
        wait_until(
            lambda: 401 in list(session.deliveries()["answer"].fillna(0)), "it should be refused"
        )
        node.stdin.close()

    assert all(each["isValid"] for each in heard)
    assert sorted(json.loads(each["body"])["result"] for each in heard) == sorted(TEXTS)
    assert not forged["isValid"]
