"""The users that the pool had at this time in the last weeks, as a forecast of the next hour."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import tzinfo
from zoneinfo import ZoneInfo

import trio

from appliance.fault_log import FaultLog
from appliance.faults import DatabaseDown
from appliance.postgres.database import Database
from appliance.postgres.errors import DatabaseRefused
from appliance.usage.history import forecast_hour
from appliance.usage.model import HOUR_MS

KEEP_S = 600.0
"""How long an hour that was read is used."""
PAUSE_S = 10.0
"""After a failure, so that a database that is down does not delay every call."""
_READ_S = 2.0
_KEPT_HOURS = 6


@dataclass(slots=True)
class PastWeeks:
    """Reads what an hour was like in the last weeks, and remembers it."""

    database: Database | None
    """None: nothing is recorded, so nothing is expected."""
    zone_name: str | None
    faults: FaultLog
    _hours: dict[int, tuple[float, int]] = field(default_factory=dict)
    """Number of the hour → when it was read (trio time), and its users."""
    _failed_s: float = -PAUSE_S

    @property
    def zone(self) -> tzinfo | None:
        """Return the time zone of the users; None: that of the machine."""
        return ZoneInfo(self.zone_name) if self.zone_name else None

    async def expect(self, now_ms: int) -> int | None:
        """Return the users of the next 60 minutes; None: the database does not answer.

        The hour that has begun and the next one count, each as in the median of four weeks.
        """
        if self.database is None:
            return 0
        hours = (now_ms // HOUR_MS, now_ms // HOUR_MS + 1)
        found = [await self._read(self.database, hour) for hour in hours]
        return None if None in found else max(users for users in found if users is not None)

    async def _read(self, database: Database, hour: int) -> int | None:
        now_s = trio.current_time()
        read_s, users = self._hours.get(hour, (-KEEP_S, None))
        if now_s - read_s < KEEP_S or now_s - self._failed_s < PAUSE_S:
            return users
        try:
            with trio.fail_after(_READ_S):
                found = await forecast_hour(database, hour * HOUR_MS, zone=self.zone)
        except (DatabaseDown, DatabaseRefused, trio.TooSlowError) as error:
            self._failed_s = now_s
            self.faults.note("forecast_without_database", "postgres", reason=str(error))
            return users
        self._hours[hour] = now_s, found
        while len(self._hours) > _KEPT_HOURS:
            del self._hours[min(self._hours)]
        return found
