"""What the internal names of destinations in code stand for, in this process. URLs, with their
secrets: they leave it only towards the sink.
"""

from __future__ import annotations

from typing import Final

IN_CODE: Final[dict[str, str]] = {}
