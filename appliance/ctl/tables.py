"""Text of tables, sizes, times and progress bars. Pure.

Cells can hold untrusted text such as meeting ids, so control characters are escaped.
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
"""Styles of words that fill a cell."""

_MAX_CELL = 40
_MIN_CELL = 8
_MAX_WHOLE = 64
"""The ids of recordings and of usual meetings are shorter."""
_SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table."""

    heading: str
    right: bool = False
    """Align to the right, for numbers."""
    drop: int = 0
    """The order in which columns are left out on a narrow terminal, from 1; 0: never."""
    whole: bool = False
    """Cut only beyond 64 characters, for ids that commands take."""
    middle: bool = False
    """Cut in the middle, for names that differ at their ends."""


def render_table(
    columns: Sequence[Column],
    rows: Sequence[Sequence[object]],
    *,
    colours: bool = False,
    width: int | None = None,
) -> str:
    """Return a table without final line break and trailing blanks.

    width: of the terminal; columns are left out and cells cut until the table fits, except for
    ids that stay whole. None: as wide as it is.
    """
    cells = [[escape_control(str(value)) for value in row] for row in rows]
    widths = [
        max([_width(column.heading), *(_width(row[index]) for row in cells)])
        for index, column in enumerate(columns)
    ]
    dropped: list[str] = []
    if width is not None:
        kept = _choose_columns(columns, widths, width)
        dropped = [one.heading for index, one in enumerate(columns) if index not in kept]
        columns = [columns[index] for index in kept]
        widths = _shrink(columns, [widths[index] for index in kept], width)
        cells = [
            [
                _cut(row[index], room, middle=column.middle)
                for index, room, column in zip(kept, widths, columns, strict=True)
            ]
            for row in cells
        ]
    heading = _line([column.heading for column in columns], columns, widths, [BOLD] * len(columns))
    lines = [heading if colours else _line([c.heading for c in columns], columns, widths)]
    for row in cells:
        styles = [STYLES.get(cell) for cell in row] if colours else None
        lines.append(_line(row, columns, widths, styles))
    if dropped:
        lines.append(f"(not shown: {', '.join(dropped)}; --json has all)")
    return "\n".join(lines)


def _choose_columns(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """Return the columns that remain; one that can be left out is first cut to a usual width."""
    kept = list(range(len(columns)))
    widths = [
        min(room, _MAX_CELL) if column.drop else room
        for column, room in zip(columns, widths, strict=True)
    ]
    for index in sorted(kept, key=lambda one: columns[one].drop):
        if columns[index].drop and _total([widths[one] for one in kept]) > width:
            kept.remove(index)
    return kept


def _shrink(columns: Sequence[Column], widths: Sequence[int], width: int) -> list[int]:
    """Return the widths after the widest columns of text were narrowed."""
    found = list(widths)
    texts = [
        index
        for index, one in enumerate(columns)
        if not one.right and not (one.whole and found[index] <= _MAX_WHOLE)
    ]
    while texts and _total(found) > width:
        widest = max(texts, key=lambda index: found[index])
        if found[widest] <= max(_MIN_CELL, _width(columns[widest].heading)):
            break
        found[widest] -= 1
    return found


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + 2 * (len(widths) - 1)


def _cut(text: str, room: int, *, middle: bool = False) -> str:
    if _width(text) <= room:
        return text
    start, rest = (text[: room // 3], text[room // 3 :]) if middle else ("", text)
    while _width(start) + _width(rest) >= room:
        rest = rest[1:] if middle else rest[:-1]
    return f"{start}…{rest}" if middle else f"{rest}…"


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
    """Return text with the escape codes of a style."""
    return f"\x1b[{style}m{text}\x1b[0m" if style else text


def _width(text: str) -> int:
    """Return the width of a text in columns of a terminal."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.combining(char) > 0 for char in text)


def shorten(text: str) -> str:
    """Return a text, cut to the width of a cell."""
    return text if len(text) <= _MAX_CELL else f"{text[: _MAX_CELL - 1]}…"


def counted(number: int, noun: str) -> str:
    """Return `1 meeting`, `2 meetings`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def render_bar(done: int, total: int, width: int = 24) -> str:
    """Return a progress bar, `[######------]`."""
    filled = width if total <= 0 else round(width * min(max(done, 0), total) / total)
    return f"[{'#' * filled}{'-' * (width - filled)}]"


def format_time(time: str | None) -> str:
    """Return `2026-11-25 10:40` for `2026-11-25T10:40:07Z`, a dash for None."""
    return "-" if time is None else time[:16].replace("T", " ")


def format_size(size: float) -> str:
    """Return a number of bytes with a suitable unit: `1.5 MiB`."""
    for unit in _SIZE_UNITS:
        if size < 1024 or unit == _SIZE_UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def join_first(names: Sequence[str], most: int = 10) -> str:
    """Return the first names and the number of the others."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
