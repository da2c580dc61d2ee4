"""What is told of a task as a row, and the SQL that puts it into a table, by dialect."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any


def values_of(told: Mapping[str, Any]) -> dict[str, Any]:
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


def fitting(column: Any, value: Any) -> Any:
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


def fresh_table(name: str, schema: str | None) -> Any:
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


def upsert(dialect: str, table: Any, key: Any, values: Mapping[Any, Any]) -> Any:
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


def time_limits(backend: str, driver: str, seconds: float) -> dict[str, Any]:
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
