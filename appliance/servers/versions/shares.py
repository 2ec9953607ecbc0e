"""Shares: which part of the new meetings a version of BBB gets. Source: docs/fleet.md.

A share is kept in Redis; meetings/lua/place_meeting.lua keeps to it, and watch.py watches what
becomes of the meetings. Here is what is stored, and the rule by which a share is stopped.
"""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from appliance.bbb.endpoint import UnacceptableValue
from appliance.redis.store import RedisStore

WHOLE = 10_000
"""Parts of all new meetings, as place_meeting.lua counts them: a share has two decimals."""
MIN_FAILURES = 3
_Z = 1.645
"""Of a failure rate no more is believed than what is exceeded with a probability of 95 %."""
KINDS = {
    "creates": ("failed", "creates that failed"),
    "joined": ("unseen", "meetings that were joined and had no user"),
    "ended": ("short", "meetings that ended within a minute"),
}
"""The counts of a version → those of them that are failures, and their description."""

_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_~-]{0,63}", re.ASCII).fullmatch
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,2})?)\s*%?", re.ASCII).fullmatch


@dataclass(frozen=True, slots=True)
class Share:
    """The share of a version."""

    version: str
    parts: int
    """Of WHOLE; 0: it gets no new meetings."""
    by: str = ""
    set_ms: int = 0
    stopped_ms: int | None = None
    """When it was stopped because of failures; None: it was not."""
    stopped_parts: int = 0
    """The share that it had before."""
    reason: str = ""
    """Why it was stopped."""

    @property
    def percent(self) -> float:
        """Return it in percent."""
        return self.parts * 100 / WHOLE

    def note(self) -> str:
        """Return what is stored beside the parts, as JSON."""
        noted = {
            "by": self.by,
            "set_ms": self.set_ms,
            "stopped_ms": self.stopped_ms,
            "stopped_parts": self.stopped_parts,
            "reason": self.reason,
        }
        return json.dumps(noted)


class VersionShares:
    """The shares in Redis. Methods are a round trip each and raise StoreDown."""

    def __init__(self, redis: RedisStore) -> None:
        """Keep them on the connection for background work."""
        self.redis = redis
        self.active = True
        """Whether a version may have a share, as last read: without one a create does not ask."""
        self.changes = 0
        """Shares that this process has set."""

    async def refresh(self) -> None:
        """Read whether there are shares, which another appliance may have set."""
        changes = self.changes
        found = await self.redis.command("EXISTS", self.redis.own_key("version_shares"))
        self.note(bool(found), changes)

    def note(self, active: bool, changes: int) -> None:
        """Take what was read when there were so many changes."""
        if changes == self.changes:  # else it may be older than the change
            self.active = active

    async def read(self) -> dict[str, Share]:
        """Return the shares by version."""
        key = self.redis.own_key
        parts, notes = await self.redis.pipeline(
            [("HGETALL", key("version_shares")), ("HGETALL", key("version_notes"))]
        )
        noted = dict(zip(notes[::2], notes[1::2], strict=True))
        return {
            version: Share(version, int(part), **json.loads(noted.get(version, "{}")))
            for version, part in zip(parts[::2], parts[1::2], strict=True)
        }

    async def save(self, share: Share, *, instead_of: int | None = None) -> bool:
        """Set a share, if the version has the one of so many parts now; False: it has another."""
        self.active = True
        self.changes += 1
        return await self._save(share.version, str(share.parts), share.note(), instead_of)

    async def remove(self, version: str) -> None:
        """Remove a share: the version gets meetings as any other."""
        await self._save(version, "", "", None)
        await self.refresh()

    async def _save(self, version: str, parts: str, note: str, instead_of: int | None) -> bool:
        known = "" if instead_of is None else instead_of
        return bool(await self.redis.run("save_share", version, parts, note, known))


@dataclass(slots=True)
class Tally:
    """Counts of a version."""

    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, other: Tally) -> None:
        """Add the counts of another version."""
        for name, count in other.counts.items():
            self.counts[name] += count


@dataclass(frozen=True, slots=True)
class Excess:
    """How a version fails more often than the others."""

    what: str
    """Which failures, as in KINDS."""
    failures: int
    of: int
    other_failures: int
    of_others: int

    def __str__(self) -> str:
        """Return the reason for operators."""
        return (
            f"{self.failures} of {self.of} {self.what}; of the other versions"
            f" {self.other_failures} of {self.of_others}"
        )


def parse_tallies(counts: Mapping[str, str]) -> dict[str, Tally]:
    """Parse counts as count_versions.lua and watch_versions.lua store them: `name version`."""
    found: dict[str, Tally] = defaultdict(Tally)
    for key, count in counts.items():
        name, _, version = key.partition(" ")
        found[version].counts[name] += int(count)
    return dict(found)


def find_excess(version: str, tallies: Mapping[str, Tally]) -> Excess | None:
    """Return why a version is to get no more meetings; None: it fails no more than the others."""
    others = Tally()
    for name, tally in tallies.items():
        if name != version:
            others.add(tally)
    own = tallies.get(version, Tally())
    return next(_excesses(own.counts, others.counts), None)


def _excesses(own: Mapping[str, int], others: Mapping[str, int]) -> Iterator[Excess]:
    for whole, (part, text) in KINDS.items():
        failures, of = own.get(part, 0), own.get(whole, 0)
        other_failures, of_others = others.get(part, 0), others.get(whole, 0)
        usual = other_failures / of_others if of_others else 0.0
        if failures >= MIN_FAILURES and lowest_rate(failures, of) > usual:
            yield Excess(text, failures, of, other_failures, of_others)


def lowest_rate(failures: int, of: int) -> float:
    """Return the rate that is at least behind so many failures (lower bound of Wilson)."""
    if of <= 0:
        return 0.0
    rate = min(1.0, failures / of)
    square = _Z * _Z
    centre = rate + square / (2 * of)
    spread = _Z * math.sqrt(rate * (1 - rate) / of + square / (4 * of * of))
    return max(0.0, (centre - spread) / (1 + square / of))


def check_version_name(text: str) -> str:
    """Check a version of BBB. Raises UnacceptableValue."""
    if not _VERSION(text):
        raise UnacceptableValue(f"the version must be one as 3.0.12, not {text[:40]!a}")
    return text


def parse_percent(text: str) -> int:
    """Parse a percentage from 0 to 100 with at most two decimals; return parts of WHOLE.

    Raises UnacceptableValue.
    """
    found = _PERCENT(text.strip()) if len(text) < 40 else None
    parts = round(float(found[1]) * WHOLE / 100) if found else -1
    if not 0 <= parts <= WHOLE:
        raise UnacceptableValue(
            f"the share must be from 0% to 100%, with at most two decimals, not {text[:40]!a}"
        )
    return parts
