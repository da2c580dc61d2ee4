"""What a board consists of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from runqy_notebook.ui.board.echoes import Echoes
from runqy_notebook.ui.board.enqueue import Enqueue
from runqy_notebook.ui.board.lesson_panel import LessonPanel
from runqy_notebook.ui.board.overview import Overview
from runqy_notebook.ui.board.panel import Context, Panel
from runqy_notebook.ui.board.tasks import Tasks
from runqy_notebook.ui.board.worker_panel import WorkerPanel

PANELS: Final[Sequence[Callable[[Context], Panel]]] = (
    Overview,
    Enqueue,
    Tasks,
    WorkerPanel,
    Echoes,
    LessonPanel,
)
"""The tabs, from left to right."""
