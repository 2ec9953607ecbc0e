"""Reads everything of Redis that belongs to a backup, and writes a plan in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, cast

import trio

from appliance.backup.keys import TYPES, Entry, Value, classify, is_taken, to_type
from appliance.redis.store import RedisStore
from appliance.system.threads import in_chunks

CHUNK = 500
"""Keys per round trip."""
_GLOB = str.maketrans({char: f"\\{char}" for char in "*?[]\\"})
_READ: dict[str, tuple[str | int, ...]] = {
    "hash": ("HGETALL",),
    "set": ("SMEMBERS",),
    "sorted_set": ("ZRANGE", 0, -1, "WITHSCORES"),
    "list": ("LRANGE", 0, -1),
    "string": ("GET",),
}


async def read_entries(redis: RedisStore, now_ms: int) -> list[Entry]:
    """Return all entries, by key. Raises StoreDown.

    Collections are read last, so that what they name has been read; a member without a record is
    nothing unusual (docs/stores.md).
    """
    prefix = redis.key("")
    server_ids = set(await redis.command("SMEMBERS", redis.key("servers")))
    found: set[str] = set()
    cursor = "0"
    while True:
        match = f"{prefix.translate(_GLOB)}*"
        cursor, keys = await redis.command("SCAN", cursor, "MATCH", match, "COUNT", CHUNK)
        found.update(key.removeprefix(prefix) for key in keys)
        if cursor == "0":
            break
    # In a thread, as all that looks at every key: there may be 100,000.
    names = await trio.to_thread.run_sync(_choose_names, found, server_ids)
    entries: list[Entry] = []
    for chunk in in_chunks(names, CHUNK):
        entries += await _read_chunk(redis, chunk, now_ms)
    return sorted(entries, key=lambda entry: entry.key)


def _choose_names(found: Collection[str], server_ids: Collection[str]) -> list[str]:
    taken = (key for key in found if is_taken(key, server_ids))
    return sorted(taken, key=lambda key: (not classify(key)[0].owner, key))


async def _read_chunk(redis: RedisStore, names: Sequence[str], now_ms: int) -> list[Entry]:
    asked = [(("TYPE", redis.key(name)), ("PTTL", redis.key(name))) for name in names]
    replies = await redis.pipeline([command for pair in asked for command in pair])
    known = [
        (name, to_type(type_), int(ttl_ms))
        for name, type_, ttl_ms in zip(names, replies[::2], replies[1::2], strict=True)
        if to_type(type_) in TYPES
    ]
    commands = []
    for name, type_, _ in known:
        command, *rest = _READ[type_]
        commands.append((command, redis.key(name), *rest))
    values = await redis.pipeline(commands)
    return [
        Entry(name, type_, _value(type_, value), now_ms + ttl_ms if ttl_ms >= 0 else None)
        for (name, type_, ttl_ms), value in zip(known, values, strict=True)
        if value  # it may have expired meanwhile
    ]


def _value(type_: str, reply: Any) -> Value:
    if type_ in ("hash", "sorted_set"):
        return dict(zip(reply[::2], reply[1::2], strict=True))
    return sorted(reply) if type_ == "set" else cast(Value, reply)


async def apply(redis: RedisStore, commands: Sequence[Sequence[str | int]]) -> None:
    """Run the commands of a plan, all or none. Raises StoreDown."""
    if commands:
        full = [(command, redis.key(str(key)), *rest) for command, key, *rest in commands]
        await redis.pipeline([("MULTI",), *full, ("EXEC",)])
