"""Lines of the Lua scripts that may be deleted without a test noticing, and why that is right."""

from __future__ import annotations

_ONCE_A_CALL = "harmless: costs seven TYPEs for each further look at the same queue in one call"
_IDLE = "harmless: costs each call that counts nothing the day's name"


HARMLESS: dict[tuple[str, str], str] = {
    ("lib/unsound.lua", "if seen[base] ~= nil then return seen[base] end"): _ONCE_A_CALL,
    ("lib/unsound.lua", "seen[base] = false"): _ONCE_A_CALL,
    ("lib/count.lua", "if not next(counts) then return end"): _IDLE,
}
"""(file, line) -> why no outcome depends on it."""
