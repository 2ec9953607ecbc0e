"""Runs the retention once a day, by one appliance for all that share the database.

It runs soon after a start if the last run was more than a day ago, else a day after the last run;
the table `appliance.daily_work` records when that was.
"""

from __future__ import annotations

import trio

from appliance.faults import DatabaseDown, StoreDown
from appliance.recordings.administration import open_recordings
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.retention import read_rules, run_retention

NAME = "retention"
DAY_S = 86400.0
FIRST_S = 3.0
CHECK_S = 600.0
RETRY_S = 10.0
BY = "retention"
"""The actor in the log."""


async def run_retention_forever(
    deps: RecordingDeps,
    *,
    first_s: float = FIRST_S,
    check_s: float = CHECK_S,
    retry_s: float = RETRY_S,
    interval_s: float = DAY_S,
) -> None:
    """Run the retention once a day until cancelled; while a store is down, retry."""
    warned: dict[str, str] = {}
    await trio.sleep(first_s)
    while True:
        try:
            await _run_if_due(deps, interval_s, warned)
            pause_s = check_s
        except (DatabaseDown, StoreDown) as error:
            deps.log.debug("retention_waits", reason=str(error))
            pause_s = retry_s
        await trio.sleep(pause_s)


async def _run_if_due(deps: RecordingDeps, interval_s: float, warned: dict[str, str]) -> None:
    async with open_recordings(deps).admin.table.claim_daily(NAME, interval_s) as due:
        if not due:
            return
        rules = await read_rules(deps)
        for tenant_id, value in rules.faulty.items():
            if warned.get(tenant_id) != value:
                warned[tenant_id] = value
                deps.log.warning(
                    "tenant_retention_unreadable",
                    tenant=tenant_id,
                    value=value,
                    effect="nothing of this tenant is deleted",
                )
        deleted = await run_retention(deps, BY)
        deps.log.info("retention_done", deleted=deleted)
