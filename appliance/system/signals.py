"""Stop the appliance at SIGTERM and SIGINT, reload at SIGHUP.

A service that does not stop blocks upgrades and shutdowns, so the stop has two limits: the drain of
requests, and a timer that ends the process if anything hangs for longer.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import trio

from appliance.log import Log

HARD_STOP_S = 40.0
"""More than the 25 s of the drain and the seconds of the steps after it."""
_FAILED_TO_STOP = 1


async def watch_signals(
    stop: trio.Event,
    cancel_now: Callable[[], None],
    reload: Callable[[], None],
    log: Log,
    *,
    hard_stop_s: float = HARD_STOP_S,
) -> None:
    """Set `stop` at the first SIGTERM or SIGINT, cancel at the second; never returns.

    `hard_stop_s` after the first one the process exits, even if tasks still run.
    """
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as received:
        async for number in received:
            if number == signal.SIGHUP:
                log.info("reloading")
                reload()
            elif stop.is_set():
                log.warning("stopping_at_once", signal=signal.Signals(number).name)
                cancel_now()
            else:
                log.info("stopping", signal=signal.Signals(number).name)
                _arm_hard_stop(hard_stop_s)
                stop.set()


def _arm_hard_stop(after_s: float) -> None:
    timer = threading.Timer(after_s, os._exit, (_FAILED_TO_STOP,))
    timer.daemon = True
    timer.start()
