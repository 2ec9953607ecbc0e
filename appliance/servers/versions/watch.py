"""The versions of BBB in the pool: their servers and failures, and the watch over shares.

Each appliance counts the creates that it makes; one at a time looks at what became of the meetings,
and stops the share of a version that fails more often than the others. Source: docs/fleet.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NoReturn

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.audit.rules import DONE, Change
from appliance.bbb.endpoint import UnacceptableValue
from appliance.faults import StoreDown
from appliance.model import Server
from appliance.redis.store import RedisStore
from appliance.servers.deps import ServerDeps
from appliance.servers.versions.shares import (
    WHOLE,
    Excess,
    Share,
    Tally,
    check_version_name,
    find_excess,
    parse_tallies,
)

TICK_S = 2.0
SHORT_MS = 60_000 + round(TICK_S * 1000)
"""An end is noticed up to a tick later."""
UNSEEN_MS = 30_000
"""So long after a join there must be a user: BBB takes some seconds, its users too."""
SETTLE_MS = 20_000
"""Polls within this time of the join say nothing."""
PERIOD_H = 24
"""Failures of the last 24 hours are shown."""
_HOUR_MS = 3_600_000
_LEASE_SHARE = 0.9
_WATCHER = "version watch"


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version of BBB, and what is known of it."""

    version: str
    """Empty: servers whose version is not known."""
    servers: tuple[Server, ...] = ()
    creates: int = 0
    """Within PERIOD_H."""
    failures: int = 0
    share: Share | None = None


def _hours(now_ms: int) -> range:
    hour = now_ms // _HOUR_MS
    return range(hour - PERIOD_H + 1, hour + 1)


async def list_versions(deps: ServerDeps) -> list[VersionRow]:
    """Return the versions that servers have, or that have a share, in natural order."""
    shares = await deps.shares.read()
    by_version: dict[str, list[Server]] = {version: [] for version in shares}
    for server in await deps.pool.records.list_servers(in_background=True):
        by_version.setdefault(server.bbb_version or "", []).append(server)
    tallies = await _read_creates(deps.shares.redis, deps.now_ms())
    return [
        VersionRow(
            version,
            tuple(by_version[version]),
            tallies.get(version, Tally()).counts["creates"],
            tallies.get(version, Tally()).counts["failed"],
            shares.get(version),
        )
        for version in sorted(by_version, key=version_key)
    ]


def version_key(version: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key that puts 3.0.9 before 3.0.10; unknown versions come last."""
    if not version:
        return ((2, ""),)
    return tuple(
        (0, int(part)) if part.isdecimal() and len(part) < 10 else (1, part)
        for part in version.replace("-", ".").split(".")
    )


async def _read_creates(redis: RedisStore, now_ms: int) -> dict[str, Tally]:
    keys = [redis.own_key(f"version_creates:{hour}") for hour in _hours(now_ms)]
    found: dict[str, Tally] = {}
    for flat in await redis.pipeline([("HGETALL", key) for key in keys]):
        counted = parse_tallies(dict(zip(flat[::2], flat[1::2], strict=True)))
        for version, tally in counted.items():
            found.setdefault(version, Tally()).add(tally)
    return found


async def share_version(deps: ServerDeps, actor: str, version: str, parts: int) -> Share | None:
    """Set the share of a version, in parts of WHOLE; all of them: no share. Raises Refused."""
    try:
        check_version_name(version)
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error
    if parts >= WHOLE:
        await deps.shares.remove(version)
        deps.log.info("version_share_set", version=version, percent="no limit", by=actor)
        return None
    share = Share(version, parts, by=actor, set_ms=deps.now_ms())
    await deps.shares.save(share)
    deps.log.info("version_share_set", version=version, percent=share.percent, by=actor)
    return share


# --- the task ------------------------------------------------------------------------------------


@dataclass(slots=True)
class VersionWatch:
    """Counts what becomes of creates and meetings, and stops shares."""

    deps: ServerDeps
    _counted: dict[tuple[str, ...], float] = field(default_factory=dict)
    """The creates of this process that are in Redis already."""

    async def watch(self) -> None:
        """Do one round. Raises StoreDown."""
        await self.count_creates()
        deps, redis = self.deps, self.deps.shares.redis
        if not deps.shares.active:
            return
        # One appliance a round. It need not be the same one: it remembers nothing.
        lease = ("NX", "PX", round(TICK_S * _LEASE_SHARE * 1000))
        if await redis.command("SET", redis.own_key("lease-versions"), deps.instance, *lease):
            await self._count_meetings(redis)
            await self._judge()

    async def count_creates(self) -> None:
        """Add the creates that this process has made since the last time to those in Redis."""
        values = self.deps.metrics.server_creates.values
        rows = [str(self.deps.now_ms() // _HOUR_MS)]
        fresh = {
            labels: value for labels, value in values.items() if value != self._counted.get(labels)
        }
        for server in sorted({server for server, _ in fresh}):
            for result in ("ok", "failed"):
                labels = server, result
                value, before = values.get(labels, 0.0), self._counted.get(labels, 0.0)
                more = value - before if value >= before else value  # it was forgotten
                rows += [server] if result == "ok" else []
                rows.append(f"{more:.0f}")
        if fresh:
            self._counted.update(fresh)
            await self.deps.shares.redis.run("count_versions", *rows)

    async def _count_meetings(self, redis: RedisStore) -> None:
        facts = (self.deps.now_ms(), SHORT_MS, UNSEEN_MS, SETTLE_MS)
        await redis.run("watch_versions", *facts)
        async for ids in redis.scan("SSCAN", redis.key("meetings")):
            await redis.run("watch_versions", *facts, *ids)

    async def _judge(self) -> None:
        shares = self.deps.shares
        flat = await shares.redis.command("HGETALL", shares.redis.own_key("version_trial"))
        tallies = parse_tallies(dict(zip(flat[::2], flat[1::2], strict=True)))
        for share in (await shares.read()).values():
            excess = find_excess(share.version, tallies) if share.parts else None
            if excess is not None:
                await self._stop(share, excess)

    async def _stop(self, share: Share, excess: Excess) -> None:
        deps = self.deps
        stopped = replace(
            share,
            parts=0,
            stopped_ms=deps.now_ms(),
            stopped_parts=share.parts,
            reason=str(excess),
        )
        if not await deps.shares.save(stopped, instead_of=share.parts):
            return  # an operator or another appliance has changed it
        deps.log.warning(
            "version_share_stopped",
            version=share.version,
            percent=share.percent,
            reason=stopped.reason,
            failures=excess.failures,
            of=excess.of,
        )
        if deps.audit is not None:
            change = Change(
                f"share of version {share.version}",
                {"percent": share.percent},
                {"percent": 0.0, "stopped": stopped.reason},
            )
            await deps.audit.record(_WATCHER, "stopVersionShare", [change], DONE)


async def watch_versions_forever(deps: ServerDeps) -> NoReturn:
    """Watch until cancelled."""
    watch = VersionWatch(deps)
    while True:
        try:
            await watch.watch()
        except StoreDown as error:
            deps.faults.note("versions_wait_for_store", "redis", reason=str(error))
        await trio.sleep(TICK_S)
