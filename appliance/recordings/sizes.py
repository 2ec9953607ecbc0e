"""Measures the files of recordings, for usage by tenant and for limits.

Of new and changed recordings soon after their import, of those that Scalelite imported little by
little. One appliance does it for all. Source: docs/tenants.md.
"""

from __future__ import annotations

from functools import partial
from typing import NoReturn

import trio

from appliance.faults import DatabaseDown, StoreDown
from appliance.postgres.errors import DatabaseRefused
from appliance.recordings.administration import open_recordings
from appliance.recordings.deps import RecordingDeps

NAME = "sizes"
PAUSE_S = 30.0
BATCH, MAX_BATCHES = 100, 20
ALL_EVERY = 10
"""Rounds between two searches for recordings that were never measured, or long ago."""


async def measure_recordings_forever(deps: RecordingDeps, *, pause_s: float = PAUSE_S) -> NoReturn:
    """Measure recordings until cancelled."""
    number = 0
    while True:
        try:
            await measure_recordings(deps, everything=number % ALL_EVERY == 0, pause_s=pause_s)
        except (DatabaseDown, DatabaseRefused, StoreDown) as error:
            deps.log.debug("recordings_not_measured", reason=str(error))
        except OSError as error:
            deps.faults.note("recordings_not_measured", "files", reason=error.strerror)
        number += 1
        await trio.sleep(pause_s)


async def measure_recordings(
    deps: RecordingDeps, *, everything: bool = True, pause_s: float = 0.0
) -> int:
    """Measure what was imported lately and, if `everything`, what was never measured.

    Return the number of recordings. Raises DatabaseDown, OSError.
    """
    admin, measured = open_recordings(deps).admin, 0
    # A little less than the pause, so that the same appliance goes on.
    async with admin.table.claim_daily(NAME, pause_s * 0.9) as due:
        new_s = 2 * pause_s + 60
        for _ in range(MAX_BATCHES if due else 0):
            found = await admin.table.list_unmeasured(new_s, BATCH, everything=everything)
            for record_id in found:
                await _measure(deps, record_id)
            measured, new_s = measured + len(found), 0.0
            if not everything or len(found) < BATCH:
                break
    return measured


async def _measure(deps: RecordingDeps, record_id: str) -> None:
    opened, sizes = open_recordings(deps), dict[str, int]()
    for one in await deps.in_thread(partial(opened.files.locate, record_id)):
        sizes[one.format] = sizes.get(one.format, 0) + one.size
    await opened.admin.table.record_sizes(record_id, sizes)
