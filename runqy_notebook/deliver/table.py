"""A table of a database as a sink: one row a task, through SQLAlchemy.

What comes from a task travels as bound parameters only; the table's and its columns' names come
from the URL and from the database.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from runqy_notebook.deliver.sink import Attempt, Delivered, Failed, Limits, Message
from runqy_notebook.deliver.urls import SinkURL, shown
from runqy_notebook.errors import DestinationError, one_line

BOUND: Final = (
    *("task_id", "queue", "status", "result", "error"),
    *("attempt", "completed_at", "result_url"),
)
"""What a statement of the user's may bind, as `:task_id`."""

_OWN = ("table", "create", "statement")
_DRIVERS = {
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}
_PACKAGES = {"psycopg": "'runqy-notebook[postgres]'"}
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
            values = _values(message.told())
            engine = self._opened(limits.deadline)
            table = None if self._statement is not None else self._known_table(engine)
            with engine.begin() as connection:
                if self._statement is not None:
                    connection.execute(sa.text(self._statement), self._bound(values))
                else:
                    self._write(connection, table, values)
        except _UnusableError as error:
            return Failed(str(error), time.monotonic() - began)
        except sa.exc.StatementError as error:  # its own text quotes the parameters
            why = self._parts.scrubbed(f"{type(error).__name__}: {error.orig or error}")
            self._table = None  # it may have been changed
            return Failed(why, time.monotonic() - began)
        except (sa.exc.SQLAlchemyError, OSError) as error:
            why = self._parts.scrubbed(f"{type(error).__name__}: {error}")
            return Failed(why, time.monotonic() - began)
        return Delivered(None, time.monotonic() - began)

    def close(self) -> None:
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    # --- inside ---------------------------------------------------------------------------------

    def _opened(self, seconds: float) -> Any:
        import sqlalchemy as sa

        with self._lock:
            if self._engine is None:
                self._engine = sa.create_engine(
                    self._url,
                    pool_pre_ping=True,
                    hide_parameters=True,
                    **_time_limits(
                        self._url.get_backend_name(), self._url.get_driver_name(), seconds
                    ),
                )
            return self._engine

    def _known_table(self, engine: Any) -> Any:
        """The table as the database describes it; raises _UnusableError."""
        import sqlalchemy as sa

        with self._lock:
            if self._table is not None:
                return self._table
            schema, _, name = self._table_name.rpartition(".")
            if self._creates:
                _fresh_table(name, schema or None).create(engine, checkfirst=True)
            try:
                table = sa.Table(name, sa.MetaData(), schema=schema or None, autoload_with=engine)
            except sa.exc.NoSuchTableError:
                raise _UnusableError(
                    f"there is no table {one_line(self._table_name, 80)!r} (&create=true makes it)"
                ) from None
            if not any(key in table.columns for key in _KEYS):
                raise _UnusableError(
                    f"the table {one_line(self._table_name, 80)!r} has no column task_id, nor id"
                )
            self._table = table
            return table

    def _write(self, connection: Any, table: Any, told: Mapping[str, Any]) -> None:
        key = next(table.c[name] for name in _KEYS if name in table.columns)
        if "result_url" not in table.columns and told["result"] is None and told["result_url"]:
            told = {**told, "result": {"result_url": told["result_url"]}}
        values = {
            table.c[name]: _fitting(table.c[name], value)
            for name, value in told.items()
            if name in table.columns and name not in _KEYS
        }
        changed = connection.execute(table.update().where(key == told["task_id"]).values(values))
        if changed.rowcount:
            return
        insert = _upsert(connection.dialect.name, table, key, {**values, key: told["task_id"]})
        connection.execute(insert)

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


_KEYS = ("task_id", "id")


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


def _values(told: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of the task, for columns. Databases know no NUL in text."""
    try:
        at = datetime.fromisoformat(str(told.get("completed_at")).replace("Z", "+00:00"))
    except ValueError:
        at = datetime.now(timezone.utc)
    error = told.get("error")
    return {
        "task_id": cleared(str(told.get("task_id", ""))),
        "queue": cleared(str(told.get("queue", ""))),
        "status": cleared(str(told.get("status", ""))),
        "result": cleared(told.get("result")),
        "error": None if error is None else cleared(str(error)),
        "attempt": told.get("attempt"),
        "completed_at": at,
        "result_url": cleared(told.get("result_url")),
    }


def cleared(value: Any) -> Any:
    """A JSON value without NULs, which no database takes in a text."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd")
    if isinstance(value, dict):
        return {cleared(key): cleared(item) for key, item in value.items()}
    if isinstance(value, list):
        return [cleared(item) for item in value]
    return value


def _fitting(column: Any, value: Any) -> Any:
    """The value as the column wants it: JSON as text where it is not of a JSON type."""
    import sqlalchemy as sa

    if column.name == "result":
        if isinstance(column.type, sa.JSON):
            return sa.null() if value is None else value
        return None if value is None else json.dumps(value, ensure_ascii=False)
    if isinstance(value, datetime) and isinstance(column.type, sa.DateTime):
        return value if column.type.timezone else value.replace(tzinfo=None)
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return value


def _fresh_table(name: str, schema: str | None) -> Any:
    import sqlalchemy as sa

    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("task_id", sa.String(512), primary_key=True),
        sa.Column("queue", sa.String(512)),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("error", sa.Text),
        sa.Column("attempt", sa.Integer),
        sa.Column("completed_at", sa.DateTime(timezone=True)),
        sa.Column("result_url", sa.Text),
        schema=schema,
    )


def _upsert(dialect: str, table: Any, key: Any, values: Mapping[Any, Any]) -> Any:
    """An INSERT that updates where the row came into being meanwhile."""
    if dialect in ("postgresql", "sqlite"):
        from sqlalchemy.dialects import postgresql, sqlite

        module = postgresql if dialect == "postgresql" else sqlite
        made = module.insert(table).values(values)
        if not (key.primary_key or key.unique):
            return made
        others = {column.name: made.excluded[column.name] for column in values if column is not key}
        return made.on_conflict_do_update(index_elements=[key], set_=others)
    if dialect in ("mysql", "mariadb"):
        from sqlalchemy.dialects import mysql

        fresh = mysql.insert(table).values(values)
        others = {
            column.name: fresh.inserted[column.name] for column in values if column is not key
        }
        return fresh.on_duplicate_key_update(others)
    return table.insert().values(values)


def _time_limits(backend: str, driver: str, seconds: float) -> dict[str, Any]:
    """Arguments for which the driver gives up after so many seconds."""
    whole = max(1, round(seconds))
    if driver in ("psycopg", "psycopg2"):
        options = f"-c statement_timeout={1000 * whole}"
        return {
            "connect_args": {"connect_timeout": max(2, whole), "options": options},
            "max_overflow": 10,
        }
    if driver == "pymysql":
        limits = {"connect_timeout": whole, "read_timeout": whole, "write_timeout": whole}
        return {"connect_args": limits, "max_overflow": 10}
    if backend == "sqlite" and driver == "pysqlite":
        return {"connect_args": {"timeout": seconds}}
    return {}
