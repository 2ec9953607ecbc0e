"""An operator's timetable as a trace: a CSV file with a row for each kind of class.

Pure and seeded. The columns are named in the first line, in any order: `start` (HH:MM) and `users`;
optional are `minutes` (duration, default 50), `count` (number of such classes, default 1),
`cameras` (usual number of users with one) and `name`. The separator is a comma, semicolon or tab.
"""

from __future__ import annotations

import csv
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from appliance.model import LoadWeights
from appliance.simulation.traces import (
    DAY_MS,
    MINUTE_MS,
    USERS_ALONE,
    Session,
    Trace,
    next_attendance,
    take_place,
)

MAX_USERS = 500_000
"""Sum over all classes; a larger timetable would take hours to replay."""
DEFAULT_MINUTES = 50
_CLOCK = re.compile(r"([01]?\d|2[0-3])[:.]([0-5]\d)").fullmatch
_KNOWN = ("start", "users", "minutes", "count", "cameras", "name")


class TimetableError(Exception):
    """The file cannot be used; the message names the line and the reason."""


@dataclass(frozen=True, slots=True)
class Row:
    """Classes of one kind at one time."""

    start_min: int
    """Minutes since midnight."""
    minutes: int
    users: int
    """Usual number of users of each class."""
    count: int = 1
    name: str = ""
    cameras: int | None = None
    """Usual number of users with a camera; None: not known."""


def parse_timetable(text: str) -> list[Row]:
    """Parse a CSV file. Raises TimetableError."""
    lines = text.removeprefix("\ufeff").splitlines()
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip() and line[0] != "#"]
    if not numbered:
        raise TimetableError("the timetable is empty; its first line must be: start,users")
    delimiter = next((mark for mark in ";\t" if mark in numbered[0][1]), ",")
    cells = list(csv.reader([line for _, line in numbered], delimiter=delimiter))
    heading = [cell.strip().lower() for cell in cells[0]]
    unknown = [name for name in heading if name not in _KNOWN]
    missing = [name for name in ("start", "users") if name not in heading]
    if unknown or missing:
        raise TimetableError(
            f"line {numbered[0][0]}: the columns must be start,users and may be "
            f"minutes,count,cameras,name; found {','.join(heading)}"
        )
    rows = [
        _parse_row(number, dict(zip(heading, found, strict=False)))
        for (number, _), found in zip(numbered[1:], cells[1:], strict=True)
    ]
    if not rows:
        raise TimetableError("the timetable has no classes")
    if sum(row.users * row.count for row in rows) > MAX_USERS:
        raise TimetableError(f"the timetable has more than {MAX_USERS} users in all")
    return rows


def _parse_row(line: int, cells: Mapping[str, str]) -> Row:
    clock = _CLOCK(cells["start"].strip())
    if clock is None:
        raise TimetableError(f"line {line}: start must be HH:MM, not {cells['start'].strip()!r}")
    given = (cells.get("cameras") or "").strip()
    return Row(
        cameras=_number(line, cells, "cameras", 0, 10_000) if given else None,
        start_min=int(clock[1]) * 60 + int(clock[2]),
        minutes=_number(line, cells, "minutes", 5, 24 * 60, DEFAULT_MINUTES),
        users=_number(line, cells, "users", 1, 10_000),
        count=_number(line, cells, "count", 0, 10_000, 1),
        name=cells.get("name", "").strip(),
    )


def _number(
    line: int,
    cells: Mapping[str, str],
    name: str,
    least: int,
    most: int,
    default: int | None = None,
) -> int:
    text = (cells.get(name) or "").strip()
    if not text and default is not None:
        return default
    if not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most):
        raise TimetableError(f"line {line}: {name} must be from {least} to {most}, not {text!r}")
    return int(text)


def make_trace(
    rows: Sequence[Row],
    multipliers: Sequence[float],
    *,
    seed: int,
    known: float,
    cameras: float = 0.0,
    weights: LoadWeights = USERS_ALONE,
) -> Trace:
    """Return two days of a timetable, the second of which is measured.

    `known` is the share of classes that also take place on the first day, so that the forecast
    knows their size. Attendance differs from day to day. `cameras` is the share of users with a
    camera where a row has no number.
    """
    rng = random.Random(f"timetable {seed}")
    sessions: list[Session] = []

    def add(row: Row, name: str, start_ms: int) -> None:
        size = next_attendance(rng, row.users)
        one = take_place(rng, name, start_ms, row.minutes * MINUTE_MS, size)
        share = cameras if row.cameras is None else min(1.0, row.cameras / row.users)
        sessions.append(replace(one, cameras=round(share * size)))

    for number, row in enumerate(rows):
        for copy in range(row.count):
            name = f"{row.name or 'class'}-{number}-{copy}"
            if rng.random() < known:
                add(row, name, row.start_min * MINUTE_MS)
            add(row, name, DAY_MS + row.start_min * MINUTE_MS)
    first = min(row.start_min for row in rows) * MINUTE_MS
    last = max(row.start_min + row.minutes for row in rows) * MINUTE_MS
    return Trace(
        "timetable",
        tuple(multipliers),
        tuple(sessions),
        DAY_MS + first - 6 * MINUTE_MS,
        DAY_MS + last + 15 * MINUTE_MS,
        weights=weights,
    )
