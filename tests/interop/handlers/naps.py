"""A production file that was moved to this package by changing its import."""

import time

from runqy_notebook import load, run, task


@load
def bed():
    return {"dreams": 0}


@task
def nap(payload: dict, ctx: dict) -> dict:
    print(f"sleeping for {payload['seconds']} s", flush=True)
    time.sleep(payload["seconds"])
    ctx["dreams"] += 1
    return {"dreams": ctx["dreams"]}


if __name__ == "__main__":
    run()
