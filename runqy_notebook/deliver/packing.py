"""From a result and its destinations to a parcel: what lies in Redis, and what in the spool."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from runqy_notebook.deliver import forms
from runqy_notebook.deliver.directory import Directory
from runqy_notebook.deliver.spool import Spool
from runqy_notebook.errors import DestinationError, PayloadError, one_line
from runqy_notebook.wire.deliveries import (
    LARGEST_IN_REDIS,
    Address,
    Parcel,
    Spooled,
    body_of,
)
from runqy_notebook.wire.payload import encode_value

_LARGEST_FOR_OTHERS = 2**28  # bytes of JSON for a destination that another session knows
_PLAIN = (forms.JSON, forms.TEXT)  # forms that a blob's sink makes of JSON by itself


@dataclass(frozen=True, slots=True)
class About:
    """The task that a parcel tells of; `status` is empty where a handler or a person delivers."""

    task_id: str
    queue: str = ""
    status: str = ""
    attempt: int = 1


class Packer:
    """Makes parcels; `notice` is told of what cannot be sent. Threads may share it."""

    def __init__(self, directory: Directory, spool: Spool, notice: Callable[[str], None]) -> None:
        self._directory = directory
        self._spool = spool
        self._notice = notice

    def of_error(self, about: About, addresses: Sequence[Address], error: str) -> Parcel | None:
        """What is delivered of a task that failed; files are made of results alone."""
        told = tuple(each for each in addresses if self._suffix(each) is None)
        if not told:
            return None
        body = body_of(about.task_id, about.queue, about.status, about.attempt, error=error)
        return Parcel(told, body, about.task_id, about.queue, about.status)

    def of_result(
        self, about: About, addresses: Sequence[Address], value: object, text: bytes = b""
    ) -> Parcel:
        """What is delivered of a result. `text` is its JSON, where that is known already. Never
        raises for what the value does.
        """
        return _Packing(self, about, value, text).parcel(tuple(addresses))

    def drop(self, parcel: Parcel) -> None:
        """Removes the files of a parcel that was never posted."""
        for address in parcel.addresses:
            if address.spooled:
                self._spool.drop(address.spooled.file)

    def takes_files(self, to: str) -> bool:
        """Whether a place is known to take files, and so what is no JSON."""
        sink = self._directory.known(to)
        return sink is not None and sink.suffix is not None

    def _suffix(self, address: Address) -> str | None:
        sink = self._directory.known(address.to)
        return sink.suffix if sink else None

    def _largest(self, address: Address) -> int:
        sink = self._directory.known(address.to)
        return sink.largest if sink else _LARGEST_FOR_OTHERS


class _Packing:
    """The making of one parcel."""

    def __init__(self, packer: Packer, about: About, value: object, text: bytes) -> None:
        self._packer = packer
        self._about = about
        self._value = value
        self._text: bytes | None = text or None
        self._problem = ""
        self._told = False

    def parcel(self, addresses: tuple[Address, ...]) -> Parcel:
        files = [each for each in addresses if self._packer._suffix(each) is not None]
        others = [each for each in addresses if self._packer._suffix(each) is None]
        forms_of_files = [forms.form_of(self._value, self._packer._suffix(f) or "") for f in files]
        if others or any(form in _PLAIN for form in forms_of_files):
            self._encode()
        ids = tuple(each.id for each in others)
        ready = [
            replace(self._with_file(each, form), holds=ids)
            for each, form in zip(files, forms_of_files, strict=True)
        ]
        ready += [replace(self._with_json(each, bool(files)), held=len(files)) for each in others]
        order = {each.id: at for at, each in enumerate(addresses)}
        ready.sort(key=lambda each: order[each.id])
        return Parcel(
            tuple(ready), self._body(), self._about.task_id, self._about.queue, self._about.status
        )

    def _encode(self) -> None:
        """The result as JSON, or why it has none."""
        if self._text is not None:
            return
        try:
            self._text = encode_value(self._value)
        except PayloadError as error:
            self._problem = one_line(error)
        except Exception as error:  # noqa: BLE001 - a value may run any code
            self._problem = type(error).__name__

    def _body(self) -> bytes:
        about = self._about
        text = self._text if self._is_small() else b"null"
        if not about.status:
            return text or b"null"
        return body_of(about.task_id, about.queue, about.status, about.attempt, result=text)

    def _is_small(self) -> bool:
        return self._text is not None and len(self._text) <= LARGEST_IN_REDIS

    def _with_file(self, address: Address, form: str) -> Address:
        """For a sink of files."""
        suffix = self._packer._suffix(address) or ""
        try:
            forms.check(self._value, form, suffix)
            if form in _PLAIN and self._is_small():
                return address
            if form == forms.JSON:
                if self._text is None:
                    raise DestinationError(self._problem)
                content = self._text
            else:
                content = forms.encoded(self._value, form, suffix)
            return self._spooled(address, form, content)
        except DestinationError as error:
            why = error.problem
        except Exception as error:  # noqa: BLE001 - a value may run any code
            why = f"the result makes no {suffix or form}: {type(error).__name__}: {one_line(error)}"
        return replace(address, spooled=Spooled("", form, 0, one_line(why)))

    def _with_json(self, address: Address, has_file: bool) -> Address:
        """For a sink of JSON; where a file holds the result, it gets that one's address instead of
        what is large.
        """
        if self._is_small() or has_file:
            return address
        text, problem = self._text, self._problem
        is_too_large = text is not None and len(text) > self._packer._largest(address)
        if text is not None and is_too_large and self._about.status:
            problem = f"it takes {len(text) / 2**20:.1f} MB; send its path or URL"
        try:
            if text is not None and not problem:
                return self._spooled(address, forms.JSON, text)
            if text is None and not self._packer._directory.known(address.to):
                form = forms.form_of(self._value)  # it may be a sink of files to whoever knows it
                if form != forms.JSON:
                    return self._spooled(address, form, forms.encoded(self._value, form))
        except DestinationError as error:
            problem = error.problem
        except Exception as error:  # noqa: BLE001 - a value may run any code
            problem = f"{type(error).__name__}: {one_line(error)}"
        self._tell(problem)
        return address

    def _spooled(self, address: Address, form: str, content: bytes) -> Address:
        spool = self._packer._spool
        spool.write(address.id, content)
        return replace(
            address,
            lane=spool.lane(address.lane),
            spooled=Spooled(address.id, form, len(content)),
        )

    def _tell(self, problem: str) -> None:
        if not self._told:
            self._told = True
            name = one_line(self._about.task_id, 80)
            self._packer._notice(
                f"Task {name} is done, but is delivered without its result: {problem}"
            )
