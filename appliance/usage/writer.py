"""The task that writes usage to the database, by one appliance for all on the same Redis.

While the database is away, everything waits in Redis. Also closes the runs whose end was reported,
and those of servers that are not polled any more.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import NoReturn, TypeVar

import trio

from appliance.faults import DatabaseDown, StoreDown
from appliance.model import ServerId, ServerState
from appliance.postgres.errors import DatabaseRefused
from appliance.usage.debts import restore_debts, settle_debts
from appliance.usage.deps import UsageDeps
from appliance.usage.model import DAY_MS, MINUTE_MS, EndNote, Finished, ServerUsage
from appliance.usage.observer import change_usage
from appliance.usage.store import MINUTES, RUNS
from appliance.usage.table import KEEP_MINUTES_DAYS, clean_text
from appliance.usage.tally import close_lost, end_run, gap_limit_ms

PAUSE_S = 2.0
LEASE_MS = 10_000
"""When another appliance goes on in place of one that died. A statement may take longer: then two
may write the same, which does no harm."""
BATCH = 500
MINUTE_S, HOUR_S = 60.0, 3600.0
_DAY_S = 86_400.0
FORGOTTEN_AFTER_MS = DAY_MS
"""When the runs of a server that does not answer are given up (as detached meetings are)."""
UNPOLLED_MS = 2 * MINUTE_MS
"""When the runs of a server that was disabled or removed are closed."""

T = TypeVar("T")


async def write_usage_forever(deps: UsageDeps, *, pause_s: float = PAUSE_S) -> NoReturn:
    """Write usage until cancelled, every `pause_s` seconds."""
    next_minute_s = next_hour_s = trio.current_time()
    while True:
        try:
            if await deps.store.claim(deps.instance, lease_ms=LEASE_MS):
                now_s = trio.current_time()
                is_minute = now_s >= next_minute_s
                debts = await deps.store.read_debts()
                await close_ended(deps)
                if is_minute:
                    next_minute_s = now_s + MINUTE_S
                    await close_unpolled(deps)
                await write_waiting(deps)
                await settle_debts(deps, debts)
                if is_minute:
                    await name_tenants(deps)
                    await deps.table.roll_up()
                    await restore_debts(deps)
                    await record_recording_bytes(deps)
                if now_s >= next_hour_s:
                    next_hour_s = now_s + HOUR_S
                    await prune_usage(deps)
        except (DatabaseDown, DatabaseRefused) as error:
            deps.faults.note("usage_waits_for_database", "postgres", reason=str(error))
        except StoreDown as error:
            deps.faults.note("usage_waits_for_store", "redis", reason=str(error))
        await trio.sleep(pause_s)


async def write_waiting(deps: UsageDeps) -> None:
    """Write what waits in Redis. Raises StoreDown, DatabaseDown."""
    # Read first: the runs that they are about wait now, or are written.
    settled = await deps.store.read_settled()
    for name in (RUNS, MINUTES):
        while (waiting := await deps.store.read_waiting(name, BATCH)).texts:
            if name == RUNS:
                await _write(deps, deps.table.add_runs, waiting.entries())
            else:
                await _write(deps, deps.table.add_minutes, waiting.minutes())
            await deps.store.drop(waiting)
    if settled:
        await deps.table.forgive([(server, id) for server, id in map(json.loads, settled)])
        await deps.store.drop_settled(settled)
    dropped = await deps.store.read_dropped()
    if dropped:
        await deps.table.add_runs(dropped)
        await deps.store.forget_dropped(dropped)
        deps.log.error("usage_dropped", servers=len(dropped), effect="recorded as gaps")


async def _write(
    deps: UsageDeps, add: Callable[[Sequence[T]], Awaitable[None]], entries: Sequence[T]
) -> None:
    """Write entries; one that the database refuses is left out, so that it stops no others."""
    try:
        await add(entries)
    except DatabaseRefused as error:
        if len(entries) == 1:
            deps.log.error("usage_refused", reason=str(error))
            return
        middle = len(entries) // 2
        await _write(deps, add, entries[:middle])
        await _write(deps, add, entries[middle:])


async def close_ended(deps: UsageDeps) -> None:
    """Close the runs whose end was noted. Raises StoreDown."""
    notes = await deps.store.read_ends(BATCH)
    by_server: dict[ServerId, list[EndNote]] = {}
    for note in notes:
        by_server.setdefault(note.server_id, []).append(note)
    for server_id, its_notes in by_server.items():
        await change_usage(deps, server_id, partial(_end_runs, its_notes, deps.now_ms()))
    if notes:
        await deps.store.drop_ends(len(notes))


def _end_runs(notes: Sequence[EndNote], now_ms: int, state: ServerUsage) -> Finished:
    finished = Finished([], [])
    for note in notes:
        ended = end_run(state, note, now_ms)
        finished.entries += ended.entries
        finished.debts |= ended.debts
    return finished


async def close_unpolled(deps: UsageDeps) -> None:
    """Write what is known of servers that are not polled any more. Raises StoreDown."""
    servers = await deps.pool.records.list_servers(in_background=True)
    kept = await deps.store.known_to_pool()  # a retired one may still report ends
    polled = {one.id for one in servers if one.state is not ServerState.DISABLED}
    limit_ms = gap_limit_ms(deps.settings.polling.interval_s)
    known = await deps.store.read_all(await deps.store.known_servers())
    for server_id, (_, state) in known.items():
        unpolled_ms = deps.now_ms() - state.polled_ms
        if unpolled_ms < (limit_ms if server_id in polled else UNPOLLED_MS):
            continue
        remove = unpolled_ms > FORGOTTEN_AFTER_MS or server_id not in kept
        if remove or state.minutes or any(not run.lost for run in state.runs):
            close = partial(_close_lost, server_id, state.polled_ms)
            await change_usage(deps, server_id, close, remove=remove)


def _close_lost(server_id: ServerId, polled_ms: int, state: ServerUsage) -> Finished | None:
    # It may have been polled meanwhile.
    return close_lost(state, server_id) if state.polled_ms == polled_ms else None


async def record_recording_bytes(deps: UsageDeps) -> None:
    """Record the size of recordings for the limit on it, if a tenant has one.

    Raises StoreDown, DatabaseDown.
    """
    limits = await deps.tenants.limits.read_all(now_ms=deps.now_ms())
    if any("max_recordings_gb" in one.limits for one in limits.values()):
        await deps.tenants.limits.record_recordings(await deps.table.recording_bytes())


async def prune_usage(deps: UsageDeps) -> None:
    """Delete what is too old, and make days of old hours. Raises DatabaseDown."""
    keep_s = deps.settings.usage.retention_days * _DAY_S
    for what, age_s in (
        ("minutes", KEEP_MINUTES_DAYS * _DAY_S),
        ("runs", keep_s),
        ("gaps", keep_s),
    ):
        while await deps.table.delete_old(what, age_s):
            await deps.store.claim(deps.instance, lease_ms=LEASE_MS)
    while await deps.table.make_days():
        await deps.store.claim(deps.instance, lease_ms=LEASE_MS)


async def name_tenants(deps: UsageDeps) -> dict[str, str]:
    """Write the names of tenants that have changed; return all by id, the living first.

    Of a removed tenant whose name is not known, the name is its id. Raises StoreDown, DatabaseDown.
    """
    stored = await deps.table.read_names()
    removed = await deps.store.read_removed_tenants()
    living = _clean_names(await deps.tenants.store.read_names())
    known = {**_clean_names(removed), **living}
    changed = {id: name for id, name in known.items() if stored.get(id) != name}
    if changed:
        await deps.table.name_tenants(changed)
    if removed:
        await deps.store.forget_removed_tenants(removed)
    return living | stored | known


def _clean_names(names: Mapping[str, str]) -> dict[str, str]:
    return {clean_text(id): clean_text(name) for id, name in names.items()}
