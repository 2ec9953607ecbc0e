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
from appliance.instruments import Metrics
from appliance.log import get_logger
from appliance.postgres.errors import DatabaseRefused
from appliance.settings import Settings
from appliance.stores import open_stores
from appliance.system.embedded.state import EmbeddedStoresError

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
    log = get_logger("appliance")
    if call == "writeBackup" and body["part"] == Part.POOL:  # PostgreSQL need not be started
        settings = replace(settings, stores=replace(settings.stores, database_disabled=True))
    async with open_stores(settings, log, Metrics()) as stores:
        redis, database = stores.redis.background, stores.database
        with trio.move_on_after(CONNECT_S):
            await redis.client.wait_connected()
        if database is not None:
            with trio.move_on_after(CONNECT_S):
                await database.wait_ready()
            if not database.ready:
                raise DatabaseDown(f"PostgreSQL cannot be used: {database.down_reason}")
        deps = BackupDeps(log, lambda: time.time_ns() // 1_000_000, redis, database)
        return await _transfer(deps, call, body, descriptor)


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
