"""One row of a map on its way."""

from __future__ import annotations

from collections.abc import Callable

from runqy_notebook.errors import PayloadError, RunqyError, TaskFailedError
from runqy_notebook.handles import Source, TaskHandle
from runqy_notebook.wire.outcomes import Completed, Outcome
from runqy_notebook.wire.payload import encode_value
from runqy_notebook.wire.states import State


class Row(TaskHandle):
    """A task's handle that keeps the result as JSON text, so that a result is the same whether it
    was made in this process, comes from another one, or lay in Redis.
    """

    __slots__ = ("position",)

    def __init__(self, task_id: str, queue: str, source: Source, position: int) -> None:
        super().__init__(task_id, queue, source)
        self.position = position

    @property
    def text(self) -> bytes | None:
        """The result, once it is there."""
        return self._value if isinstance(self._value, bytes) else None

    @property
    def failure(self) -> RunqyError | None:
        """Why there will be no result."""
        return self._failure

    @property
    def why(self) -> str:
        """The same in the handler's words, where it was the handler."""
        failure = self._failure
        return failure.error if isinstance(failure, TaskFailedError) else str(failure or "")

    def telling(self, whom: Callable[[Row], None]) -> Callable[[], None]:
        """What tells `whom` that this row is done."""
        return lambda: whom(self)

    def report(self, outcome: Outcome) -> None:
        """Takes an outcome that a worker of this process wrote down."""
        if not isinstance(outcome, Completed):
            super().report(outcome)
            return
        try:
            self._finish_with(outcome.result or encode_value(outcome.value))
        except PayloadError as error:
            self._finish(State.COMPLETED, failure=PayloadError(error.path, error.problem))
        except Exception as error:  # noqa: BLE001 - a value may run any code
            name = type(error).__name__
            self._finish(State.COMPLETED, failure=PayloadError("result", f"{name} while read"))

    def _finish_with(self, result: bytes) -> None:
        self._finish(State.COMPLETED, result)
