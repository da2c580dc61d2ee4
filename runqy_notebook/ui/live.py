"""What is live in this notebook. Most of it is imported with its first use."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from runqy_notebook.ui.publish import Publisher

if TYPE_CHECKING:
    from runqy_notebook.maps.progress import Progress
    from runqy_notebook.ui.cards import Cards
    from runqy_notebook.ui.lesson.lessons import Lessons
    from runqy_notebook.ui.map_bar import MapBar


class Live:
    """The live part of one shell."""

    def __init__(self, shell: Any) -> None:
        self.publisher = Publisher(shell)
        self._shell = shell

    def open(self) -> None:
        """Begins to follow the shell's cells."""
        self.publisher.open()

    def close(self, why: str) -> None:
        """Freezes what is live."""
        made = vars(self)
        if "cards" in made:
            self.cards.leave(why)
        if "lessons" in made:
            self.lessons.end_all()
        self.publisher.close()

    @property
    def is_on(self) -> bool:
        """Whether there can be cards: not in a terminal."""
        return self.publisher.is_live

    @cached_property
    def cards(self) -> Cards:
        """The cards and streams."""
        from runqy_notebook.ui.cards import Cards

        return Cards(self._shell, self.publisher)

    @cached_property
    def lessons(self) -> Lessons:
        """What shows lessons here."""
        from runqy_notebook.ui.lesson.lessons import Lessons

        return Lessons(self.publisher)

    def map_bar(self, progress: Progress) -> MapBar:
        """What shows how far a map is."""
        from runqy_notebook.ui.map_bar import MapBar

        return MapBar(progress, self.publisher)
