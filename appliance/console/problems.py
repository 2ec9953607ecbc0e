"""The problems of the pool, the worst first, with advice. Pure.

Judges the snapshot of the second, and adds what `doctor` found last. Texts are messages of the
locale files; findings of doctor are as it words them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.console.snapshot import PoolSnapshot, ServerRow
from appliance.doctor.findings import Finding, Level
from appliance.model import Server, ServerState

_NAMED = 4
"""How many servers with the same problem are named one by one."""
_WHAT_THEY_SHARE = "Check first what they have in common: network, power, name server, certificate"
_SCARCE = 0.1
"""Fewer free seats than this share is said."""
_SEEN_ANYWAY = ("redis", "postgresql", "imports", "callbacks", "servers")
"""Checks of doctor that the snapshot makes itself, every second."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that an operator should know of."""

    level: Level
    text: str
    """A message of the locale files, or of doctor."""
    advice: str = ""
    href: str = ""
    """The page that shows more."""
    values: dict[str, Any] = field(default_factory=dict)
    """Values of the placeholders of text and advice."""
    check: str = ""
    """The check of doctor that found it, before its text; empty: the console itself."""


def find_problems(seen: PoolSnapshot) -> list[Problem]:
    """Return everything that is wrong, the worst first."""
    found = [*find_store_problems(seen), *_of_pool(seen), *_of_servers(seen), *_of_work(seen)]
    found += _of_doctor(seen)
    return sorted(found, key=lambda one: one.level is not Level.FAIL)


def find_store_problems(seen: PoolSnapshot) -> list[Problem]:
    """Return which store is away."""
    return list(_of_stores(seen))


def _of_stores(seen: PoolSnapshot) -> Iterator[Problem]:
    if seen.store_down:
        yield Problem(
            Level.FAIL,
            "Redis does not answer: meetings can be neither created nor joined",
            "Start it, or check REDIS_URL; the appliance connects again by itself ({reason})",
            "/scalelite/doctor",
            {"reason": seen.store_down},
        )
    if seen.work.database_down:
        yield Problem(
            Level.FAIL,
            "PostgreSQL does not answer: recordings and callbacks wait",
            "Start it, or check DATABASE_URL; nothing is lost meanwhile ({reason})",
            "/scalelite/doctor",
            {"reason": seen.work.database_down},
        )


def _of_pool(seen: PoolSnapshot) -> Iterator[Problem]:
    servers = seen.servers
    enabled = [server for server in servers if server.state is ServerState.ENABLED]
    if not servers and seen.vanished:
        yield Problem(
            Level.FAIL,
            "All {n} servers have vanished from Redis",
            "Check that REDIS_URL names the right database; if the pool is meant to be empty:"
            " ctl servers accept-empty",
            "/scalelite/doctor",
            {"n": seen.vanished},
        )
    elif not servers and not seen.store_down:
        yield Problem(
            Level.WARN,
            "There are no servers yet",
            "Add the first one: its address and its secret are what bbb-conf --secret shows there",
            "/scalelite/servers/add",
        )
    elif servers and not enabled:
        yield Problem(
            Level.FAIL,
            "No server is enabled, so no meeting can be created",
            "Enable those that should work",
            "/scalelite/servers",
        )
    elif enabled and not any(server.online for server in enabled):
        yield Problem(
            Level.FAIL,
            "No enabled server answers, so no meeting can be created",
            "Check the network between the appliance and the servers first",
            "/scalelite/servers?status=offline",
        )
    # Without a limit of the operator the number of seats is only what SEATS_PER_SERVER assumes.
    limited = any(server.takes_meetings and server.max_users for server in servers)
    if limited and seen.capacity and seen.capacity.free_seats < _SCARCE * seen.capacity.seats:
        yield Problem(
            Level.WARN,
            "Only {free} of {seats} seats are free",
            "Enable or add servers before the next full hour",
            "/scalelite/servers?sort=users",
            {"free": seen.capacity.free_seats, "seats": seen.capacity.seats},
        )


def _of_servers(seen: PoolSnapshot) -> Iterator[Problem]:
    dead = [row for row in seen.rows if _is_wanted(row.server) and not row.server.online]
    if len(dead) > _NAMED and not any(row.server.online for row in seen.rows):
        dead = []  # the pool as a whole: said already
    weak = [row for row in seen.rows if _is_wanted(row.server) and row.server.unstable]
    yield from _each(
        dead,
        Level.FAIL,
        ("{server} is {state} and does not answer", "{n} servers do not answer"),
        "Repair it; if that takes long, panic it, so that its meetings can begin elsewhere{reason}",
        "/scalelite/servers?status=offline",
    )
    yield from _each(
        weak,
        Level.WARN,
        ("{server} answers unreliably", "{n} servers answer unreliably"),
        "New meetings go elsewhere while they can; look at its load and its network{reason}",
        "/scalelite/servers?status=unstable",
    )


def _is_wanted(server: Server) -> bool:
    return server.state is not ServerState.DISABLED


def _each(
    rows: Sequence[ServerRow], level: Level, texts: tuple[str, str], advice: str, href: str
) -> Iterator[Problem]:
    if len(rows) > _NAMED:
        yield Problem(level, texts[1], _WHAT_THEY_SHARE, href, {"n": len(rows)})
        return
    for row in rows:
        failure = row.poll.failure if row.poll else ""
        values = {
            "server": row.label,
            "state": row.server.state.value,
            "reason": f" ({failure})" if failure else "",
        }
        yield Problem(level, texts[0], advice, f"/scalelite/servers/{row.server.id}", values)


def _of_work(seen: PoolSnapshot) -> Iterator[Problem]:
    if failed := seen.work.imports_failed:
        yield Problem(
            Level.WARN,
            "{n} recordings could not be imported",
            "Each has its reason; repair that and retry",
            "/scalelite/recordings#failed",
            {"n": failed},
        )
    if failed := seen.work.callbacks_failed:
        yield Problem(
            Level.WARN,
            "{n} calls to front-ends failed and are no longer tried",
            "See why, then retry or drop them",
            "/scalelite/callbacks?state=failed",
            {"n": failed},
        )


def _of_doctor(seen: PoolSnapshot) -> Iterator[Problem]:
    silent = {
        f"server {row.server.id}"
        for row in seen.rows
        if row.server.unstable or not row.server.online
    }
    groups: dict[tuple[Level, str], list[Finding]] = {}
    for finding in seen.examination.findings:
        if finding.level is Level.OK or finding.check in _SEEN_ANYWAY or finding.check in silent:
            continue
        groups.setdefault((finding.level, finding.check.partition(" ")[0]), []).append(finding)
    for (level, subject), findings in groups.items():
        if len(findings) > _NAMED:
            values = {"n": len(findings), "subject": subject, "text": findings[0].text}
            text = "{subject}: {n} findings of the doctor, the first: {text}"
            yield Problem(level, text, findings[0].advice, "/scalelite/doctor", values)
            continue
        for one in findings:
            yield Problem(level, one.text, one.advice, "/scalelite/doctor", check=one.check)
