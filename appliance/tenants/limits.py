"""The limits of tenants, and of a pool without tenants: their names, values and counts.

The rules are `limits_of` in redis/lib.lua, since they belong to placing and joining. Source:
docs/tenants.md.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from appliance.model import TenantId
from appliance.redis.store import RedisStore

DEFAULT_TENANT = "default"
"""Name of what has no tenant: the whole pool while multitenancy is off."""
LIMITS = (
    *("max_meetings", "max_users", "max_users_per_meeting", "max_duration"),
    *("max_recordings_gb", "max_creates_per_minute"),
)
NEAR = 0.8
"""Share of a limit from which on operators are warned; also in `allows` of redis/lib.lua."""

_WHOLE = re.compile(r"[0-9]{1,9}(\.0+)?").fullmatch
"""JSON has one kind of numbers: some programs write 5 as 5.0."""
_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?").fullmatch


@dataclass(frozen=True, slots=True)
class LimitUse:
    """A limit of a tenant, and how much of it is in use."""

    name: str
    maximum: float
    used: float


def check_limit(name: str, value: str) -> str:
    """Return a limit as it is stored; an empty one removes it. Raises ValueError, with its reason.

    0 allows nothing, but for max_duration, where BBB takes it for no limit.
    """
    if name not in LIMITS:
        raise ValueError(f"{name} is not a limit; there are {', '.join(LIMITS)}")
    value = value.strip()
    if not value:
        return ""
    if name == "max_recordings_gb":
        if not _DECIMAL(value):
            raise ValueError(f"{name} must be a number of gigabytes such as 50 or 0.5")
        return value
    if not _WHOLE(value) or (name == "max_duration" and not float(value)):
        least = 1 if name == "max_duration" else 0
        raise ValueError(f"{name} must be a whole number from {least} to 999999999")
    return str(int(float(value)))


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """The limits of a tenant with what is in use."""

    limits: Mapping[str, float]
    used: Mapping[str, float]
    """Missing: a limit of each meeting, of which there is no sum."""

    @property
    def near(self) -> tuple[LimitUse, ...]:
        """Return the limits of which 80 % or more are in use."""
        return tuple(
            LimitUse(name, maximum, self.used[name])
            for name, maximum in self.limits.items()
            if name in self.used and self.used[name] >= maximum * NEAR
        )


@dataclass(frozen=True, slots=True)
class LimitStore:
    """Reads and changes limits in Redis. Every method raises StoreDown."""

    redis: RedisStore

    async def read(self, tenant_id: TenantId | None, *, now_ms: int) -> TenantLimits:
        """Return the limits of a tenant, None: of a pool without tenants."""
        reply = await self.redis.run("read_limits", now_ms, tenant_id or "")
        return _parse_limits(reply[0][1])

    async def read_all(self, *, now_ms: int) -> dict[TenantId | None, TenantLimits]:
        """Return the limits of everyone who has any."""
        reply = await self.redis.run("read_limits", now_ms)
        return {TenantId(name) or None: _parse_limits(found) for name, found in reply}

    async def change(self, tenant_id: TenantId | None, values: Mapping[str, str]) -> bool:
        """Set limits, remove those with an empty value; False: there is no such tenant."""
        arguments = [item for pair in values.items() for item in pair]
        return bool(await self.redis.run("save_limits", tenant_id or "", *arguments))

    async def record_recordings(self, bytes_of: Mapping[TenantId | None, int]) -> None:
        """Record how much the recordings of all tenants take."""
        key = self.redis.own_key("recording_bytes")
        pairs = [item for name, size in bytes_of.items() for item in (name or "", size)]
        set_all = [["HSET", key, *pairs]] if pairs else []
        await self.redis.pipeline([["DEL", key], *set_all])


def _parse_limits(document: str) -> TenantLimits:
    found = json.loads(document)
    order = {name: index for index, name in enumerate(LIMITS)}
    limits = sorted(dict(found["limits"]).items(), key=lambda item: order.get(item[0], math.inf))
    return TenantLimits(dict(limits), dict(found["used"]))
