"""A production file for runqy-task: one loader, one handler."""

import sys

from runqy_task import load, run, task


@load
def measures():
    return {"per_cm": 10}


@task
def area(payload: dict, ctx: dict) -> dict:
    millimetres = payload["width"] * payload["height"] * ctx["per_cm"] ** 2
    return {
        "of": payload.get("task_id"),
        "mm2": millimetres,
        "sdk": getattr(sys.modules["runqy_task"], "__version__", None),
    }


if __name__ == "__main__":
    run()
