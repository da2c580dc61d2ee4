"""What databases differ in, as far as SQLAlchemy leaves that to us."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def is_mysql(dialect: Any) -> bool:
    """Whether it is MySQL or MariaDB."""
    return dialect.name in ("mysql", "mariadb")


def engine_of(url: Any, seconds: float) -> Any:
    """An engine whose driver gives up after so many seconds; nothing is connected yet."""
    import sqlalchemy as sa

    limits = _time_limits(url.get_backend_name(), url.get_driver_name(), seconds)
    made = sa.create_engine(url, pool_pre_ping=True, hide_parameters=True, **limits)
    if is_mysql(made.dialect):
        sa.event.listen(made, "connect", _agree)
    return made


def has_id(dialect: Any, key: Any, task_id: str) -> Any:
    """The condition that a row is of this very task. MySQL takes A and a, and a and á, for the same
    in most columns, and what is no number for 0, so there the bytes decide, too.
    """
    import sqlalchemy as sa

    found = key == task_id
    if not is_mysql(dialect):
        return found
    return sa.and_(found, _bytes(key) == _bytes(sa.literal(task_id, sa.String)))


def insertion(dialect: Any, table: Any, key: Any, values: Mapping[Any, Any]) -> Any:
    """An INSERT; where it can be, one that updates a row that came into being meanwhile."""
    from sqlalchemy.dialects import postgresql, sqlite

    others = [column for column in values if column is not key]
    if dialect.name not in ("postgresql", "sqlite") or not key.primary_key or not others:
        return table.insert().values(values)
    made = (postgresql if dialect.name == "postgresql" else sqlite).insert(table).values(values)
    fresh = {column.name: made.excluded[column.name] for column in others}
    return made.on_conflict_do_update(index_elements=[key], set_=fresh)


def fresh_table(dialect: Any, name: str, schema: str | None) -> Any:
    """The table that `&create=true` makes."""
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql

    exact = "utf8mb4_nopad_bin" if getattr(dialect, "is_mariadb", False) else "utf8mb4_bin"
    task_id = sa.String(512).with_variant(
        mysql.VARCHAR(512, charset="utf8mb4", collation=exact), "mysql", "mariadb"
    )
    text = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
    moment = sa.DateTime(timezone=True).with_variant(mysql.DATETIME(fsp=3), "mysql", "mariadb")
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("task_id", task_id, primary_key=True),
        sa.Column("queue", sa.String(512)),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("result", sa.JSON),
        sa.Column("error", text),
        sa.Column("attempt", sa.Integer),
        sa.Column("completed_at", moment),
        sa.Column("result_url", text),
        schema=schema,
        mysql_charset="utf8mb4",
        mariadb_charset="utf8mb4",
    )


def _bytes(text: Any) -> Any:
    """CAST(CONVERT(text USING utf8mb4) AS BINARY)"""
    import sqlalchemy as sa

    same = sa.func.convert(text.op("USING")(sa.literal_column("utf8mb4")))
    return sa.cast(same, sa.BINARY)


def _agree(connection: Any, record: object) -> None:
    """Has MySQL refuse what it would cut, and take moments for what they are: UTC."""
    cursor = connection.cursor()
    cursor.execute(
        "SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',STRICT_ALL_TABLES'),"
        " time_zone = '+00:00'"
    )
    cursor.close()


def _time_limits(backend: str, driver: str, seconds: float) -> dict[str, Any]:
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
