"""Runs one contender in this process: `python -m benchmarks.program MODULE FUNCTION ARGUMENTS`,
the arguments as a JSON object.

For each line on its standard input it prints what the contender gives next: a function gives one
thing, a generator one a turn.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Generator
from types import GeneratorType
from typing import Any

MARK = "benchmark result: "


def main(module: str, function: str, arguments: str) -> None:
    turns = _turns(getattr(importlib.import_module(module), function), json.loads(arguments))
    for _ in sys.stdin:
        print(MARK + json.dumps(next(turns)), flush=True)
    turns.close()
    sys.stderr.flush()
    os._exit(0)  # some peers leave threads behind that wait for more


def _turns(contender: Any, arguments: dict[str, Any]) -> Generator[Any, None, None]:
    given = contender(**arguments)
    if isinstance(given, GeneratorType):
        yield from given
    else:
        yield given


if __name__ == "__main__":
    main(*sys.argv[1:])
