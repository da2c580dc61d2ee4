"""`%config Runqy.x = ...`: the settings as traits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from traitlets import Any as AnyTrait
from traitlets.config import Configurable

from runqy_notebook.settings import FIELDS, converted

_SOURCE = "%config Runqy"


class _Base(Configurable):  # type: ignore[misc]
    """Traits that refuse unknown names and unusable values with one line."""

    def __init__(self, on_change: Callable[[], None], **arguments: Any) -> None:
        self._on_change: Callable[[], None] = lambda: None
        super().__init__(**arguments)
        self._on_change = on_change
        self.observe(lambda change: self._on_change(), list(FIELDS))

    def update_config(self, config: Any) -> None:
        """Takes `%config Runqy.x = value`; traitlets itself would accept any name silently."""
        for name, value in config.get("Runqy", {}).items():
            converted(name, value, _SOURCE)
        super().update_config(config)

    def chosen(self) -> dict[str, Any]:
        """What was set, by name."""
        values = {name: getattr(self, name) for name in FIELDS}
        return {name: value for name, value in values.items() if value is not None}


def _trait(name: str) -> Any:
    field = FIELDS[name]
    told = f"{field.metadata['help']} (default: {field.default})"
    return AnyTrait(None, allow_none=True, help=told).tag(config=True)


RunqyConfig: Any = type("Runqy", (_Base,), {name: _trait(name) for name in FIELDS})
"""The configurable that `%config Runqy` shows; a trait that is None is not set."""
