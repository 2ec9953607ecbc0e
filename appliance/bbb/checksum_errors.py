"""Records calls with a wrong checksum: counted, logged once a minute for each client, remembered.

A front-end with a wrong secret is the commonest mistake of an installation. Kept in this process
only; the number of clients is bounded, since anybody can make such calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from appliance.bbb.errors import ChecksumError, ChecksumReason
from appliance.instruments import Counter
from appliance.log import Log

_MINUTE_MS = 60_000
_HOUR_MINUTES = 60
_MAX_CLIENTS = 1000
_MAX_LINES = 30
"""Per minute, for all clients together, since such calls can come from many addresses."""


@dataclass(slots=True)
class _Client:
    """The wrong calls of one address."""

    logged_ms: int
    unlogged: int = 0
    per_minute: dict[int, int] = field(default_factory=dict)
    """By minutes since the epoch; those without a checksum are left out."""


class ChecksumErrors:
    """The calls with a wrong checksum that came to this process."""

    def __init__(self, counter: Counter, log: Log, now_ms: Callable[[], int]) -> None:
        self._counter = counter
        self._log = log
        self._now_ms = now_ms
        self._clients: dict[str, _Client] = {}
        """By address; the one that was silent for longest first."""
        self._lines: tuple[int, int] = (0, 0)
        """A minute, and the lines logged in it."""

    def note(self, error: ChecksumError, *, call: str, host: str, client: str) -> None:
        """Record a call; `client` is the address that made it, '' if unknown."""
        self._counter.add(error.reason.value)
        now_ms = self._now_ms()
        seen = self._clients.pop(client, None)
        if seen is None:
            if len(self._clients) >= _MAX_CLIENTS:
                del self._clients[next(iter(self._clients))]
            seen = _Client(now_ms - _MINUTE_MS)
        self._clients[client] = seen
        seen.unlogged += 1
        if error.reason is not ChecksumReason.MISSING:
            minute = now_ms // _MINUTE_MS
            seen.per_minute[minute] = seen.per_minute.get(minute, 0) + 1
            _forget_before(seen.per_minute, minute - _HOUR_MINUTES)
        # A clock that was set back must not suppress the line until it has caught up.
        if not 0 <= now_ms - seen.logged_ms < _MINUTE_MS and self._may_log(now_ms // _MINUTE_MS):
            self._log_client(error, seen, call=call, host=host, client=client)
            seen.logged_ms, seen.unlogged = now_ms, 0

    def last_hour(self) -> list[tuple[str, int]]:
        """Return (address, number of calls) for the last hour, the most first.

        Calls without a checksum are no mistake of a front-end and are left out.
        """
        since = self._now_ms() // _MINUTE_MS - _HOUR_MINUTES
        sums = [
            (address, sum(n for minute, n in client.per_minute.items() if minute > since))
            for address, client in self._clients.items()
        ]
        return sorted((one for one in sums if one[1]), key=lambda one: (-one[1], one[0]))

    def _may_log(self, minute: int) -> bool:
        lines = self._lines[1] if self._lines[0] == minute else 0
        self._lines = minute, lines + 1
        return lines < _MAX_LINES

    def _log_client(
        self, error: ChecksumError, seen: _Client, *, call: str, host: str, client: str
    ) -> None:
        self._log.info(
            "checksum_wrong",
            client=client,
            call=call,
            host=host,
            reason=error.reason.value,
            count=seen.unlogged,
            **({"algorithm": error.algorithm.value} if error.algorithm else {}),
            **({"repeated": error.repeated} if error.repeated else {}),
        )


def _forget_before(per_minute: dict[int, int], first: int) -> None:
    for minute in [minute for minute in per_minute if minute < first]:
        del per_minute[minute]
