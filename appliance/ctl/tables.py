"""Aligned tables and coloured words for a terminal. Pure.

What comes from outside (meeting ids, tags) may hold escape sequences: every cell is made one
printable line first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.redaction import escape_control

GREEN, YELLOW, RED, DIM, BOLD = "32", "33", "31", "2", "1"

STYLES = {
    "online": GREEN,
    "unstable": YELLOW,
    "offline": RED,
    "cordoned": YELLOW,
    "disabled": DIM,
    "ended": GREEN,
    "gone": DIM,
    "failed": RED,
    "done": GREEN,
    "interrupted": YELLOW,
}
"""The words that are coloured wherever they fill a cell."""

_MAX_CELL = 40


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its heading, and whether it holds numbers."""

    heading: str
    right: bool = False


def render_table(
    columns: Sequence[Column], rows: Sequence[Sequence[object]], *, colours: bool = False
) -> str:
    """Return the table, a heading and a line a row; no final line break, no trailing blanks."""
    cells = [[escape_control(str(value)) for value in row] for row in rows]
    widths = [
        max([_width(column.heading), *(_width(row[index]) for row in cells)])
        for index, column in enumerate(columns)
    ]
    heading = _line([column.heading for column in columns], columns, widths, [BOLD] * len(columns))
    lines = [heading if colours else _line([c.heading for c in columns], columns, widths)]
    for row in cells:
        styles = [STYLES.get(cell) for cell in row] if colours else None
        lines.append(_line(row, columns, widths, styles))
    return "\n".join(lines)


def _line(
    cells: Sequence[str],
    columns: Sequence[Column],
    widths: Sequence[int],
    styles: Sequence[str | None] | None = None,
) -> str:
    last = len(cells) - 1
    parts = []
    for index, (cell, column, width) in enumerate(zip(cells, columns, widths, strict=True)):
        gap = " " * (width - _width(cell))
        style = styles[index] if styles else None
        text = paint(cell, style) if style and cell else cell
        if column.right:
            parts.append(gap + text)
        else:
            parts.append(text + ("" if index == last else gap))
    return "  ".join(parts).rstrip()


def paint(text: str, style: str | None) -> str:
    """Return text in a style of this module."""
    return f"\x1b[{style}m{text}\x1b[0m" if style else text


def _width(text: str) -> int:
    """Count the columns that a terminal needs."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def shorten(text: str) -> str:
    """Return a text that fits into a cell."""
    return text if len(text) <= _MAX_CELL else f"{text[: _MAX_CELL - 1]}…"


def counted(number: int, noun: str) -> str:
    """Return `1 meeting`, `2 meetings`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def render_bar(done: int, total: int, width: int = 24) -> str:
    """Return a progress bar, `[######------]`."""
    filled = width if total <= 0 else round(width * min(max(done, 0), total) / total)
    return f"[{'#' * filled}{'-' * (width - filled)}]"
