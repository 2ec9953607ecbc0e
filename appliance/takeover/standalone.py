"""Inspect the stores of a Scalelite without a running appliance.

Composition only: opens the stores for reading and runs the steps of inspection.py. Nothing is
changed: the database is opened read-only and not migrated, results about servers are not stored,
nothing is swept, and no directory is made.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import msgspec
import trio

from appliance.bbb.client import BbbClient
from appliance.bbb.server_facts import ServerFactFinder
from appliance.faults import DatabaseDown, StoreDown
from appliance.http.client.dial import open_ssl_context
from appliance.http.client.pool import PoolTransport
from appliance.log import Log, get_logger
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import open_postgres_store
from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.bucket_client import Boto3Missing, check_boto3
from appliance.recordings.objects.keys import ObjectKeys
from appliance.recordings.objects.objects import RecordingObjects
from appliance.redis.client import open_redis_client
from appliance.redis.store import redis_address
from appliance.settings import ServerSettings, Settings, StoreSettings
from appliance.takeover.admin_calls import step_json
from appliance.takeover.deps import TakeoverSources
from appliance.takeover.file_survey import FileSurvey
from appliance.takeover.inspection import Cursor, check_step
from appliance.takeover.object_survey import ObjectSurvey
from appliance.takeover.pool_survey import PoolSurvey
from appliance.takeover.recording_survey import RecordingSurvey

CONNECT_S = 10.0
COMMAND_S = 30.0

INSPECTION_ERRORS = (StoreDown, DatabaseDown, OSError, Boto3Missing)
"""Errors that the operator must resolve first; their texts say how."""

Show = Callable[[dict[str, Any]], None]
"""Takes the document of each step, as the admin call answers it."""


async def inspect_stores(settings: Settings, show: Show) -> None:
    """Run all steps. Raises INSPECTION_ERRORS, in exception groups."""
    log = get_logger("appliance")
    async with (
        open_asyncio_loop(tuned="asyncio-loop" not in settings.tuning_off, log=log),
        _open_pool(settings.stores, log) as pool,
        _open_recordings(settings.stores, log) as recordings,
        _open_servers(settings.servers) as servers,
    ):
        sources = TakeoverSources(pool, recordings, _survey_files(settings), servers.read)
        cursor: Cursor | None = Cursor()
        while cursor is not None:
            result = await check_step(sources, settings, cursor)
            show(msgspec.to_builtins(step_json(result)))
            cursor = result.next


def _survey_files(settings: Settings) -> FileSurvey:
    """Return what reads the files of recordings: on the disk, with S3 in the bucket as well."""
    if not settings.s3.enabled:
        return FileSurvey(settings.recordings)
    check_boto3()
    objects = RecordingObjects(Bucket(settings.s3), ObjectKeys(settings.s3.prefix))
    return ObjectSurvey(settings.recordings, objects)


@asynccontextmanager
async def _open_pool(stores: StoreSettings, log: Log) -> AsyncIterator[PoolSurvey | None]:
    if stores.redis_embedded:
        yield None
        return
    address = redis_address(stores)
    async with open_redis_client(address, deadline_s=COMMAND_S, log=log) as client:
        with trio.move_on_after(CONNECT_S):
            await client.wait_connected()
        if not client.connected:
            raise StoreDown("Redis cannot be reached: check REDIS_URL")
        yield PoolSurvey(client, stores.redis_namespace)


@asynccontextmanager
async def _open_servers(settings: ServerSettings) -> AsyncIterator[ServerFactFinder]:
    ca_file = None if settings.ca_file is None else str(settings.ca_file)
    async with aclosing(PoolTransport(open_ssl_context(ca_file))) as pool:
        bbb = BbbClient(
            pool,
            connect_timeout_s=settings.connect_timeout_s,
            response_timeout_s=settings.response_timeout_s,
            response_max_bytes=settings.response_max_bytes,
            max_meetings=settings.max_meetings,
            send_algorithm=settings.send_algorithm,
        )
        yield ServerFactFinder(pool, bbb, _now_ms)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def _open_recordings(
    stores: StoreSettings, log: Log
) -> AsyncIterator[RecordingSurvey | None]:
    if stores.database_disabled or stores.database_url is None:
        yield None
        return
    async with open_postgres_store(
        stores.database_url,
        prepared_statements=stores.prepared_statements,
        read_only=True,
        log=log,
    ) as database:
        with trio.move_on_after(CONNECT_S):
            await database.wait_ready()
        if not database.ready:
            raise DatabaseDown(f"PostgreSQL cannot be used: {database.down_reason}")
        yield RecordingSurvey(database)
