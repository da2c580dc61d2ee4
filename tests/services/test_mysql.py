"""MySQL by the same path as PostgreSQL, and what it does in ways of its own."""

from typing import Any

from runqy_notebook import Session, task
from tests.services.mariadb import MariaDB
from tests.services.test_destinations import delivered
from tests.services.test_outages import refused


def test_a_result_becomes_a_row_of_mysql(session: Session, mariadb: MariaDB) -> None:
    @task(deliver_to=f"{mariadb.url()}?table=made&create=true")
    def handler(payload: dict[str, Any]) -> dict[str, Any]:
        return {"n": 1 / payload["n"], "snow": "☃ and 🎿"}

    session.start_worker("mail")
    session.enqueue("mail", {"n": 2}, id="good")
    session.enqueue("mail", {"n": 0}, id="bad", max_retry=0)
    delivered(session, 2)
    session.enqueue("mail", {"n": 4}, id="Good")
    delivered(session, 3)

    rows = mariadb.rows(
        "SELECT task_id, status, json_value(result, '$.n'), json_value(result, '$.snow'), error"
        " FROM made ORDER BY status, task_id"
    )
    assert rows == [
        ("bad", "archived", None, None, "ZeroDivisionError: division by zero"),
        ("Good", "completed", "0.25", "☃ and 🎿", None),
        ("good", "completed", "0.5", "☃ and 🎿", None),
    ]
    now = "completed_at BETWEEN utc_timestamp() - INTERVAL 1 MINUTE AND utc_timestamp(3)"
    assert mariadb.rows(f"SELECT count(*) FROM made WHERE {now}") == [(3,)]


def test_a_second_run_updates_the_row_that_the_application_made(
    session: Session, mariadb: MariaDB
) -> None:
    mariadb.rows(
        "CREATE TABLE app (id varchar(64) PRIMARY KEY, owner text NOT NULL, status text,"
        " result json, completed_at datetime); INSERT INTO app VALUES ('a1','ann','new',NULL,NULL)"
    )

    @task(deliver_to=f"{mariadb.url()}?table=app")
    def handler(payload: dict[str, Any]) -> int:
        return int(payload["n"])

    session.start_worker("mail")
    for made, n in enumerate((1, 2, 2), 1):  # the last one changes nothing
        session.enqueue("mail", {"n": n}, id="a1").result(20)
        session.delete("a1")
        delivered(session, made)

    assert mariadb.rows("SELECT id, owner, status, result FROM app") == [
        ("a1", "ann", "completed", "2")
    ]


def test_an_id_that_a_table_cannot_tell_from_another_changes_nothing(
    quick: Session, mariadb: MariaDB
) -> None:
    """Columns of MySQL mostly take A for a."""
    mariadb.rows(
        "CREATE TABLE blind (id varchar(64) COLLATE utf8mb4_general_ci PRIMARY KEY, status text)"
    )
    mariadb.rows("INSERT INTO blind VALUES ('R1', 'mine')")

    told = refused(quick, f"{mariadb.url()}?table=blind")

    assert "Duplicate entry 'r1'" in told
    assert mariadb.rows("SELECT * FROM blind") == [("R1", "mine")]


def test_what_a_column_would_cut_is_refused(quick: Session, mariadb: MariaDB) -> None:
    mariadb.rows("SET GLOBAL sql_mode = ''")
    mariadb.rows("CREATE TABLE narrow (id varchar(64) PRIMARY KEY, result varchar(3))")

    told = refused(quick, f"{mariadb.url()}?table=narrow")

    assert "Data too long for column 'result'" in told
    assert mariadb.rows("SELECT * FROM narrow") == []


def test_a_statement_of_the_users_is_executed_in_mysql(session: Session, mariadb: MariaDB) -> None:
    mariadb.rows("CREATE TABLE log (what text, told json, at datetime)")
    session.destination(
        "log",
        mariadb.url().replace("mysql://", "mariadb://"),
        statement="INSERT INTO log VALUES (:task_id, :result, :completed_at)",
    )

    @task(deliver_to="log")
    def handler(payload: dict[str, Any]) -> list[int]:
        return [1]

    session.start_worker("mail")
    session.enqueue("mail", {}, id="%s' :x")
    delivered(session)

    assert mariadb.rows("SELECT what, told FROM log") == [("%s' :x", "[1]")]


def test_moments_are_utc_wherever_the_server_is(session: Session, mariadb: MariaDB) -> None:
    """A TIMESTAMP is taken for the time of the connection's zone."""
    mariadb.rows("SET GLOBAL time_zone = '+05:00'")
    mariadb.rows("CREATE TABLE zoned (id varchar(64) PRIMARY KEY, completed_at timestamp NULL)")

    session.destination("zoned", f"{mariadb.url()}?table=zoned")
    session.deliver("zoned", 1, task_id="z1")
    delivered(session)
    mariadb.rows("SET GLOBAL time_zone = SYSTEM")

    ((age,),) = mariadb.rows("SELECT unix_timestamp() - unix_timestamp(completed_at) FROM zoned")
    assert abs(age) < 60


def test_a_wrong_password_of_mysql_is_one_line_without_the_password(
    quick: Session, mariadb: MariaDB
) -> None:
    told = refused(quick, f"{mariadb.url('wr0ng-secret')}?table=made")

    assert "Access denied for user 'worker'" in told
    assert "wr0ng-secret" not in told
