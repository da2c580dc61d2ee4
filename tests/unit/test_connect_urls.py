"""What a Redis URL says, what of it is shown, and what is said of errors (no server needed)."""

from __future__ import annotations

import errno
import pickle
import socket
import threading
import time
from urllib.parse import quote

import pytest
import redis
from hypothesis import assume, example, given
from hypothesis import strategies as st

from runqy_notebook.broker.address import read_url
from runqy_notebook.broker.connect import explain, masked, open_client
from runqy_notebook.errors import ConnectionFailedError, SettingsError

TCP = "redis://localhost:6379/0"
TLS = "rediss://localhost:6379/0"
UNIX = "unix:///run/redis.sock"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:hunter2@localhost:6379/0", "redis://:***@localhost:6379/0"),
        ("rediss://ann:hunter2@cache.example/3", "rediss://ann:***@cache.example/3"),
        ("redis://ann:hun%40ter2@h", "redis://ann:***@h"),
        ("redis://:hun/t?e#r@2@h:1/0?db=2", "redis://:***@h:1/0?db=2"),
        ("redis://:hun ter2@h", "redis://:***@h"),
        ("redis://:hunter2@[::1]:6379/0", "redis://:***@[::1]:6379/0"),
        ("redis://h?password=hunter2&db=1", "redis://h?password=***&db=1"),
        ("redis://h?password=hun@ter2", "redis://h?password=***"),
        ("redis://h?password=hun&ter2", "redis://h?password=***&***"),
        ("redis://h?Passwd=hunter2#hunter2", "redis://h?Passwd=***"),
        ("redis://h?whatever=hunter2", "redis://h?whatever=***"),
        ("redis://h/0#hunter2", "redis://h/0#***"),
        ("rediss://h?ssl_password=hunter2", "rediss://h?ssl_password=***"),
        ("rediss://h?ssl_cert_reqs=none&db=1", "rediss://h?ssl_cert_reqs=none&db=1"),
        ("unix:///run/a@b.sock?db=1&password=hunter2", "unix:///run/a@b.sock?db=1&password=***"),
        ("unix://ann:hun/ter2@/run/r.sock", "unix://ann:***@/run/r.sock"),
        ("unix://ann@/run/r.sock?password=hunter2", "unix://ann@/run/r.sock?password=***"),
        ("localhost:6379", "localhost:6379"),
        ("embedded server", "embedded server"),
        ("ann:hunter2@localhost:6379", "ann:***@localhost:6379"),
        ("postgres://ann:hunter2@db/app", "postgres://ann:***@db/app"),
    ],
)
def test_a_password_is_never_shown_and_the_rest_is(url: str, shown: str) -> None:
    assert masked(url) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://hunter2@h",  # the colon before a lone password is often forgotten
        "redis://:hunter2",
        "redis://ann:hunter2",
        "redis://ann:hunter2/0",
        "redis:/:hunter2@h",
        "ann:hunter2",
        "redis://:1234567",
        "redis://:x?password=hunter2@h",
        "redis://h?password=x&password=hunter2",
        "redis://:hunter2@",
        "://:hunter2@@@",
    ],
)
def test_what_cannot_be_told_from_a_password_is_hidden(url: str) -> None:
    assert "hunter2" not in masked(url)
    assert "1234567" not in masked(url)


@pytest.mark.parametrize("thing", [None, 7, b"redis://:hunter2@h", "", "://", "[", "\x00\n@:"])
def test_anything_can_be_masked(thing: object) -> None:
    assert "hunter2" not in masked(thing)  # type: ignore[arg-type]


PASSWORDS = st.text(min_size=4, max_size=30).filter(lambda text: text == text.strip())


@given(password=PASSWORDS, user=st.sampled_from(["", "ann"]))
@example(password="hun@ter2", user="ann")
@example(password="://:@/?&=#", user="")
@example(password="?password=x", user="")
@example(password="a  b\tc", user="")
@example(password="%41%42", user="")
def test_no_password_appears_in_a_masked_url(password: str, user: str) -> None:
    for before, after in (
        (f"redis://{user}:", "@host:6379/0"),
        (f"unix://{user}:", "@/run/redis.sock"),
        ("redis://host:6379/0?password=", ""),
        (f"{user}:", "@host"),
    ):
        assume(password not in f"{before}***{after}")
        for spelling in (password, quote(password, safe="")):
            assert password not in masked(before + spelling + after)
            assert spelling not in masked(before + spelling + after)


@given(password=PASSWORDS)
@example(password="a  b\tc")
@example(password="Try \x00 again")
def test_no_password_appears_in_an_explanation(password: str) -> None:
    for url in (f"redis://:{password}@h/0", f"redis://ann:{quote(password, safe='')}@h/0"):
        for text in (
            f"ERR strange {password} {password!r} thing",
            f"unknown command 'AUTH', with args beginning with: '{password}' ",
            f"cannot open {url} at all",
        ):
            without = str(explain(redis.ResponseError(text.replace(password, "")), masked(url)))
            assume(password not in without)

            assert password not in str(explain(redis.ResponseError(text), masked(url)))


@given(password=PASSWORDS)
def test_no_password_appears_when_its_url_is_refused(password: str) -> None:
    for url in (f"http://ann:{password}@h:1/0", f"redis://:{password}@h:99999/0"):
        assume(password not in url.replace(password, ""))

        with pytest.raises(SettingsError) as caught:
            read_url(url)

        assume(password not in str(caught.value).partition(": ")[2])
        assert password not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "db"),
    [
        ("redis://cache.example", "cache.example", 6379, 0),
        ("redis://cache.example:6380/2", "cache.example", 6380, 2),
        ("redis://cache.example/2?db=3", "cache.example", 6379, 3),
        ("redis://[fe80::1]:6380/", "fe80::1", 6380, 0),
        ("redis://", "localhost", 6379, 0),
        ("redis://:6380", "localhost", 6380, 0),
        ("localhost", "localhost", 6379, 0),
        (" localhost:6380\n", "localhost", 6380, 0),
        ("10.0.0.7:6380/2", "10.0.0.7", 6380, 2),
        ("REDIS://Cache", "Cache", 6379, 0),
    ],
)
def test_a_url_says_host_port_and_database(url: str, host: str, port: int, db: int) -> None:
    address = read_url(url)

    assert (address.host, address.port, address.options["db"]) == (host, port, db)
    assert address.scheme == "redis"


def test_user_and_password_are_decoded() -> None:
    options = read_url("redis://a%3An:p%40%2Fs%20s%25@h").options

    assert options["username"] == "a:n"
    assert options["password"] == "p@/s s%"


def test_a_password_may_stand_in_the_query() -> None:
    assert read_url("unix:///run/r.sock?password=p%40s&db=2").options == {
        "password": "p@s",
        "db": 2,
        "path": "/run/r.sock",
    }


def test_a_path_of_a_socket_is_decoded() -> None:
    address = read_url("unix://ann:pw@/run/a%20b@c.sock")

    assert address.options["path"] == "/run/a b@c.sock"
    assert address.options["username"] == "ann"
    assert address.host == ""


def test_tls_checks_certificate_and_host_name_unless_told_otherwise() -> None:
    assert read_url("rediss://h").options["ssl_check_hostname"] is True
    assert read_url("rediss://h?ssl_check_hostname=no").options["ssl_check_hostname"] is False
    assert read_url("rediss://h?ssl_cert_reqs=none").options["ssl_check_hostname"] is False


def test_options_of_other_clients_of_the_same_url_have_no_effect() -> None:
    shared = "redis://h?decode_responses=True&retry_on_timeout=1&socket_timeout=1&protocol=3"

    assert read_url(shared).options == read_url("redis://h").options


def test_an_address_never_prints_its_secrets() -> None:
    address = read_url("rediss://ann:hunter2@h?ssl_password=swordfish")

    assert "hunter2" not in repr(address)
    assert "swordfish" not in repr(address)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://localhost", "http:// is not a Redis URL"),
        ("memcached://localhost", "memcached:// is not a Redis URL"),
        ("postgres://ann:hunter2@db/app", "postgres:// is not a Redis URL"),
        ("/run/redis.sock", "unix:///path"),
        ("", "'' is not a Redis URL"),
        ("sentinel://h:26379/mymaster", "Sentinel URLs are not supported. Give the master's"),
        ("redis+sentinel://h", "Sentinel URLs are not supported"),
        ("redis-sentinel://h", "Sentinel URLs are not supported"),
        ("redis+cluster://h", "Redis Cluster"),
        ("rediscluster://h", "Redis Cluster"),
        ("redis://h:99999", "'99999' is not a port"),
        ("redis://h:0", "'0' is not a port"),
        ("redis://localhost:abc/0", "'abc' is not a port"),
        ("redis://:hunter2@h:6e3", "'6e3' is not a port"),
        ("redis://h/abc", "'abc' is not a database number"),
        ("redis://h/-1", "'-1' is not a database number"),
        ("redis://h/1/2", "'1/2' is not a database number"),
        ("redis://h?db=x", "'x' is not a value of db"),
        ("redis://h?colour=red", "no option 'colour'"),
        ("redis://h?passwort=hunter2", "no option 'passwort'. Did you mean 'password'?"),
        ("rediss://h?ssl_cert_reqs=maybe", "'maybe' is not a value of ssl_cert_reqs"),
        ("rediss://h?ssl_exclude_verify_flags=X", "'X' is not a value of ssl_exclude_verify"),
        ("redis://h?ssl_ca_certs=/ca.pem", "Write rediss://"),
        ("redis://::1:6379", "an IPv6 address in [brackets]"),
        ("redis://:hun/ter2@h", "urllib.parse.quote"),
        ("redis://:1?hunter2@h", "urllib.parse.quote"),
        ("redis://:hun#ter2@h", "urllib.parse.quote"),
        ("redis://h?password=hun#ter2", "urllib.parse.quote"),
        ("unix://run/redis.sock", "unix:///path"),
        ("unix://", "unix:///path"),
        ("redis://ann:hunter2", "a password goes before an @"),
        ("redis://:hunter2/0", "a password goes before an @"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_in_a_sentence(url: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_client(url)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "ter2" not in str(caught.value)


def reply(text: str, name: str = "ResponseError") -> Exception:
    """An error reply as some release of redis-py gives it: with a class of its own or without,
    its code kept, stripped, or put aside.
    """
    made: Exception = type(name, (redis.RedisError,), {})(text)
    return made


def os_error(number: int, at: str = "Error connecting to h.") -> Exception:
    try:
        try:
            raise OSError(number, "whatever")
        except OSError as error:
            raise redis.ConnectionError(at) from error
    except redis.ConnectionError as error:
        return error


@pytest.mark.parametrize(
    ("error", "url", "cause", "remedy"),
    [
        (reply("invalid password", "AuthenticationError"), TCP, "password is wrong", "PASSWORD@"),
        (reply("WRONGPASS invalid username-password pair"), TCP, "is wrong", "redis://:PASSWORD@"),
        (reply("Authentication required.", "AuthenticationError"), UNIX, "a password", "unix://:"),
        (reply("NOAUTH HELLO must be called with"), TCP, "wants a password", "REDIS_PASSWORD"),
        (reply("Client sent AUTH, but no password is set"), TCP, "server has none", "out of the"),
        (reply("DENIED Redis is running in protected mode"), TCP, "protected mode", "requirepass"),
        (reply("NOREPLICAS Not enough good replicas"), TCP, "replicas", "min-replicas"),
        (reply("1 127.0.0.1:7001", "MovedError"), TCP, "Redis Cluster", "cluster-enabled no"),
        (reply("CROSSSLOT Keys in request"), TCP, "Redis Cluster", "cluster-enabled no"),
        (reply("ERR Error running script: -OOM command not"), TCP, "memory", "maxmemory"),
        (reply("NOPERM No permissions to access a key"), TCP, "keys asynq:*", "~asynq:*"),
        (reply("ERR ACL failure in script: No permissions to access a channel"), TCP, "chan", "&"),
        (reply("NOPERM User bob has no permissions to run the 'info' command"), TCP, "info", "+in"),
        (reply("NOPERM something new"), TCP, "may not do that", "+@all"),
        (os_error(errno.ECONNREFUSED), UNIX, "no server listens", "--embedded"),
        (os_error(errno.EACCES), UNIX, "may not open", "unixsocketperm"),
        (os_error(errno.ENETUNREACH), TCP, "cannot be reached", "VPN"),
        (os_error(errno.ECONNRESET, "Error connecting to h"), TLS, "no TLS answer", "redis://"),
        (os_error(errno.ECONNRESET, "Error while reading from h"), TLS, "was lost", "Try again"),
        (os_error(errno.EPIPE, "Error 32 while writing to socket."), TCP, "was lost", "Try again"),
        (os_error(errno.ENOENT), TLS, "certificate or key file", "ssl_ca_certs"),
        (redis.ConnectionError("max number of clients reached"), TCP, "no more clients", "raise"),
        (ValueError("odd"), TCP, "ValueError: odd", "log"),
        (RuntimeError(), TCP, "RuntimeError", "log"),
    ],
)
def test_an_error_has_a_cause_and_a_remedy(
    error: Exception, url: str, cause: str, remedy: str
) -> None:
    explained = explain(error, masked(url))

    assert cause in explained.cause
    assert remedy in explained.remedy
    assert str(explained) == f"{url}: {explained.cause}. {explained.remedy}"


def test_an_explained_error_is_not_explained_again() -> None:
    explained = explain(ValueError("odd"), TCP)

    assert explain(explained, "redis://elsewhere") is explained


def test_a_url_that_was_not_masked_is_masked_in_the_explanation() -> None:
    explained = explain(ValueError("hunter2 is odd"), "redis://:hunter2@h")

    assert explained.where == "redis://:***@h"
    assert "hunter2" not in str(explained)


def test_an_earlier_error_reply_is_not_taken_for_the_cause() -> None:
    error = redis.ConnectionError("Connection closed by server.")
    error.__context__ = redis.exceptions.ReadOnlyError("READONLY You can't write")

    assert "was lost" in explain(error, TCP).cause


def test_an_error_does_not_carry_the_secret_along() -> None:
    explained = explain(ValueError("odd"), masked("redis://:hunter2@h"))

    assert type(explained.where) is str
    assert b"hunter2" not in pickle.dumps(explained.__dict__)


def test_a_name_server_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answered.wait(30) and [])
    started = time.monotonic()

    with pytest.raises(ConnectionFailedError, match="not resolved in"):
        open_client("redis://cache.example", timeout=0.2)

    assert time.monotonic() - started < 10  # of the 30 s that the answer takes
    answered.set()


def test_a_host_name_that_cannot_be_is_explained() -> None:
    with pytest.raises(ConnectionFailedError, match="host name cannot be resolved"):
        open_client(f"redis://{'a' * 70}.example", timeout=1)
