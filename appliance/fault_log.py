"""Rate-limited logging of repeated faults.

A dead server can fail hundreds of requests a minute. Each fault is logged at WARNING once a minute
with the number of repetitions since; the repetitions themselves are logged at DEBUG.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from appliance.log import Log

_REPEAT_MS = 60_000
_MAX_KEYS = 10_000


class FaultLog:
    """Logs faults, each at WARNING at most once a minute."""

    def __init__(self, log: Log, now_ms: Callable[[], int]) -> None:
        self._log = log
        self._now_ms = now_ms
        self._named: dict[tuple[str, str], tuple[int, int]] = {}

    def note(self, event: str, subject: str, **fields: Any) -> None:
        """Log a fault of `subject` (a server id, a store)."""
        key = event, subject
        now_ms = self._now_ms()
        named_ms, since = self._named.get(key, (-_REPEAT_MS, 0))
        # A clock that was set back must not suppress a fault until it has caught up.
        if 0 <= now_ms - named_ms < _REPEAT_MS:
            self._named[key] = named_ms, since + 1
            self._log.debug(event, subject=subject, **fields)
            return
        if len(self._named) >= _MAX_KEYS:
            self._named.clear()
        self._named[key] = now_ms, 0
        self._log.warning(event, subject=subject, repeated=since, **fields)
