"""Backup and restore without a running appliance, on the stores that the environment names.

Composition only. Embedded stores are started for it, so nothing else may use them; external ones
are connected to.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import trio

from appliance.backup.admin_calls import BackupJson, counts_json
from appliance.backup.plan import Mode
from appliance.backup.transfer import (
    BackupDeps,
    Conflicts,
    Part,
    TransferError,
    restore_backup,
    write_backup,
)
from appliance.faults import DatabaseDown, StoreDown
from appliance.log import get_logger
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import open_postgres_store
from appliance.postgres.errors import DatabaseRefused
from appliance.redis.scripts import load_scripts
from appliance.redis.store import open_redis_stores, redis_address
from appliance.settings import Settings
from appliance.system.embedded.state import EmbeddedStoresError
from appliance.system.embedded.stores import open_embedded_stores

CONNECT_S = 30.0

TRANSFER_ERRORS = (
    *(TransferError, StoreDown, DatabaseDown, DatabaseRefused, EmbeddedStoresError, OSError),
)
"""Errors that the operator must resolve; their texts say how."""

__all__ = ["TRANSFER_ERRORS", "Conflicts", "transfer"]


async def transfer(
    settings: Settings, call: str, body: Mapping[str, Any], descriptor: int
) -> dict[str, Any]:
    """Do what the admin call of this name does, and return its answer.

    Raises TRANSFER_ERRORS, possibly in exception groups.
    """
    log, stores = get_logger("appliance"), settings.stores
    if call == "writeBackup" and body["part"] == Part.POOL:
        stores = replace(stores, database_disabled=True)  # it need not be started
    async with (
        open_embedded_stores(
            stores.state_dir,
            redis=stores.redis_embedded,
            postgres=stores.database_embedded,
            log=log,
        ) as embedded,
        open_asyncio_loop(tuned="asyncio-loop" not in settings.tuning_off, log=log),
        open_redis_stores(
            redis_address(stores, embedded.redis_url),
            namespace=stores.redis_namespace,
            scripts=load_scripts(),
            log=log,
        ) as redis,
    ):
        with trio.move_on_after(CONNECT_S):
            await redis.background.client.wait_connected()
        deps = BackupDeps(log, lambda: time.time_ns() // 1_000_000, redis.background, None)
        url = stores.database_url or embedded.database_url
        if stores.database_disabled or url is None:
            return await _transfer(deps, call, body, descriptor)
        async with open_postgres_store(
            url, prepared_statements=stores.prepared_statements, log=log
        ) as database:
            with trio.move_on_after(CONNECT_S):
                await database.wait_ready()
            if not database.ready:
                raise DatabaseDown(f"PostgreSQL cannot be used: {database.down_reason}")
            found = BackupDeps(deps.log, deps.now_ms, deps.redis, database)
            return await _transfer(found, call, body, descriptor)


async def _transfer(
    deps: BackupDeps, call: str, body: Mapping[str, Any], descriptor: int
) -> dict[str, Any]:
    if call == "writeBackup":
        part = Part(body["part"])
        answer = BackupJson(counts_json(await write_backup(deps, descriptor, part=part)))
    else:
        mode, dry_run = Mode(body["mode"]), bool(body["dry_run"])
        done = await restore_backup(deps, descriptor, mode, dry_run=dry_run)
        answer = BackupJson(counts_json(done.counts), done.failure)
    found: dict[str, Any] = msgspec.to_builtins(answer)
    return found
