"""Maintenance windows: what a request may be, and how a window is stored. Pure.

When a window changes its server is decided by lua/advance_maintenance.lua. Source: docs/fleet.md.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from appliance.bbb.endpoint import UnacceptableValue
from appliance.model import ServerId

SECOND_MS, DAY_MS, WEEK_MS = 1000, 86_400_000, 7 * 86_400_000
MAX_AHEAD_MS = 2 * 366 * DAY_MS
MAX_LENGTH_MS = 90 * DAY_MS
MAX_LEAD_MS = 7 * DAY_MS
LATE_MS = 30 * SECOND_MS
"""A window may begin this much in the past: it takes time to type `now`."""
DEFAULT_LEAD_MS = 2 * 3_600_000
"""Used while nothing is known of how long meetings take."""
MAX_REASON = 200
MAX_WINDOWS = 2000
_HORIZON_WEEKS = 53
"""Of windows that repeat, so much of the future is compared with others."""

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)([Zz]|[+-]\d\d:?\d\d)"
    r"(?:\[([^\[\]]+)\])?",
    re.ASCII,
).fullmatch
_DURATION = re.compile(r"(?:(\d{1,6})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,7})s)?", re.ASCII)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9+_-]*(?:/[A-Za-z0-9+_-]+)*", re.ASCII).fullmatch


class Phase(StrEnum):
    """How far a window has come."""

    PLANNED = "planned"
    DRAINING = "draining"
    """The server is cordoned."""
    OPEN = "open"
    """The server is disabled."""
    ENDING = "ending"
    """It is over, and the server is enabled once a poll succeeds."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as an operator gave it."""

    ms: int
    zone: str = ""
    """Its named time zone (`[Europe/Berlin]`), in which a weekly window keeps its hour."""


@dataclass(frozen=True, slots=True)
class Window:
    """One maintenance window of one server; its times are milliseconds since the epoch."""

    id: str
    server_id: ServerId
    from_ms: int
    until_ms: int | None
    """None: until it is cancelled."""
    lead_ms: int
    """How long before it the server is cordoned."""
    lead_is_usual: bool = False
    """The lead is that of the pool's longest usual meeting, not the operator's."""
    every: Literal["", "weekly"] = ""
    zone: str = ""
    reason: str = ""
    by: str = ""
    phase: Phase = Phase.PLANNED
    postponed_ms: int | None = None
    """Since when it waits for room in the pool."""
    shifted_ms: int = 0
    """How much later than planned it begins and ends, since it was postponed."""
    cancelled: bool = False
    """It ends early and does not repeat."""

    @property
    def cordon_ms(self) -> int:
        """Return when its server is cordoned."""
        return self.from_ms - self.lead_ms

    def is_due(self, now_ms: int) -> bool:
        """Whether there may be something to do for it now."""
        if self.phase is Phase.PLANNED:
            return now_ms >= self.cordon_ms
        if self.phase is Phase.DRAINING:
            return self.cancelled or now_ms >= self.from_ms
        # While it is open its meetings may still have to be ended.
        return True

    def next_occurrence(self, now_ms: int, usual_lead_ms: int | None) -> Window | None:
        """Return the window of the next week that has not begun; None: it does not repeat."""
        if not self.every or self.cancelled or self.until_ms is None:
            return None
        from_ms, until_ms = self.from_ms - self.shifted_ms, self.until_ms - self.shifted_ms
        found = replace(self, phase=Phase.PLANNED, postponed_ms=None, shifted_ms=0)
        found = replace(found, from_ms=from_ms, until_ms=until_ms)
        if self.lead_is_usual and usual_lead_ms is not None:
            found = replace(found, lead_ms=min(usual_lead_ms, self.longest_lead_ms))
        while found.from_ms <= now_ms or found.from_ms <= from_ms:
            later_ms = add_week(found.from_ms, self.zone)
            found = replace(found, from_ms=later_ms, until_ms=later_ms + until_ms - from_ms)
        return found

    @property
    def longest_lead_ms(self) -> int:
        """Return the longest lead; weekly windows must not reach into each other."""
        if not self.every or self.until_ms is None:
            return MAX_LEAD_MS
        return WEEK_MS - 2 * 3_600_000 - (self.until_ms - self.from_ms)

    def periods(self, until_ms: int) -> list[tuple[int, int]]:
        """Return the times in which its server takes no meetings, up to `until_ms`."""
        if self.until_ms is None:
            return [(self.cordon_ms, until_ms)]
        if not self.every:
            return [(self.cordon_ms, self.until_ms)]
        found: list[tuple[int, int]] = []
        from_ms, length = self.from_ms, self.until_ms - self.from_ms
        while from_ms - self.lead_ms < until_ms and len(found) < _HORIZON_WEEKS:
            found.append((from_ms - self.lead_ms, from_ms + length))
            from_ms = add_week(from_ms, self.zone)
        return found


def overlaps(one: Window, other: Window) -> bool:
    """Whether two windows keep their servers from taking meetings at the same time, ever."""
    horizon_ms = min(one.cordon_ms, other.cordon_ms) + _HORIZON_WEEKS * WEEK_MS
    horizon_ms = max(horizon_ms, one.from_ms + WEEK_MS, other.from_ms + WEEK_MS)
    theirs = other.periods(horizon_ms)
    return any(
        begin < their_end and their_begin < end
        for begin, end in one.periods(horizon_ms)
        for their_begin, their_end in theirs
    )


def add_week(ms: int, zone: str) -> int:
    """Return the same time of the week after, in a named zone by its clocks."""
    if not zone:
        return ms + WEEK_MS
    at = datetime.fromtimestamp(ms / 1000, ZoneInfo(zone)) + timedelta(weeks=1)
    return round(at.timestamp() * 1000)


# --- what an operator gives ----------------------------------------------------------------------


def parse_time(name: str, text: str) -> Moment:
    """Parse a time of ISO 8601 with seconds and zone. Raises UnacceptableValue."""
    found = _TIME(text.strip()) if len(text) < 100 else None
    if found is None:
        raise UnacceptableValue(
            f"{name} must be a time with seconds and zone, as 2026-12-01T22:00:00+01:00"
            f" or 2026-12-01T21:00:00Z, not {text[:40]!a}"
        )
    day, clock, offset, zone = found.groups()
    offset = "+00:00" if offset in "Zz" else offset
    try:
        at = datetime.fromisoformat(f"{day}T{clock.replace(',', '.')}{offset}")
        ms = round((at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1))
    except (ValueError, OverflowError):
        raise UnacceptableValue(f"{name} is not a time that exists: {text[:40]!a}") from None
    if zone is not None:
        _check_zone(name, zone, at)
    return Moment(ms, zone or "")


def _check_zone(name: str, zone: str, at: datetime) -> None:
    try:
        known = ZoneInfo(zone) if _ZONE(zone) else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = None
    if known is None:
        raise UnacceptableValue(f"{name}: there is no time zone {zone[:40]!a}")
    if at.astimezone(known).utcoffset() != at.utcoffset():
        raise UnacceptableValue(f"{name}: {zone} has another offset from UTC at that time")


def parse_lead(text: str) -> int:
    """Parse a duration such as 30m, 1h30m, 2d or 0; return milliseconds.

    Raises UnacceptableValue.
    """
    found = _DURATION.fullmatch(text.strip())
    if text.strip() != "0" and (found is None or not any(found.groups())):
        raise UnacceptableValue(f"lead must be a duration as 30m, 1h30m or 0, not {text[:40]!a}")
    days, hours, minutes, seconds = (int(one or 0) for one in (found.groups() if found else "0000"))
    ms = (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * SECOND_MS
    if ms > MAX_LEAD_MS:
        raise UnacceptableValue("lead must not be longer than 7 days")
    return ms


def check_window(window: Window, now_ms: int) -> Window:
    """Check a new window. Raises UnacceptableValue."""
    until_ms = window.until_ms
    if until_ms is not None and until_ms <= window.from_ms:
        raise UnacceptableValue("until must be after from")
    if window.from_ms < now_ms - LATE_MS:
        raise UnacceptableValue("from is in the past")
    if window.from_ms > now_ms + MAX_AHEAD_MS:
        raise UnacceptableValue("from is more than two years ahead")
    if until_ms is not None and until_ms - window.from_ms > MAX_LENGTH_MS:
        raise UnacceptableValue("a window must not be longer than 90 days; leave until out instead")
    if until_ms is not None and until_ms <= now_ms:
        raise UnacceptableValue("until is in the past")
    if window.every and until_ms is None:
        raise UnacceptableValue("a window that repeats needs until")
    if window.every and not 0 <= window.lead_ms <= window.longest_lead_ms:
        raise UnacceptableValue("a weekly window must be over before the next one begins to drain")
    if len(window.reason) > MAX_REASON:
        raise UnacceptableValue(f"reason must not be longer than {MAX_REASON} characters")
    if not window.reason.isprintable():
        raise UnacceptableValue("reason must not hold line breaks or control characters")
    return window


# --- stored --------------------------------------------------------------------------------------


def dump_window(window: Window) -> dict[str, Any]:
    """Return a window as it is stored: values that are not given are absent."""
    return {
        name: value
        for name, value in asdict(window).items()
        if value is not None and value is not False and value != ""
    }


def load_window(stored: dict[str, Any]) -> Window:
    """Return a stored window."""
    known = {name: stored[name] for name in Window.__slots__ if name in stored}
    return Window(**{"until_ms": None, **known, "phase": Phase(known.get("phase", "planned"))})
