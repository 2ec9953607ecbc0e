"""Load the keys of a Scalelite (tests/data/scalelite/redis.json) into a Redis.

Types and times to live are kept; the prefix `scalelite:` is replaced by a namespace.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import redis

from appliance.redis.client import RedisClient
from tests.doubles.bbb_process import BbbProcess

DATA = Path(__file__).parents[1] / "data" / "scalelite" / "redis.json"
_PREFIX = "scalelite:"


Servers = Mapping[str, BbbProcess]
"""Simulated servers by the ids of the servers in the file that they replace."""


async def load_scalelite_data(
    client: RedisClient, namespace: str, servers: Servers | None = None
) -> dict[str, Any]:
    """Write all keys of the file; return the values by key without the prefix."""
    values: dict[str, Any] = {}
    for item in _items(servers or {}):
        name = item["key"].removeprefix(_PREFIX)
        key = f"{namespace}:{name}"
        values[name] = item["value"]
        await client.command(*_write(item["type"], key, item["value"]))
        if item["ttl_s"] is not None:
            await client.command("EXPIRE", key, item["ttl_s"])
    return values


def write_scalelite_data(
    socket_path: Path, namespace: str, servers: Servers | None = None
) -> dict[str, Any]:
    """Write all keys like load_scalelite_data, synchronously, through a Unix socket."""
    values: dict[str, Any] = {}
    with redis.Redis(unix_socket_path=str(socket_path), decode_responses=True) as client:
        for item in _items(servers or {}):
            name = item["key"].removeprefix(_PREFIX)
            values[name] = item["value"]
            client.execute_command(*_write(item["type"], f"{namespace}:{name}", item["value"]))
            if item["ttl_s"] is not None:
                client.expire(f"{namespace}:{name}", item["ttl_s"])
    return values


def _items(servers: Servers) -> list[Any]:
    items: list[Any] = json.loads(DATA.read_text("utf-8"))
    for item in items:
        bbb = servers.get(item["key"].removeprefix(f"{_PREFIX}server:"))
        if bbb is not None:
            slash = "/" if item["value"]["url"].endswith("/") else ""
            item["value"] |= {"url": bbb.url + slash, "secret": bbb.secret}
    return items


def _write(kind: str, key: str, value: Any) -> list[str | int | float]:
    if kind == "hash":
        return ["HSET", key, *(part for pair in value.items() for part in pair)]
    if kind == "set":
        return ["SADD", key, *value]
    if kind == "zset":
        return ["ZADD", key, *(part for member, score in value for part in (score, member))]
    assert kind == "string", kind
    return ["SET", key, value]
