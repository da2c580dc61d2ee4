"""How far a map is, as a card of its cell; once it is over, what came of it."""

from __future__ import annotations

from runqy_notebook.looking import spelled
from runqy_notebook.maps.progress import Progress, Stage
from runqy_notebook.ui.group_card import GroupText
from runqy_notebook.ui.publish import Bundle, Output, Publisher
from runqy_notebook.ui.text import cleaned, cleaned_line, counted, duration


def map_text(told: Progress) -> GroupText:
    """What there is to say of a map."""
    parts = [f"{told.done:,} done"]
    parts += [f"{told.found:,} of them from an earlier run"] if told.found else []
    parts += [f"{told.failed:,} failed"] if told.failed else []
    parts += [f"{told.in_flight:,} on their way"] if told.in_flight else []
    finished, pace = told.done, [f"{100 * told.done // max(1, told.total)} %"]
    if told.stage is Stage.READING:
        finished, parts = told.n_read, [f"{told.n_read:,} read"]
        pace = ["reading the rows; nothing is sent yet"]
    pace += [f"{told.rate:,.{0 if told.rate >= 10 else 1}f} rows/s"] if told.rate else []
    if told.is_over:
        pace.append(f"in {duration(told.seconds)}")
    elif told.left:
        pace.append(f"about {duration(told.left)} left")
    return GroupText(
        tone=_tone(told),
        title=f"map of {counted(told.total, 'row')}",
        queue=cleaned_line(told.queue, 80),
        facts=" · ".join(parts),
        finished=finished,
        total=max(1, told.total),
        pace=" · ".join(pace),
        failures=(),
        remedy=_remark(told),
    )


def _tone(told: Progress) -> str:
    if told.failed:
        return "bad"
    return {Stage.DONE: "good", Stage.STOPPED: "faint"}.get(told.stage, "busy")


def _remark(told: Progress) -> str:
    if told.stage is not Stage.DONE or not told.total:
        return cleaned(told.remark)
    kept = f"Results stay in Redis for {spelled(told.keep)}: mapping again takes them"
    return f"{kept}{', fresh=True runs all rows anew' if told.found else ''}."


class MapBar:
    """The card, in the cell that runs when it is first shown."""

    def __init__(self, progress: Progress, publisher: Publisher) -> None:
        self._progress = progress
        self._output = Output(publisher, self._bundle)

    def show(self) -> None:
        """The figures may have changed."""
        if self._output.is_placed:
            self._output.changed()
        else:
            self._output.show()

    def _bundle(self) -> Bundle:
        text = map_text(self._progress)
        return {"text/html": text.html(), "text/plain": text.plain()}
