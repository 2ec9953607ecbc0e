"""Puts together where doctor looks, of open connections.

Composition only, for the supervisor, of which it is a part.
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.adapters.bbb_client import BbbClient
from appliance.adapters.disk_facts import look_at_directory
from appliance.adapters.host_facts import (
    own_user,
    read_authorities,
    read_certificate,
    read_file_limit,
    resolve_name,
)
from appliance.adapters.http_pool import PoolTransport
from appliance.adapters.postgres_facts import DatabaseFactFinder
from appliance.adapters.postgres_store import PostgresStore
from appliance.adapters.redis_facts import RedisFactFinder
from appliance.adapters.redis_store import RedisStore
from appliance.adapters.server_facts import ServerFactFinder
from appliance.operations.doctor_ports import Probes


def make_probes(
    store: RedisStore,
    database: PostgresStore | None,
    pool: PoolTransport,
    bbb: BbbClient,
    now_ms: Callable[[], int],
) -> Probes:
    """Return where doctor looks. database: None if there is none, as configured."""
    return Probes(
        redis=RedisFactFinder(store.bulk, store.namespace, now_ms).read,
        database=None if database is None else DatabaseFactFinder(database, now_ms).read,
        server=ServerFactFinder(pool, bbb, now_ms).read,
        directory=look_at_directory,
        certificate=read_certificate,
        authorities=read_authorities,
        resolve=resolve_name,
        file_limit=read_file_limit,
        user=own_user(),
    )
