"""Tells front-ends of meetings that have ended, once their servers had time to tell us."""

from __future__ import annotations

from typing import NoReturn

import trio

from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.ended import tell_ended
from appliance.faults import StoreDown

PAUSE_S = 1.0


async def tell_ended_forever(deps: CallbackDeps, *, pause_s: float = PAUSE_S) -> NoReturn:
    """Look again and again; never returns."""
    while True:
        try:
            await tell_ended(deps)
        except StoreDown as error:
            deps.faults.note("ended_meetings_wait_for_store", "redis", reason=str(error))
        await trio.sleep(pause_s)
