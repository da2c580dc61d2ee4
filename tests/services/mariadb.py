"""A real MariaDB for tests of destinations."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants import CLIENT

from tests.services.servers import PASSWORD, QUOTED, Service, needs

_ACCOUNT = f"CREATE USER IF NOT EXISTS worker@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';"


class MariaDB(Service):
    """MariaDB, as Debian packs it, as the user that the package made for it."""

    def __init__(self) -> None:
        super().__init__("mariadb")
        self._server = "/usr/sbin/mariadbd"
        if not Path(self._server).exists():
            self._server = needs("mariadbd")
        self._user = ["--user=mysql"] if os.geteuid() == 0 else []
        self._data = self.folder / "data"
        program = [needs("mariadb-install-db"), "--no-defaults", f"--datadir={self._data}"]
        told = ["--auth-root-authentication-method=normal", "--skip-test-db", "--skip-log-bin"]
        subprocess.run(
            [*program, *told, *self._user],
            check=True,
            capture_output=True,
            cwd=self.folder,
        )
        (self.folder / "accounts").write_text(
            f"{_ACCOUNT}\nGRANT ALL ON *.* TO worker@'127.0.0.1';\n"
            "CREATE DATABASE IF NOT EXISTS shop;\n"
        )
        if os.geteuid() == 0:
            shutil.chown(self.folder, "mysql")

    def url(self, password: str = QUOTED) -> str:
        return f"mysql://worker:{password}@127.0.0.1:{self.port}/shop"

    def connect(self) -> pymysql.Connection[Any]:
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="worker",
            password=PASSWORD,
            database="shop",
            autocommit=True,
            client_flag=CLIENT.MULTI_STATEMENTS,
        )

    def rows(self, statements: str) -> list[tuple[Any, ...]]:
        """Executes them, and gives the rows of the last one."""
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(statements)
            found = cursor.fetchall()
            while cursor.nextset():
                found = cursor.fetchall()
            return list(found)

    def command(self) -> list[str]:
        settings = {
            "datadir": self._data,
            "bind-address": "127.0.0.1",
            "port": self.port,
            "socket": self.folder / "socket",
            "pid-file": self.folder / "pid",
            "init-file": self.folder / "accounts",
            "innodb-flush-log-at-trx-commit": 2,  # a killed server loses nothing by it
            "innodb-buffer-pool-size": "32M",
        }
        told = [f"--{name}={value}" for name, value in settings.items()]
        return [self._server, "--no-defaults", "--skip-name-resolve", *self._user, *told]

    def answers(self) -> bool:
        try:
            self.connect().close()
        except pymysql.Error:
            return False
        return True
