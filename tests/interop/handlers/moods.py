"""A production file for runqy-python: its first attempt at any text asks for another one."""

import sys

from runqy_python import RetryableError, load, run, task


@load
def words():
    return {"glad": 1, "sad": -1, "seen": set()}


@task
def mood(payload: dict, ctx: dict) -> dict:
    text = payload["text"]
    if text not in ctx["seen"]:
        ctx["seen"].add(text)
        raise RetryableError(f"not sure about {text!r} yet")
    return {
        "of": payload["task_id"],
        "mood": sum(ctx.get(word, 0) for word in text.split()),
        "sdk": getattr(sys.modules["runqy_python"], "__version__", None),
    }


if __name__ == "__main__":
    run()
