"""What is told of a task as a row of a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from runqy_notebook.deliver.dialects import has_id, insertion

KEYS: Final = ("task_id", "id")
"""Columns that may hold a task's id; the first one that the table has does."""

TOLD: Final = (
    *("queue", "status", "result", "error"),
    *("attempt", "completed_at", "result_url"),
)
"""Columns that are written where the table has them."""


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
        if value is None:
            return None
        text = json.dumps(value, ensure_ascii=False)
        return text.encode() if isinstance(column.type, sa.LargeBinary) else text
    if isinstance(value, datetime) and isinstance(column.type, sa.DateTime):
        return value if column.type.timezone else value.replace(tzinfo=None)
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return value


def write(engine: Any, table: Any, told: Mapping[str, Any]) -> None:
    """Updates the row of the task, or inserts it; raises what SQLAlchemy does. Each of the two is a
    transaction of its own: together they would lock each other out where many deliver (InnoDB locks
    the gap in which an UPDATE finds no row).
    """
    import sqlalchemy as sa

    key = next(table.c[name] for name in KEYS if name in table.columns)
    if "result_url" not in table.columns and told["result"] is None and told["result_url"]:
        told = {**told, "result": {"result_url": told["result_url"]}}
    values = {
        table.c[name]: fitting(table.c[name], value)
        for name, value in told.items()
        if name in table.columns and name not in KEYS
    }
    its_row = has_id(engine.dialect, key, told["task_id"])
    update = table.update().where(its_row).values(values)
    insert = insertion(engine.dialect, table, key, {**values, key: told["task_id"]})
    if _rows(engine, update):
        return
    try:
        _rows(engine, insert)
    except sa.exc.IntegrityError:  # it came into being meanwhile, or cannot be
        if not _rows(engine, update):
            raise


def _rows(engine: Any, statement: Any) -> int:
    with engine.begin() as connection:
        return int(connection.execute(statement).rowcount)
