"""Recordings owed: a recorded meeting has ended on a server, and its recording has not arrived.

Redis has them, from the step that records the end on (change_debts in lib.lua), the database as
well (`owes` in meeting_runs) once the run is written: so each brings back what the other has lost.
tally.py says which runs owe. Source: docs/fleet.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from appliance.model import Server
from appliance.usage.deps import UsageDeps
from appliance.usage.model import HOUR_MS, Debts

WRITTEN_MS = HOUR_MS
"""Runs that ended before are in the database, if everything that waited was written."""


async def with_debts(deps: UsageDeps | None, servers: Sequence[Server]) -> list[Server]:
    """Return servers with the number of recordings that they owe. Raises StoreDown."""
    if deps is None:  # without a database there are no recordings
        return list(servers)
    ids = [server.id for server in servers]
    owed = await deps.store.count_debts(ids, since_ms=awaited_since_ms(deps))
    return [
        replace(one, recordings_owed=owed[one.id][0], recordings_awaited=owed[one.id][1])
        if one.id in owed
        else one
        for one in servers
    ]


def awaited_since_ms(deps: UsageDeps) -> int:
    """Return when runs ended whose recording is still waited for."""
    return deps.now_ms() - deps.settings.registry.recording_owed_ms


async def settle_debts(deps: UsageDeps, debts: Debts) -> None:
    """Forget the debts of recordings that have arrived, also if they were deleted since.

    `debts` were read before what waits was written: so all that was said of these runs is in the
    database. Raises StoreDown, DatabaseDown.
    """
    if debts and (settled := await deps.table.settle(debts)):
        await deps.store.change_debts(settled)


async def restore_debts(deps: UsageDeps) -> None:
    """Make Redis follow the database: bring back debts that it has lost, drop those without a run.

    Runs are deleted when they are old, and for privacy. Raises StoreDown, DatabaseDown.
    """
    written_ms = deps.now_ms() - WRITTEN_MS
    here, known = await deps.store.read_debts(), await deps.store.known_to_pool()
    there = await deps.table.read_debts()
    # A server may have another id by now.
    in_redis, in_database = ({id for owed in all.values() for id in owed} for all in (here, there))
    changes: Debts = {}
    for server, owed in here.items():
        changes[server] = {
            id: 0
            for id, ms in owed.items()
            if server not in known or (id not in in_database and ms < written_ms)
        }
    for server, owed in there.items():
        if server in known:
            lost = {id: ms for id, ms in owed.items() if id not in in_redis}
            changes.setdefault(server, {}).update(lost)
    changes = {server: one for server, one in changes.items() if one}
    if changes:
        await deps.store.change_debts(changes)
