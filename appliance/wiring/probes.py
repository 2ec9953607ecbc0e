"""Builds the probes of doctor from open connections."""

from __future__ import annotations

from collections.abc import Callable

from appliance.bbb.client import BbbClient
from appliance.bbb.server_facts import ServerFactFinder
from appliance.doctor.deps import Probes
from appliance.http.client.pool import PoolTransport
from appliance.postgres.database import Database
from appliance.postgres.facts import DatabaseFactFinder
from appliance.recordings.player.source import PlayerSource
from appliance.redis.facts import RedisFactFinder
from appliance.redis.store import RedisStores
from appliance.system.disk_facts import inspect_directory
from appliance.system.host_facts import (
    own_user,
    read_authorities,
    read_certificate,
    read_file_limit,
    resolve_name,
)


def make_probes(
    redis: RedisStores,
    database: Database | None,
    pool: PoolTransport,
    bbb: BbbClient,
    now_ms: Callable[[], int],
) -> Probes:
    """Return the probes of doctor. `database` is None if it is disabled."""
    return Probes(
        redis=RedisFactFinder(redis.background.client, redis.background.namespace, now_ms).read,
        database=None if database is None else DatabaseFactFinder(database, now_ms).read,
        server=ServerFactFinder(pool, bbb, now_ms).read,
        directory=inspect_directory,
        certificate=read_certificate,
        authorities=read_authorities,
        resolve=resolve_name,
        file_limit=read_file_limit,
        user=own_user(),
        player=PlayerSource(pool, now_ms).ask,
    )
