"""How recordings, sizes and times are shown to people. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.ctl.tables import Column, shorten

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")

COLUMNS = (
    Column("RECORD ID"),
    Column("MEETING ID"),
    Column("NAME"),
    Column("STATE"),
    Column("ENDED (UTC)"),
    Column("FORMATS"),
    Column("TENANT"),
)


def recording_row(one: Mapping[str, Any]) -> tuple[object, ...]:
    """Return the row of a recording for COLUMNS."""
    state = one["state"] or "-"
    return (
        one["record_id"],
        shorten(one["meeting_id"] or "-"),
        shorten(one["name"] or "-"),
        f"{state}, protected" if one["protected"] else state,
        time_text(one["end_time"] or one["start_time"]),
        ",".join(one["formats"]) or "-",
        one["tenant_id"] or "-",
    )


def time_text(time: str | None) -> str:
    """Return `2026-11-25 10:40` of `2026-11-25T10:40:07Z`."""
    return "-" if time is None else time[:16].replace("T", " ")


def size_text(size: float) -> str:
    """Return a number of bytes in a unit that suits it."""
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def few(names: Sequence[str], most: int = 10) -> str:
    """Return the first of a list of names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
