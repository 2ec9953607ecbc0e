"""The common style of all pictures: colours, fonts, round numbers for the axes.

The pictures are readable on light and dark pages and need no scripts, fonts or other files.
"""

from __future__ import annotations

import math

COLOURS = ("#2a78d6", "#1baf7a", "#c98500", "#8a63d2", "#d6456b", "#6b7280", "#0891b2", "#7c5c3b")
STYLE = (
    "text{font:12px sans-serif;fill:#374151}.t{font-weight:bold;font-size:14px}"
    ".m{text-anchor:middle}.g{stroke:#9ca3af;stroke-opacity:.35}"
    "@media(prefers-color-scheme:dark){text{fill:#d1d5db}.b{fill:#111827}}"
)


def nice_ceiling(value: float) -> float:
    """Return the next 1, 2, 4, 6, 8 or 10 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(value, 1.0)))
    return next(step * power for step in (1, 2, 4, 6, 8, 10, 20) if step * power >= value)
