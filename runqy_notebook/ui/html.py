"""HTML from the templates beside this module; what is put in is text, escaped.

Styles stand at each element, as an untrusted notebook loses everything else. JupyterLab's sanitizer
keeps a colour with `var()` only where its fallback is a colour's name, and no short form of
`background` or `border`.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jinja2 import Environment

_COLOURS: Final = {
    "good": "var(--jp-success-color1, mediumseagreen)",
    "bad": "var(--jp-error-color1, crimson)",
    "warm": "var(--jp-warn-color1, darkorange)",
    "busy": "var(--jp-brand-color1, dodgerblue)",
    "muted": "var(--jp-content-font-color2, gray)",
    "faint": "var(--jp-border-color1, darkgray)",
}
"""Of borders and marks, by what they mean."""

_TEXT: Final = {
    **_COLOURS,
    "warm": "var(--jp-content-font-color1, gray)",  # JupyterLab's orange is too pale for text
    "faint": _COLOURS["muted"],
}
"""Of texts; readable on a light and on a dark page."""


@cache
def _templates() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined  # loaded with the first display
    from markupsafe import Markup

    made = Environment(
        loader=PackageLoader("runqy_notebook.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["border"] = {name: Markup(text) for name, text in _COLOURS.items()}  # noqa: S704
    made.globals["text"] = {name: Markup(text) for name, text in _TEXT.items()}  # noqa: S704
    return made


def rendered(template: str, **values: object) -> str:
    """The template with these values; one that it does not get raises UndefinedError."""
    return _templates().get_template(template).render(values)
