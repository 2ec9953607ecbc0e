"""The meetings, users and recordings of tenants for /metrics, as of the last polls."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

import trio

from appliance.faults import DatabaseDown, StoreDown
from appliance.metrics.deps import MetricsDeps
from appliance.metrics.exposition import TenantNow
from appliance.model import Server
from appliance.system.threads import run_sized
from appliance.usage.deps import UsageDeps
from appliance.usage.tally import tenant_totals

SIZES_EVERY_S = 300.0
"""Adding the sizes of 100,000 recordings up takes a tenth of a second."""
_RUN_BYTES = 50
"""Adding a run up takes as long as parsing this much (system/threads.py)."""


class TenantReader:
    """Reads what tenants have; remembers the sizes of their recordings for some minutes."""

    def __init__(self) -> None:
        self._sizes: dict[str, int] = {}
        self._sizes_until_s = -1.0

    async def read(
        self, deps: MetricsDeps, servers: Sequence[Server] | None
    ) -> dict[str, TenantNow] | None:
        """Return the numbers of each tenant by name, None: TENANT_METRICS is off.

        Empty while Redis cannot be used, or without a database.
        """
        if not deps.settings.metrics.tenants:
            return None
        if deps.usage is None or servers is None:
            return {}
        try:
            return await self._read(deps.usage, [one for one in servers if one.online])
        except StoreDown:
            return {}

    async def _read(self, usage: UsageDeps, online: Sequence[Server]) -> dict[str, TenantNow]:
        states = await usage.store.read_all([server.id for server in online])
        runs = [run for _, state in states.values() for run in state.runs]
        totals = await run_sized(len(runs) * _RUN_BYTES, partial(tenant_totals, runs))
        numbers = {
            tenant: (total.meetings, total.users, total.voice, total.videos)
            for tenant, total in totals.items()
        }
        if trio.current_time() >= self._sizes_until_s:
            with suppress(DatabaseDown):
                found = await usage.table.recording_bytes()
                self._sizes = {tenant or "": size for tenant, size in found.items()}
            self._sizes_until_s = trio.current_time() + SIZES_EVERY_S
        names = {"": ""}
        if usage.settings.api.multitenancy:
            names = await usage.tenants.store.read_names()
        return {
            names.get(tenant, tenant): _now(
                numbers.get(tenant, (0, 0, 0, 0)), self._sizes.get(tenant, 0)
            )
            for tenant in {*names, *numbers, *self._sizes}
        }


def _now(numbers: Sequence[int], recording_bytes: int) -> TenantNow:
    meetings, users, voice, videos = numbers
    return TenantNow(meetings, users, voice, videos, recording_bytes)
