"""`%config Runqy.x = ...`: the settings as traits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from traitlets import TraitType
from traitlets.config import Config, Configurable

from runqy_notebook.broker.address import masked
from runqy_notebook.errors import SettingsError
from runqy_notebook.settings import FIELDS, converted

_SOURCE = "%config Runqy"


class _SecretURL(str):
    """A URL that shows without its password."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(masked(self))


class _Hidden(str):
    """A secret, which does not show."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'…'"


class _Setting(TraitType):  # type: ignore[misc]
    """A trait named as a setting; None is not set. Raises SettingsError for an unusable value."""

    default_value = None

    def validate(self, obj: object, value: object) -> object:
        if value is None:
            return None
        ready = converted(self.name, value, _SOURCE)
        if not FIELDS[self.name].repr:
            return _SecretURL(ready) if self.name == "url" else _Hidden(ready)
        return ready


class _Base(Configurable):  # type: ignore[misc]
    """Refuses unknown names, which traitlets would take silently."""

    def __init__(self, on_change: Callable[[], None], **arguments: Any) -> None:
        self._on_change: Callable[[], None] = lambda: None
        super().__init__(**arguments)
        self._on_change = on_change
        self.observe(lambda change: self._on_change(), list(FIELDS))

    def update_config(self, config: Any) -> None:
        """Takes `%config Runqy.x = value`; raises SettingsError and changes nothing otherwise."""
        for name, value in config.get("Runqy", {}).items():
            if value is not None or name not in FIELDS:
                converted(name, value, _SOURCE)
        super().update_config(config)

    @classmethod
    def of(cls, shell: Any, on_change: Callable[[], None], say: Callable[[str], None]) -> Any:
        """The settings that this shell was given by ipython_config.py or an earlier %config, which
        it keeps even if we refused them: what cannot be used is told and left out.
        """
        usable = {}
        for name, value in shell.config.get("Runqy", {}).items():
            try:
                usable[name] = None if value is None else converted(name, value, _SOURCE)
            except SettingsError as error:
                say(str(error))
        return cls(on_change, config=Config({"Runqy": usable}))

    def chosen(self) -> dict[str, Any]:
        """What was set, by name."""
        values = {name: getattr(self, name) for name in FIELDS}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def class_get_help(cls, inst: Any = None, helptext: str | None = None) -> str:
        """What `%config Runqy` prints: a line for each setting, what was set here in front."""
        lines = ["Settings of runqy_notebook: %config Runqy.NAME = VALUE (None: not set here)"]
        for name, field in FIELDS.items():
            value = f" = {getattr(inst, name)!r}" if inst else ""
            told = f"{field.metadata['help']} (default: {field.default})"
            lines.append(f"  Runqy.{name}{value}\n      {told}")
        return "\n".join(lines)


RunqyConfig: Any = type("Runqy", (_Base,), {name: _Setting().tag(config=True) for name in FIELDS})
"""The configurable that `%config Runqy` shows."""
