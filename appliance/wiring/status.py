"""The status line of `systemctl status`: the pool, and whether the stores answer."""

from __future__ import annotations

import trio

from appliance.faults import DatabaseDown, StoreDown
from appliance.features import Features

_ASK_S = 3.0


async def describe_status(features: Features) -> str:
    """Return the status line; a store that does not answer is part of it."""
    pool, redis = await _describe_pool(features)
    database = await _find_database_fault(features)
    if redis:
        stores = f"Redis does not answer ({redis}): meetings cannot be created or joined"
    elif database is None:
        stores = "Redis answers"
    else:
        stores = "Redis answers" if database else "Redis and PostgreSQL answer"
    if database:
        stores += f"; PostgreSQL does not answer ({database}): recordings wait"
    return f"{pool}; {stores}" if pool else stores


async def _describe_pool(features: Features) -> tuple[str, str]:
    """Return a text about the pool, and why Redis does not answer; one of them is empty."""
    try:
        with trio.fail_after(_ASK_S):
            counted = await features.pool.records.count_pool()
    except StoreDown as error:
        return "", str(error) or "no connection"
    except trio.TooSlowError:
        return "", f"no answer within {_ASK_S:g} s"
    enabled, online, meetings, users = counted
    text = f"{online} of {enabled} enabled servers online, {meetings} meetings, {users} users"
    return text, ""


async def _find_database_fault(features: Features) -> str | None:
    """Return why PostgreSQL does not answer; empty: it does; None: it is not used."""
    if features.recordings.store is None:
        return None
    try:
        with trio.fail_after(_ASK_S):
            await features.recordings.store.ping()
    except DatabaseDown as error:
        return str(error) or "no connection"
    except trio.TooSlowError:
        return f"no answer within {_ASK_S:g} s"
    return ""
