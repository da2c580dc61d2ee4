"""The forms in which a result can lie in a file, by the file's suffix or by the result's type."""

from __future__ import annotations

import io
import mimetypes
from collections.abc import Callable
from typing import Any, Final

from runqy_notebook.deliver.sinks import needed
from runqy_notebook.errors import DestinationError
from runqy_notebook.wire.payload import encode_value
from runqy_notebook.wire.plain import type_name

JSON: Final = "json"
TEXT: Final = "text"
BYTES: Final = "bytes"
ARRAY: Final = "npy"
TABLE: Final = "parquet"
CSV: Final = "csv"
PICTURE: Final = "picture"

FORMS: Final = frozenset({JSON, TEXT, BYTES, ARRAY, TABLE, CSV, PICTURE})

_BY_SUFFIX: Final = {
    ".json": JSON,
    ".npy": ARRAY,
    ".parquet": TABLE,
    ".csv": CSV,
    ".txt": TEXT,
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".webp", ".svg", ".pdf"), PICTURE),
    **dict.fromkeys((".gif", ".tif", ".tiff", ".bmp"), PICTURE),
}
_OTHERS: Final = frozenset(
    {
        *(".feather", ".h5", ".hdf5", ".htm", ".html", ".npz", ".orc", ".pickle", ".pkl"),
        *(".gz", ".mp3", ".mp4", ".wav", ".xls", ".xlsx", ".xml", ".zip"),
    }
)
"""Suffixes of what is not made here: a file must be what its name says."""


def form_of(value: object, suffix: str = "") -> str:
    """The form for a value in a file whose name ends so: as the suffix says, else by its type."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return BYTES
    asked = _BY_SUFFIX.get(suffix.lower())
    if isinstance(value, str) and asked in (None, CSV, PICTURE):  # SVG is text, too
        return TEXT
    if asked:
        return asked
    return next((form for form, is_one in _BY_TYPE if is_one(value)), JSON)


def check(value: object, form: str, suffix: str) -> None:
    """Raises DestinationError where a file with this suffix is of a form that is not made here;
    bytes and text are written as they are.
    """
    if suffix.lower() in _OTHERS and form != BYTES and not isinstance(value, str):
        raise _unfit(value, suffix)


def encoded(value: object, form: str, suffix: str = "") -> bytes:
    """The value in a form; raises DestinationError where it has none such, PayloadError for what is
    no JSON, and whatever the value raises.
    """
    if form == BYTES:
        return bytes(value)  # type: ignore[call-overload, no-any-return]
    if form == TEXT and isinstance(value, str):
        return value.encode("utf-8", "replace")
    check(value, form, suffix)
    if form in (JSON, TEXT):
        return encode_value(value)
    if form == ARRAY:
        return _array(value, suffix)
    if form in (TABLE, CSV):
        return _table(value, form, suffix)
    return _picture(value, suffix)


def content_type(form: str, suffix: str) -> str:
    """What a store is told of a file's content."""
    guessed = mimetypes.guess_type(f"x{suffix}")[0]
    by_form = {JSON: "application/json", TEXT: "text/plain; charset=utf-8", PICTURE: "image/png"}
    return guessed or by_form.get(form, "application/octet-stream")


def _array(value: Any, suffix: str) -> bytes:
    import numpy as np

    array = np.asarray(value)
    if array.dtype.hasobject:
        raise _unfit(value, suffix or ".npy")
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _table(value: Any, form: str, suffix: str) -> bytes:
    import pandas as pd

    if isinstance(value, pd.Series):
        value = value.to_frame(value.name if value.name is not None else "value")
    if not isinstance(value, pd.DataFrame):
        try:
            value = pd.DataFrame(value)
        except (ValueError, TypeError):
            raise _unfit(value, suffix) from None
    if form == CSV:
        return str(value.to_csv(index=False)).encode("utf-8", "replace")
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise needed("pyarrow", "parquet", "A DataFrame as parquet") from None
    value.columns = [str(column) for column in value.columns]
    return bytes(value.to_parquet(None))


def _picture(value: Any, suffix: str) -> bytes:
    kind = suffix.lower().removeprefix(".")
    kind = kind if f".{kind}" in _BY_SUFFIX and kind not in ("json", "npy") else "png"
    buffer = io.BytesIO()
    figure: Any = value if _is_figure(value) else getattr(value, "figure", None)
    if _is_figure(figure):  # of an axes, too
        figure.savefig(buffer, format="jpg" if kind == "jpeg" else kind)
    elif _is_image(value):
        value.save(buffer, format=_PIL.get(kind, kind))
    elif (png := getattr(value, "_repr_png_", None)) and kind == "png":
        return bytes(png())
    else:
        raise _unfit(value, suffix)
    return buffer.getvalue()


_PIL: Final = {"jpg": "jpeg", "tif": "tiff"}


def _is_figure(value: object) -> bool:
    return callable(getattr(value, "savefig", None))


def _is_image(value: object) -> bool:
    return callable(getattr(value, "save", None)) and hasattr(value, "getbands")


def _named(module: str, *names: str) -> Callable[[object], bool]:
    """Whether a value's type, or one that it is made of, is one of these: nothing is imported."""

    def is_one(value: object) -> bool:
        return any(
            kind.__module__.partition(".")[0] == module and kind.__name__ in names
            for kind in type(value).__mro__
        )

    return is_one


_BY_TYPE: Final[tuple[tuple[str, Callable[[object], bool]], ...]] = (
    (ARRAY, _named("numpy", "ndarray")),
    (TABLE, _named("pandas", "DataFrame", "Series")),
    (PICTURE, _is_figure),
    (PICTURE, _is_image),
)


def _unfit(value: object, suffix: str) -> DestinationError:
    return DestinationError(f"a result of type {type_name(value)} makes no {suffix or 'file'}")
