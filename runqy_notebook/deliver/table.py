"""A table of a database as a sink: one row a task, through SQLAlchemy.

What comes from a task travels as bound parameters only; the table's and its columns' names come
from the URL and from the database.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from runqy_notebook.deliver.dialects import engine_of, fresh_table
from runqy_notebook.deliver.rows import KEYS, TOLD, values_of, write
from runqy_notebook.deliver.sink import Attempt, Delivered, Failed, Limits, Message
from runqy_notebook.deliver.urls import SinkURL, shown
from runqy_notebook.errors import DestinationError, one_line

BOUND: Final = ("task_id", *TOLD)
"""What a statement of the user's may bind, as `:task_id`."""

_OWN = ("table", "create", "statement")
_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_PACKAGES = {
    "psycopg": "'runqy-notebook[postgres]'",
    "pymysql": "'runqy-notebook[mysql]'",
    "MySQLdb": "mysqlclient",
    "mysql": "mysql-connector-python",
}
_YES = ("1", "true", "yes", "on")


class Table:
    """`postgresql+psycopg://user:password@host/db?table=tasks`: the row whose `task_id` (else `id`)
    is the task's is updated, or inserted where there is none. Of the columns status, queue, result,
    error, attempt, completed_at and result_url those are written that the table has.

    `&create=true` makes the table where it is missing. With `statement`, that is executed instead.
    """

    suffix = None
    largest = 2**28

    def __init__(self, url: str, *, statement: str | None = None) -> None:
        import sqlalchemy as sa

        self._parts = SinkURL.of(url)
        query = self._parts.query
        self._table_name = query.get("table", "")
        self._creates = query.get("create", "").lower() in _YES
        self._statement = _checked(statement or query.get("statement"))
        if bool(self._table_name) == (self._statement is not None):
            raise DestinationError(
                f"{shown(url)} must say which table: put ?table=NAME behind it, or give "
                "session.destination a statement"
            )
        try:
            made = sa.make_url(self._parts.without(*_OWN))
            made = made.set(drivername=_DRIVERS.get(made.drivername, made.drivername))
            self._dialect = made.get_dialect()()
            if made.get_dialect().is_async:
                raise DestinationError(
                    f"{self._parts.scheme}:// is an asynchronous driver; write {self._parts.kind}://"
                )
            made.get_dialect().import_dbapi()
        except ModuleNotFoundError as error:
            missing = str(error.name)
            raise DestinationError(
                f"{self._parts.scheme}:// needs the package {missing}, which is not installed: "
                f"pip install {_PACKAGES.get(missing, missing)}"
            ) from None
        except (sa.exc.ArgumentError, ValueError) as error:
            raise DestinationError(
                f"{shown(url)} is no URL of a database: {self._parts.scrubbed(error)}"
            ) from None
        self._url = made
        self._lock = threading.Lock()
        self._engine: Any = None
        self._table: Any = None

    def __str__(self) -> str:
        return shown(f"{self._parts.scheme}://{self._parts.rest}")

    def __repr__(self) -> str:
        return f"<Table {self}>"

    def deliver(self, message: Message, limits: Limits) -> Attempt:
        import sqlalchemy as sa

        began = time.monotonic()
        try:
            values = values_of(message.told())
            engine = self._opened(limits.deadline)
            if self._statement is None:
                write(engine, self._known_table(engine), values)
            else:
                with engine.begin() as connection:
                    connection.execute(sa.text(self._statement), self._bound(values))
        except _UnusableError as error:
            return Failed(str(error), time.monotonic() - began)
        except (sa.exc.SQLAlchemyError, OSError, ValueError, TypeError) as error:
            self._table = None  # it may have been changed
            told = getattr(error, "orig", None) or error  # SQLAlchemy's own text quotes parameters,
            text = str(told).partition("\nDETAIL:")[0]  # and PostgreSQL's details quote rows
            why = self._parts.scrubbed(f"{type(error).__name__}: {text}")
            return Failed(why, time.monotonic() - began)
        return Delivered(None, time.monotonic() - began)

    def close(self) -> None:
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    # --- inside ---------------------------------------------------------------------------------

    def _opened(self, seconds: float) -> Any:
        with self._lock:
            if self._engine is None:
                self._engine = engine_of(self._url, seconds)
            return self._engine

    def _known_table(self, engine: Any) -> Any:
        """The table as the database describes it; raises _UnusableError."""
        import sqlalchemy as sa

        with self._lock:
            if self._table is not None:
                return self._table
            schema, _, name = self._table_name.rpartition(".")
            if self._creates:
                fresh_table(engine.dialect, name, schema or None).create(engine, checkfirst=True)
            try:
                table = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=engine)
            except sa.exc.NoSuchTableError:
                raise _UnusableError(
                    f"there is no table {one_line(self._table_name, 80)!r} (&create=true makes it)"
                ) from None
            if not any(key in table.columns for key in KEYS):
                raise _UnusableError(
                    f"the table {one_line(self._table_name, 80)!r} has no column task_id, nor id"
                )
            if not any(name in table.columns for name in TOLD):
                raise _UnusableError(
                    f"the table {one_line(self._table_name, 80)!r} has none of the columns "
                    f"{', '.join(TOLD)}"
                )
            self._table = table
            return table

    def _bound(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """Values for a statement, which has no columns to tell their types: JSON is text."""
        import sqlalchemy as sa

        names = sa.text(self._statement or "")._bindparams
        ready = {**told, "result": json.dumps(told["result"], ensure_ascii=False)}
        if self._url.get_backend_name() == "sqlite":
            ready["completed_at"] = told["completed_at"].isoformat(timespec="milliseconds")
        return {name: value for name, value in ready.items() if name in names}


class _UnusableError(Exception):
    """The table is not as it should be; somebody may mend it."""


def _checked(statement: str | None) -> str | None:
    """A statement that binds nothing but what there is; raises DestinationError."""
    if statement is None:
        return None
    import sqlalchemy as sa

    names = set(sa.text(statement)._bindparams)
    if "task_id" not in names or not names <= set(BOUND):
        raise DestinationError(
            "the statement must bind :task_id, and may bind "
            + ", ".join(f":{name}" for name in BOUND[1:])
        )
    return statement
