"""Has changes of recordings that were cut off brought to their end, soon after a start and later.

Decides nothing but when. Truth: the notes on the disk (recordings/recovery.py).
"""

from __future__ import annotations

import trio

from appliance.faults import DatabaseDown
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.recovery import finish_changes

FIRST_S = 1.0
INTERVAL_S = 15.0
AGE_S = 10.0
"""A change in its normal course takes less; one that takes longer is waited for."""


async def finish_changes_forever(
    deps: RecordingDeps,
    *,
    first_s: float = FIRST_S,
    interval_s: float = INTERVAL_S,
    age_s: float = AGE_S,
) -> None:
    """Look until cancelled; what a restart finds needs no age: whoever wrote it may be dead."""
    complained = False
    older_than_s = 0.0
    await trio.sleep(first_s)
    while True:
        try:
            await finish_changes(deps, older_than_s=older_than_s)
            complained, older_than_s = False, age_s
        except DatabaseDown:
            pass  # the database's own log names the fault
        except OSError as error:
            if not complained:
                complained = True
                reason = error.strerror or "I/O error"
                deps.log.warning("changes_not_finished", reason=reason)
        await trio.sleep(interval_s)
