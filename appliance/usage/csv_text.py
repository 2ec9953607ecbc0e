"""The columns of usage, and usage as CSV. Pure and light: `ctl` renders it from JSON, too."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

DIMENSIONS = ("hour", "day", "month", "tenant", "server", "origin", "meeting")
"""The columns that usage can be asked by; of the first three one at a time."""
PERIODS = DIMENSIONS[:3]

COLUMNS = (
    *("meetings", "distinct_meetings", "user_minutes", "peak_users", "peak_meetings"),
    *("recorded_minutes", "recording_bytes", "dial_in_minutes"),
)
"""The columns after those that were asked for."""


def render_csv(rows: Sequence[Mapping[str, object]], keys: Sequence[str] = ()) -> str:
    """Return the rows with the names of the columns first; `keys` are used if there are no rows."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]) if rows else [*keys, *COLUMNS], lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _safe(value) for name, value in row.items()} for row in rows)
    return file.getvalue()


def _safe(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula: front-ends choose the ids."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value


def parse_by(text: str) -> tuple[str, ...]:
    """Parse what usage is asked by: words of DIMENSIONS with commas.

    Raises ValueError: its text says what is wrong.
    """
    found = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    for word in found:
        if word not in DIMENSIONS:
            raise ValueError(f"must be one of {', '.join(DIMENSIONS)}; not {word!r}")
    if len({*found} & {*PERIODS}) > 1:
        raise ValueError(f"takes one of {', '.join(PERIODS)} at a time")
    return found
