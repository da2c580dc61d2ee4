"""Real servers for tests of destinations: private ones on free loopback ports. They can be stopped
and started again on the same port, with the same data where they keep any.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pika
import psycopg
import pytest

from tests.waiting import wait_until

PASSWORD = "hunter2/with@signs"
"""A secret, with characters that URLs must quote."""

QUOTED = "hunter2%2Fwith%40signs"


class Service:
    """A server of its own, in a folder of its own, which others may look into."""

    def __init__(self, name: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"runqy-{name}-"))
        self.folder.chmod(0o755)
        self.port = quiet_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Begins to serve; returns when it answers."""
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                self.command(), env=self.environment(), stdout=log, stderr=log, cwd=self.folder
            )
        wait_until(self._answers_or_fails, f"{type(self).__name__} did not start", 60)
        self.started()

    def stop(self) -> None:
        """Ends it at once, as a power cut does."""
        if self._process is not None:
            self.end(self._process)
            self._process.wait(30)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def started(self) -> None:
        """What is done each time it answers."""

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()

    def _answers_or_fails(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            told = (self.folder / "log").read_text(errors="replace")[-2000:]
            raise AssertionError(f"{type(self).__name__} ended: {told}")
        return self.answers()


class Postgres(Service):
    """PostgreSQL, as Debian packs it; it refuses to run as root."""

    def __init__(self) -> None:
        super().__init__("postgres")
        found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
        self._bin = Path(found[-1]) if found else Path(needs("postgres")).parent
        self._data = self.folder / "data"
        self._data.mkdir(mode=0o700)
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(self._data, "postgres")
        options = ["--username=worker", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync"]
        subprocess.run(
            [*self._user(), str(self._bin / "initdb"), f"--pgdata={self._data}", *options],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
        )

    def url(self, password: str = QUOTED) -> str:
        return f"postgresql+psycopg://worker:{password}@127.0.0.1:{self.port}/postgres"

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="worker",
            password=PASSWORD,
            dbname="postgres",
            autocommit=True,
        )

    def rows(self, statements: str) -> list[tuple[Any, ...]]:
        """Executes them, and gives the rows of the last one."""
        with self.connect() as connection:
            cursor = connection.execute(statements)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",  # a killed server loses nothing by it, only a machine does
        }
        told = [part for item in settings.items() for part in ("-c", "{}={}".format(*item))]
        return [*self._user(), str(self._bin / "postgres"), "-D", str(self._data), *told]

    def answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def end(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGQUIT)  # at once; SIGKILL would leave its own processes behind

    def _user(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        found = pwd.getpwnam("postgres")
        ids = [f"--reuid={found.pw_uid}", f"--regid={found.pw_gid}", "--clear-groups"]
        return ["setpriv", *ids, "--"]


class RabbitMQ(Service):
    """RabbitMQ, as Debian packs it, with an epmd of its own, which ends with it."""

    def __init__(self) -> None:
        super().__init__("rabbitmq")
        self._server = "/usr/lib/rabbitmq/bin/rabbitmq-server"
        if not Path(self._server).exists():
            self._server = needs("rabbitmq-server")
        self._epmd: subprocess.Popen[bytes] | None = None
        self._epmd_port, self._node_port = quiet_port(), quiet_port()
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            "default_user = worker\n"
            f"default_pass = {PASSWORD}\n"
            "loopback_users = none\n"
        )
        (self.folder / "plugins").write_text("[].\n")

    def url(self, path: str, password: str = QUOTED) -> str:
        return f"amqp://worker:{password}@127.0.0.1:{self.port}/{path}"

    def connect(self) -> pika.BlockingConnection:
        login = pika.PlainCredentials("worker", PASSWORD)
        return pika.BlockingConnection(
            pika.ConnectionParameters("127.0.0.1", self.port, credentials=login)
        )

    def messages(self, queue: str) -> list[tuple[Any, bytes]]:
        """Takes what lies in a queue: properties and body of each."""
        found = []
        with contextlib.closing(self.connect()) as connection:
            channel = connection.channel()
            while True:
                method, properties, body = channel.basic_get(queue, auto_ack=True)
                if method is None:
                    return found
                found.append((properties, body))

    def start(self) -> None:
        # Started here, for the one that the server would start is nobody's child.
        self._epmd = subprocess.Popen(
            ["epmd"], env=self.environment(), cwd=self.folder, stderr=subprocess.DEVNULL
        )
        wait_until(self._epmd_answers, "epmd did not start")
        super().start()

    def command(self) -> list[str]:
        return [self._server]

    def environment(self) -> dict[str, str]:
        folder = str(self.folder)
        return {
            **os.environ,
            "HOME": folder,
            "RABBITMQ_NODENAME": f"test{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/logs",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONF_ENV_FILE": f"{folder}/none",
            "RABBITMQ_DIST_PORT": str(self._node_port),
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
        }

    def _epmd_answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self._epmd_port)) == 0

    def answers(self) -> bool:
        try:
            self.connect().close()
        except (pika.exceptions.AMQPError, OSError):
            return False
        return True

    def end(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(OSError, ValueError):  # the shell's child, if it is one
            os.kill(int((self.folder / "pid").read_text()), signal.SIGKILL)
        process.kill()
        if self._epmd is not None:
            self._epmd.kill()
            self._epmd.wait()


class S3(Service):
    """moto's server, an emulator of S3: it forgets its objects when it stops."""

    def __init__(self, *, knows_nobody: bool = False) -> None:
        super().__init__("s3")
        self._knows_nobody = knows_nobody

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id="worker",
            aws_secret_access_key=PASSWORD,
        )

    def url(self, place: str, secret: str = QUOTED) -> str:
        return (
            f"s3://{place}?endpoint_url={self.endpoint}&region=us-east-1&key=worker&secret={secret}"
        )

    def objects(self, bucket: str = "results") -> dict[str, bytes]:
        client = self.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}

    def command(self) -> list[str]:
        return [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)]

    def environment(self) -> dict[str, str]:
        refusing = {"INITIAL_NO_AUTH_ACTION_COUNT": "0"} if self._knows_nobody else {}
        return {**os.environ, **refusing}

    def started(self) -> None:
        if not self._knows_nobody:
            self.client().create_bucket(Bucket="results")


class GCS(Service):
    """gcp-storage-emulator, an emulator of Google Cloud Storage: it lets everybody in."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __init__(self) -> None:
        super().__init__("gcs")

    def url(self, place: str, login: str = "token=anon&expires=0") -> str:
        return f"gs://{place}?endpoint_url={self.endpoint}&{login}"

    def objects(self, bucket: str = "results") -> dict[str, bytes]:
        listed = json.loads(self._get(bucket, ""))
        return {
            item["name"]: self._get(bucket, f"/{quote(item['name'], safe='')}?alt=media")
            for item in listed.get("items", ())
        }

    def _get(self, bucket: str, what: str) -> bytes:
        url = f"{self.endpoint}/storage/v1/b/{bucket}/o{what}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bytes(answer.read())

    def command(self) -> list[str]:
        program = Path(sys.executable).parent / "gcp-storage-emulator"
        told = ["--host=127.0.0.1", f"--port={self.port}", "--default-bucket=results"]
        return [str(program), f"--data-dir={self.folder}/data", "start", *told]


def quiet_port() -> int:
    """A loopback port that nobody listens on, outside of those that systems give out by themselves:
    who knocks again and again at one of those may end up connected to itself, and hold it.
    """
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def needs(program: str) -> str:
    """Where a program is; without it the test is skipped, in CI it fails."""
    found = shutil.which(program)
    if not found:
        missing(f"{program} is not installed (bash tests/install.sh installs it on Debian)")
    return str(found)


def missing(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def started(make: Callable[[], Any]) -> Any:
    """A service that serves; where it cannot be, the test is skipped, in CI it fails."""
    service = make()
    try:
        service.start()
    except (AssertionError, OSError, subprocess.SubprocessError) as error:
        service.close()
        missing(f"{make} could not be started: {error}")
    return service
