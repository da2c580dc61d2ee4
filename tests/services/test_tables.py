"""Tables as applications have them: a row fits, or the reason is told."""

import uuid

import pytest

from runqy_notebook import Session
from tests.services.servers import Postgres
from tests.services.test_destinations import delivered
from tests.services.test_outages import refused


def test_ids_and_results_come_in_the_types_of_the_table(
    session: Session, postgres: Postgres
) -> None:
    postgres.rows("CREATE TABLE typed (id uuid PRIMARY KEY, status text, result bytea)")
    task_id = str(uuid.uuid4())
    session.destination("typed", f"{postgres.url()}?table=public.typed")

    for n in (1, 2):
        session.deliver("typed", {"n": n}, task_id=task_id)
    delivered(session, 2)

    ((found, status, result),) = postgres.rows("SELECT * FROM typed")
    assert (str(found), status, bytes(result)[:5]) == (task_id, "completed", b'{"n":')


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ("task_id text", "has none of the columns queue, status, result, error"),
        ("name text, result text", "has no column task_id, nor id"),
        ("id int PRIMARY KEY, result text", "operator does not exist: integer = character"),
        ("id text, owner text NOT NULL, result text", 'null value in column "owner"'),
    ],
)
def test_a_table_that_takes_no_such_row_is_told_without_the_result(
    quick: Session, postgres: Postgres, columns: str, told: str
) -> None:
    postgres.rows(f"DROP TABLE IF EXISTS odd; CREATE TABLE odd ({columns})")

    error = refused(quick, f"{postgres.url()}?table=odd", {"private": "words"})

    assert told in error
    assert "words" not in error
