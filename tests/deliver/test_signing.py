import base64
import json
import random
import time
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from runqy_notebook.deliver.signing import ID, SIGNATURE, TIMESTAMP, Secret, Verdict, sign, verify
from runqy_notebook.errors import UsageError

SECRET = Secret.of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
NOW = 1_800_000_000


def bodies(count: int) -> list[bytes]:
    """JSON texts of many kinds, the same in every run."""
    dice = random.Random(5)
    letters = 'aé€😀"\\\n\x7f{}[],:. '
    words = ["".join(dice.choices(letters, k=dice.randrange(40))) for _ in range(count)]
    made = [{"n": i, "word": word, "share": dice.random()} for i, word in enumerate(words)]
    return [
        json.dumps(each, ensure_ascii=i % 2 == 0, indent=i % 3 or None).encode()
        for i, each in enumerate(made)
    ]


def test_what_we_sign_the_reference_library_verifies() -> None:
    theirs, now = Webhook(SECRET.reveal()), int(time.time())

    for i, body in enumerate(bodies(1_000)):
        headers = sign([SECRET], f"msg_{i}", now, body)

        assert theirs.verify(body, headers) == json.loads(body)


def test_what_the_reference_library_signs_we_verify() -> None:
    theirs, moment = Webhook(SECRET.reveal()), datetime.fromtimestamp(NOW, timezone.utc)

    for i, body in enumerate(bodies(1_000)):
        signature = theirs.sign(f"msg_{i}", moment, body.decode())
        headers = {ID: f"msg_{i}", TIMESTAMP: str(NOW), SIGNATURE: signature}

        assert verify([SECRET], headers, body, now=NOW) is Verdict.VALID


def test_the_specifications_example_has_the_specifications_signature() -> None:
    """The test vector of the reference implementations' suites."""
    body = b'{"test": 2432232314}'

    headers = sign([SECRET], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body)

    assert headers[SIGNATURE] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_in_a_rotation_either_secret_verifies() -> None:
    old, new = Secret.new(), Secret.new()

    headers = sign([new, old], "msg_1", NOW, b"{}")

    assert headers[SIGNATURE].count("v1,") == 2
    assert verify([old], headers, b"{}", now=NOW) is Verdict.VALID
    assert verify([new], headers, b"{}", now=NOW) is Verdict.VALID
    assert verify([Secret.new()], headers, b"{}", now=NOW) is Verdict.WRONG
    assert verify([Secret.new(), old], headers, b"{}", now=NOW) is Verdict.VALID


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({ID: "msg_2"}, Verdict.WRONG),
        ({TIMESTAMP: str(NOW + 1)}, Verdict.WRONG),
        ({SIGNATURE: "v1,AAAA"}, Verdict.WRONG),
        ({SIGNATURE: "v1," + "é" * 40}, Verdict.WRONG),
        ({SIGNATURE: "v1a,AAAA v2,BBBB"}, Verdict.MALFORMED),
        ({SIGNATURE: "no comma"}, Verdict.MALFORMED),
        ({SIGNATURE: ""}, Verdict.UNSIGNED),
        ({ID: ""}, Verdict.MALFORMED),
        ({ID: "ö"}, Verdict.MALFORMED),
        ({ID: "x" * 513}, Verdict.MALFORMED),
        ({TIMESTAMP: "soon"}, Verdict.MALFORMED),
        ({TIMESTAMP: "nan"}, Verdict.MALFORMED),
        ({TIMESTAMP: "-1"}, Verdict.MALFORMED),
        ({TIMESTAMP: "٣"}, Verdict.MALFORMED),
        ({TIMESTAMP: "9" * 400}, Verdict.MALFORMED),
    ],
)
def test_a_changed_header_is_not_valid(change: dict[str, str], verdict: Verdict) -> None:
    headers = {**sign([SECRET], "msg_1", NOW, b"{}"), **change}

    assert verify([SECRET], headers, b"{}", now=NOW) is verdict


def test_the_names_of_headers_may_come_in_any_case() -> None:
    headers = {k.title(): v for k, v in sign([SECRET], "msg_1", NOW, b"{}").items()}

    assert verify([SECRET], headers, b"{}", now=NOW) is Verdict.VALID


@pytest.mark.parametrize(("late", "verdict"), [(299, "valid"), (301, "stale"), (-301, "stale")])
def test_a_signature_counts_for_five_minutes_around_its_time(late: int, verdict: str) -> None:
    headers = sign([SECRET], "msg_1", NOW, b"{}")

    assert verify([SECRET], headers, b"{}", now=NOW + late) == verdict


def test_without_a_signature_a_request_is_unsigned_not_wrong() -> None:
    assert verify([SECRET], {"Host": "x"}, b"{}", now=NOW) is Verdict.UNSIGNED
    assert verify([SECRET], sign([], "msg_1", NOW, b"{}"), b"{}", now=NOW) is Verdict.UNSIGNED


TEXT = st.text(alphabet=st.characters(codec=None), max_size=60)


@given(
    headers=st.fixed_dictionaries(
        {}, optional={ID: TEXT, TIMESTAMP: TEXT, SIGNATURE: TEXT | TEXT.map("v1,{}".format)}
    ),
    body=st.binary(max_size=60),
)
def test_nothing_hostile_is_valid_or_raises(headers: dict[str, str], body: bytes) -> None:
    assert verify([SECRET], headers, body, now=NOW) is not Verdict.VALID


def test_a_secret_prints_nowhere() -> None:
    secret = Secret.new()

    plain = secret.reveal().removeprefix("whsec_")
    for shown in (repr(secret), str(secret), f"{secret}", repr([secret]), repr(secret.signature)):
        assert plain not in shown
        assert repr(secret.key) not in shown


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_short", "whsec_äöü", "s3cret!", "whsec_" + "QUJD" * 40]
)
def test_a_bad_secret_is_refused_without_being_quoted(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        Secret.of(text)

    assert not text.removeprefix("whsec_") or text.removeprefix("whsec_") not in str(caught.value)


def test_a_secret_may_come_without_prefix_and_padding() -> None:
    secret = Secret(bytes(range(32)))
    plain = base64.b64encode(secret.key).decode()

    assert Secret.of(plain) == Secret.of(plain.rstrip("=")) == Secret.of(f"whsec_{plain}") == secret
