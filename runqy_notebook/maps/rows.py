"""The rows of a frame as payloads, and what each row is known again by.

A frame is read in chunks, twice: once to see that every row is fit to send, and to take its mark;
once more to send it. So the payloads of a large frame are never there all at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Sequence
from typing import Any, Final

from runqy_notebook.errors import PayloadError, UsageError, did_you_mean, one_line
from runqy_notebook.wire.payload import encode_payload, encode_value

CHUNK: Final = 2_000  # rows that are Python objects at a time
_MARK: Final = 8  # bytes


class Rows:
    """A frame's rows, of some of its columns or of all. Raises UsageError for columns that there
    are not, or that cannot be a payload's keys.
    """

    def __init__(self, frame: Any, columns: object = None) -> None:
        if not hasattr(frame, "iloc"):
            kind = type(frame).__name__
            raise UsageError(f"map takes a DataFrame or a Series, not a {kind}: pd.DataFrame(...).")
        if not hasattr(frame, "columns"):
            frame = frame.to_frame("value" if frame.name is None else frame.name)
        self.index = frame.index
        self._frame = frame
        self._picks = _picked(frame, columns)
        self._marks = bytearray()

    def __len__(self) -> int:
        return len(self.index)

    @property
    def n_read(self) -> int:
        """How many rows have their mark."""
        return len(self._marks) // _MARK

    def read(self) -> None:
        """Takes the marks of the next rows; raises PayloadError, with row and column, for a value
        that is not JSON.
        """
        first = self.n_read
        for text in self._texts(range(first, min(first + CHUNK, len(self)))):
            self._marks += _mark(text)

    def digest(self, *parts: str, with_rows: bool) -> str:
        """A name for these parts and, where asked, for all of the rows in their order."""
        found = hashlib.blake2b(digest_size=16)
        for part in parts:
            found.update(part.encode("utf-8", "surrogatepass") + b"\0")
        if with_rows:
            found.update(self._marks)
        return found.hexdigest()

    def id_of(self, beginning: str, position: int) -> str:
        """The task id of the row at this position."""
        return f"map-{beginning}-{position}-{self._mark_at(position).hex()}"

    def payloads(self, positions: Sequence[int]) -> list[bytes]:
        """The payloads of these rows; raises UsageError where one is not what it was."""
        texts = self._texts(positions)
        for position, text in zip(positions, texts, strict=True):
            if _mark(text) != self._mark_at(position):
                raise UsageError(
                    f"{self.name_of(position).capitalize()} was changed while the frame was being "
                    "mapped: map a copy of it (df.copy())."
                )
        return texts

    def name_of(self, position: int) -> str:
        """The row as a person finds it: by its label and, where that is another, its position."""
        (label,) = self.index[position : position + 1].tolist()
        where = "" if type(label) is int and label == position else f" (position {position:,})"
        return f"row {one_line(repr(label), 80)}{where}"

    def _mark_at(self, position: int) -> bytes:
        return bytes(self._marks[position * _MARK : (position + 1) * _MARK])

    def _texts(self, positions: Sequence[int]) -> list[bytes]:
        if not positions:
            return []
        is_run = positions[-1] - positions[0] + 1 == len(positions)
        which: Any = slice(positions[0], positions[-1] + 1) if is_run else list(positions)
        # As `enqueue_many` reads a frame, so that a value is sent alike by both.
        records = self._frame.iloc[which, self._picks].to_dict("records")
        texts = []
        for position, record in zip(positions, records, strict=True):
            try:
                texts.append(encode_payload(record))
            except PayloadError as error:
                raise self._unfit(position, record, error) from None
        return texts

    def _unfit(self, position: int, record: dict[Any, object], whole: PayloadError) -> PayloadError:
        """What is wrong with a row, by the column that it is in."""
        for column, value in record.items():
            try:
                encode_value(value, "value")
            except PayloadError as error:
                place = f"{self.name_of(position)}, column {one_line(repr(column), 80)}"
                return PayloadError(place + error.path.removeprefix("value"), error.problem)
        return PayloadError(self.name_of(position), whole.problem)


def _mark(text: bytes) -> bytes:
    return hashlib.blake2b(text, digest_size=_MARK).digest()


def _picked(frame: Any, columns: object) -> list[int]:
    """The positions of the columns that go into the payload."""
    labels = list(frame.columns)
    places: dict[Any, list[int]] = {}
    for at, label in enumerate(labels):
        places.setdefault(label, []).append(at)
    wanted = labels if columns is None else _listed(columns)
    if not wanted and len(frame):
        raise UsageError("There is no column to send: a payload is made of at least one.")
    picks = []
    for label in wanted:
        found = places.get(label, []) if isinstance(label, Hashable) else []
        if not found:
            names = [str(each) for each in labels]
            known = one_line(", ".join(names), 300) or "none"
            raise UsageError(
                f"There is no column {one_line(repr(label), 80)} in the frame; it has {known}."
                f"{did_you_mean(str(label), names)}"
            )
        if len(found) > 1 or found[0] in picks:
            raise UsageError(
                f"Two columns are called {one_line(repr(label), 80)}, and a payload has room for "
                "one: rename one of them, or choose others with columns=[...]."
            )
        picks += found
    try:
        encode_payload(dict.fromkeys((labels[at] for at in picks), 0))
    except PayloadError as error:
        raise UsageError(
            f"The names of the columns cannot be a payload's keys ({error.problem}): give them "
            "text (df.columns = [...]), or choose others with columns=[...]."
        ) from None
    return picks


def _listed(columns: object) -> list[Any]:
    if isinstance(columns, (str, bytes, int)):
        return [columns]
    try:
        return list(columns)  # type: ignore[call-overload, no-any-return]
    except TypeError:
        shown = one_line(repr(columns), 80)
        raise UsageError(f"columns is a list of the frame's columns, not {shown}.") from None
