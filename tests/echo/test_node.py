"""A sender that shares no code with us."""

from __future__ import annotations

from pathlib import Path

from runqy_notebook.deliver.signing import Secret
from runqy_notebook.echo.receipts import Verdict
from runqy_notebook.echo.webhooks import Webhooks
from tests.interop.programs import found, output

SENDER = Path(__file__).with_name("send.mjs")
BODY = '{"task_id": "t1", "result": "größer"}'


def test_a_webhook_signed_in_node_is_verified(webhooks: Webhooks) -> None:
    node, secret = found("node"), Secret.new()
    url = webhooks.start(secret=secret, require_signature=True)

    taken = output(node, SENDER, url, secret.reveal(), "m1", BODY)
    refused = output(node, SENDER, url, Secret.new().reveal(), "m2", BODY)

    (receipt,) = webhooks.receipts.newest()
    assert (taken, refused.strip()) == ("204 ", "401 wrong signature")
    assert (receipt.verdict, receipt.task_id) == (Verdict.VERIFIED, "t1")
    assert receipt.body == BODY.encode()
