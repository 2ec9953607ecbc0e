"""Judge Redis and PostgreSQL: writes, persistence, memory, schema, version, clock. Pure.

Source: Redis documentation, "Persistence" and "Key eviction"; PostgreSQL manual, "Reliability and
the Write-Ahead Log".
"""

from __future__ import annotations

from appliance.doctor.findings import Finding, fail, ok, warn
from appliance.postgres.facts import DatabaseFacts
from appliance.redis.facts import RedisFacts

OLDEST_REDIS = (6, 0)
OLDEST_POSTGRES = 13
NEARLY_FULL = 0.9
SKEW_WARN_S = 2.0
SKEW_FAIL_S = 30.0

_PERSIST = (
    "set `appendonly yes` in its configuration (`redis-cli CONFIG SET appendonly yes` does it at"
    " once), or use the Redis of the package"
)


def judge_redis(facts: RedisFacts) -> list[Finding]:
    """Judge Redis."""
    return [
        _redis_use(facts),
        _redis_persistence(facts),
        _redis_memory(facts),
        judge_clock("clock of Redis", facts.skew_s),
    ]


def _redis_use(facts: RedisFacts) -> Finding:
    if facts.role != "master":
        return fail(
            "redis",
            f"its role is {facts.role}, which accepts no writes",
            "REDIS_URL must name the master; with REDIS_SENTINELS it is found automatically",
        )
    if facts.write_error:
        return fail(
            "redis",
            f"it answers, but accepts no writes: {facts.write_error}",
            "see its log: disk full, out of memory, or a user without permission",
        )
    if _version(facts.version) < OLDEST_REDIS:
        oldest = ".".join(map(str, OLDEST_REDIS))
        return warn("redis", f"version {facts.version} is too old", f"use {oldest} or newer")
    return ok("redis", f"answers and accepts writes, version {facts.version}")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def _redis_persistence(facts: RedisFacts) -> Finding:
    check = "redis persistence"
    if facts.aof:
        if facts.aof_failed:
            return fail(
                check, "it could not write its append-only file", "check its log and its disk"
            )
        return ok(check, "append-only file")
    if facts.save_points is None:
        return warn(
            check,
            "no append-only file, and snapshots are unknown because CONFIG is not available",
            "check the persistence settings of the service",
        )
    if not facts.save_points:
        return fail(check, "a restart loses everything, servers and tenants included", _PERSIST)
    if facts.snapshot_failed:
        return fail(check, "its last snapshot failed", "check its log and its disk")
    return warn(check, "snapshots only: a crash loses the last minutes", _PERSIST)


def _redis_memory(facts: RedisFacts) -> Finding:
    check = "redis memory"
    if facts.policy != "noeviction":
        advice = "set `maxmemory-policy noeviction`, and let no other program use this Redis"
        if facts.max_memory:
            return fail(check, f"it evicts records when it is full ({facts.policy})", advice)
        text = f"it would evict records if it had a memory limit ({facts.policy})"
        return warn(check, text, advice)
    if facts.max_memory and facts.used_memory > NEARLY_FULL * facts.max_memory:
        share = round(100 * facts.used_memory / facts.max_memory)
        return warn(check, f"{share} % of its limit is used", "raise its `maxmemory`")
    return ok(check, f"{facts.used_memory / 2**20:.0f} MiB used, nothing is evicted")


def judge_database(facts: DatabaseFacts) -> list[Finding]:
    """Judge PostgreSQL."""
    return [
        _database_use(facts),
        _database_schema(facts),
        _database_durability(facts),
        judge_clock("clock of PostgreSQL", facts.skew_s),
    ]


def _database_use(facts: DatabaseFacts) -> Finding:
    check = "postgresql"
    if facts.read_only:
        return fail(
            check, "it is read-only, perhaps a standby", "DATABASE_URL must name the primary"
        )
    if facts.write_error:
        return fail(
            check,
            f"it answers, but accepts no writes: {facts.write_error}",
            "see its log: disk full, or a role without privileges on the schema `appliance`",
        )
    if facts.version_num < OLDEST_POSTGRES * 10_000:
        text = f"version {facts.version} is too old"
        return warn(check, text, f"use {OLDEST_POSTGRES} or newer")
    if facts.encoding != "UTF8":
        return fail(
            check,
            f"its encoding is {facts.encoding}, which cannot store all names of meetings",
            "create a database with `createdb -E UTF8 -T template0` and move the data",
        )
    return ok(check, f"answers and accepts writes, version {facts.version}")


def _database_schema(facts: DatabaseFacts) -> Finding:
    check = "postgresql schema"
    if facts.missing:
        return fail(
            check,
            f"migrations are missing: {', '.join(facts.missing)}",
            "`scalelite-appliance database migrate` applies them, or says why it cannot",
        )
    if facts.newer:
        return warn(
            check,
            f"{facts.newer} migrations belong to a newer version of the appliance",
            "run the same version on all machines",
        )
    return ok(check, "matches this version")


def _database_durability(facts: DatabaseFacts) -> Finding:
    check = "postgresql persistence"
    if not facts.fsync:
        return fail(
            check,
            "fsync is off: a power failure can destroy the database",
            "set `fsync = on` and reload the configuration",
        )
    return ok(check, "fsync is on")


def judge_clock(check: str, skew_s: float) -> Finding:
    """Judge a clock that is `skew_s` ahead of the clock of this host."""
    away = abs(skew_s)
    if away < SKEW_WARN_S:
        return ok(check, "agrees with this host's")
    text = f"is {away:.0f} s {'ahead of' if skew_s > 0 else 'behind'} this host's"
    advice = "run NTP on both machines (`timedatectl`): loads and leases depend on both clocks"
    return (fail if away >= SKEW_FAIL_S else warn)(check, text, advice)
