"""`python -m runqy_notebook work FILE.py QUEUE...`: a file's handlers without a kernel."""

from __future__ import annotations

import argparse
import sys
import warnings
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

from runqy_notebook import adopt, current
from runqy_notebook.errors import HandlerError, RunqyError
from runqy_notebook.session import Session
from runqy_notebook.tasks import REGISTRY


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; 0 when it ended as asked, 1 after an error, said in one line."""
    asked = _parser().parse_args(arguments)
    warnings.showwarning = lambda message, *rest: current.print_to_stderr(f"notice: {message}")
    try:
        _work(asked)
    except RunqyError as error:
        told = getattr(error, "traceback_text", "")
        current.print_to_stderr(f"{told}{type(error).__name__}: {error}")
        return 1
    return 0


def _work(asked: argparse.Namespace) -> None:
    path = Path(asked.file)
    if not path.is_file():
        raise HandlerError(f"There is no file {asked.file!r}.")
    adopt.take_over(lambda *names, **options: None)  # its own run() must not start anything
    _import(path)
    adopt.collect(REGISTRY)
    if not REGISTRY.has_plain_handler() and not REGISTRY.queues():
        raise HandlerError(f"{asked.file} defines no handler: mark a function with @task.")
    with Session(asked.url, on_notice=current.print_to_stderr) as session:
        current.work_until_interrupted(
            session,
            tuple(asked.queue) or tuple(REGISTRY.queues()),
            current.print_to_stderr,
            concurrency=asked.concurrency,
            executor=asked.executor,
            store_results=asked.store_results or None,
            config=asked.config,
        )


def _import(path: Path) -> None:
    """Imports the file as the module of its name, so that what it defines can be pickled; its
    `if __name__ == "__main__"` does nothing.
    """
    sys.path.insert(0, str(path.parent.resolve()))
    loader = SourceFileLoader(path.stem, str(path))
    spec = spec_from_loader(path.stem, loader)
    assert spec is not None  # noqa: S101 - it is made of this very loader
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    loader.exec_module(module)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runqy_notebook", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    work = commands.add_parser("work", help="run a file's handlers until interrupted")
    work.add_argument("file", help="a Python file with @task handlers")
    work.add_argument("queue", nargs="*", help="queues to serve; by default those of the handlers")
    work.add_argument("--url", help="Redis URL; by default as the settings say")
    work.add_argument("--concurrency", type=int, help="tasks run at a time")
    work.add_argument("--executor", choices=("thread", "process"), help="where handlers run")
    work.add_argument("--store-results", action="store_true", help="write results to Redis")
    work.add_argument("--config", help="a runqy worker's config.yml")
    return parser


if __name__ == "__main__":
    sys.exit(main())
