"""How far a map is, in words: on a terminal, in a file, on a card."""

from __future__ import annotations

import io
import time

import pytest

from runqy_notebook.maps.progress import Progress, Stage, TextBar, line
from runqy_notebook.ui.map_bar import map_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def running(**figures: int) -> Progress:
    progress = Progress("q_default", 100_000, keep=86_400.0, stage=Stage.RUNNING)
    for name, value in figures.items():
        setattr(progress, name, value)
    return progress


def test_the_pace_is_that_of_new_rows_lately() -> None:
    progress = running(found=50_000, done=50_000)
    progress.began_at -= 100
    progress.measure()

    progress.done += 1_000
    progress._samples[0] = (time.monotonic() - 2, 0)

    assert progress.rate == pytest.approx(500, rel=0.2)
    assert progress.left == pytest.approx(98, rel=0.2)
    progress.end(Stage.DONE)
    assert progress.rate == pytest.approx(10, rel=0.2)


def test_nothing_is_said_about_a_pace_that_is_not_known() -> None:
    assert running().rate == running().left == 0
    assert line(running()) == "q_default: 0 of 100,000 rows"


def test_a_terminal_sees_one_line_written_over_and_remarks_that_stay() -> None:
    stream = Terminal()
    progress = running(done=7, failed=1, found=2)
    bar = TextBar(progress, stream)

    bar.show()
    progress.remark = "No worker serves q_default."
    bar.show()
    progress.remark = ""
    bar.show()
    progress.done = 100_000
    progress.end(Stage.DONE)
    bar.show()

    first, remark, *_, last = stream.getvalue().split("\r")[1:]
    assert first == "q_default: 7 of 100,000 rows, 1 failed, 2 from an earlier run"
    assert remark.rstrip() == "No worker serves q_default."
    assert remark.endswith("\n")
    assert last.startswith("q_default: 100,000 of 100,000 rows, 1 failed, 2 from an earlier run, ")
    assert last.endswith(" s\n")
    assert stream.getvalue().count("\n") == 2


def test_a_file_gets_remarks_and_the_end() -> None:
    stream = io.StringIO()
    progress = running(done=7)
    bar = TextBar(progress, stream)

    for remark in ("", "No worker serves q_default.", "No worker serves q_default.", ""):
        progress.remark = remark
        bar.show()
    progress.end(Stage.STOPPED)
    bar.show()

    said = stream.getvalue().splitlines()
    assert said[0] == "No worker serves q_default."
    assert said[1].startswith("q_default: 7 of 100,000 rows, ")
    assert len(said) == 2


def test_a_card_tells_reading_running_and_the_end() -> None:
    progress = Progress("q_default", 100_000, keep=86_400.0, n_read=4_000)
    reading = map_text(progress)
    progress.stage = Stage.RUNNING
    progress.done, progress.found, progress.in_flight = 50_000, 20_000, 2_000
    progress.remark = "No worker serves <q_default>."
    under_way = map_text(progress)
    progress.done, progress.failed, progress.in_flight = 100_000, 3, 0
    progress.end(Stage.DONE)
    done = map_text(progress)

    assert (reading.facts, reading.finished, reading.tone) == ("4,000 read", 4_000, "busy")
    assert "nothing is sent yet" in reading.pace
    assert (
        under_way.facts == "50,000 done · 20,000 of them from an earlier run · 2,000 on their way"
    )
    assert under_way.pace.startswith("50 %")
    assert "&lt;q_default&gt;" in under_way.html()
    assert done.tone == "bad"
    assert done.facts.endswith(" · 3 failed")
    assert done.remedy == (
        "Results stay in Redis for 24 h: mapping again takes them, fresh=True runs all rows anew."
    )


def test_an_empty_map_is_done_and_has_nothing_to_add() -> None:
    progress = Progress("q_default", 0)
    progress.end(Stage.DONE)

    told = map_text(progress)

    assert (told.title, told.tone, told.remedy) == ("map of 0 rows", "good", "")
