"""Whether somebody is there to click; else there are stills instead of widgets."""

from __future__ import annotations

import os
from importlib.util import find_spec

from runqy_notebook.ui.publish import Publisher


def has_widgets(publisher: Publisher) -> bool:
    """Whether a person sees this cell, or a Voila page, and there are widgets to show."""
    is_seen = publisher.is_live and (publisher.is_attended or is_voila())
    return is_seen and find_spec("ipywidgets") is not None


def is_voila() -> bool:
    """Whether this kernel belongs to a Voila page, which names no cells and is never saved."""
    return os.environ.get("SERVER_SOFTWARE", "").startswith("voila")
