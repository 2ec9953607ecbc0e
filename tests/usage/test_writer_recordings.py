"""The size of recordings, for the limit on it."""

from __future__ import annotations

from appliance.model import TenantId
from appliance.usage.writer import record_recording_bytes
from tests.usage.test_writer import open_usage


async def test_recordings_of_a_tenant_use_up_its_limit(
    redis_url: str, redis_namespace: str, database_url: str
) -> None:
    async with open_usage(redis_url, redis_namespace, database_url) as deps:
        database, limits = deps.table.database, deps.tenants.limits
        for record, tenant in (("r1", "t1"), ("r2", "t1"), ("r3", None)):
            await database.execute("INSERT INTO recordings (record_id) VALUES ($1)", record)
            if tenant:
                await database.execute(
                    "INSERT INTO metadata (recording_id, key, value) "
                    "SELECT id, 'tenant-id', $2 FROM recordings WHERE record_id = $1",
                    *(record, tenant),
                )
            await database.execute(
                "INSERT INTO appliance.recording_sizes (record_id, format, bytes) "
                "VALUES ($1, 'presentation', 400000000), ($1, 'video', 200000000)",
                record,
            )
        await record_recording_bytes(deps)
        assert not (await limits.read_all(now_ms=deps.now_ms()))
        await limits.change(None, {"max_recordings_gb": "1"})
        await record_recording_bytes(deps)

        found = await limits.read(None, now_ms=deps.now_ms())
        assert found.used == {"max_recordings_gb": 0.6}
        key = deps.pool.records.redis.background.own_key("recording_bytes")
        stored = await deps.pool.records.redis.background.command("HGET", key, "t1")
        assert int(stored) == 1_200_000_000
        assert TenantId("t1") in await deps.table.recording_bytes()

        await database.execute("UPDATE recordings SET state = 'deleted' WHERE record_id = 'r1'")
        assert (await deps.table.recording_bytes())[TenantId("t1")] == 600_000_000
