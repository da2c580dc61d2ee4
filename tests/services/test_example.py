"""examples/destinations.ipynb, executed in a real kernel with real places to go to.

`python -m tests.services.test_example` saves it with its outputs.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.services.servers import QUOTED, S3, Postgres, started

ROOT = Path(__file__).parents[2]


def executed(s3: S3, postgres: Postgres, target: Path, state_dir: Path) -> str:
    """What is told of a run of the notebook, which is saved in a folder."""
    program = [sys.executable, "examples/execute.py", "destinations.ipynb", "--to", str(target)]
    places = {
        "RESULTS_S3": s3.url("results/digits/{task_id}.png"),
        "RESULTS_SQL": f"{postgres.url()}?table=digits&create=true",
        "RUNQY_STATE_DIR": str(state_dir),
        "RUNQY_EMBEDDED_TTL": "1",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        program, cwd=ROOT, env={**os.environ, **places}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


def test_the_notebook_runs_and_shows_no_secret(
    s3: S3, postgres: Postgres, tmp_path: Path, state_dir: Path
) -> None:
    told = executed(s3, postgres, tmp_path, state_dir)

    assert "5 rows, 5 webhooks, 5 completed" in told
    saved = (tmp_path / "destinations.ipynb").read_text("utf-8")
    assert "image/png" in saved
    assert QUOTED not in saved
    assert "X-Amz-Signature" not in saved
    assert sum(key.startswith("digits/") for key in s3.objects()) == 5


if __name__ == "__main__":
    import tempfile

    store, database = started(S3), started(Postgres)
    try:
        with tempfile.TemporaryDirectory() as folder:
            print(executed(store, database, ROOT / "examples", Path(folder)))
    finally:
        store.close()
        database.close()
