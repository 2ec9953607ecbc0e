"""What doctor says of Redis and PostgreSQL: do they answer, take writes, and keep what they have?

Pure. The facts come from redis/facts.py and postgres_facts.py.
Truth: the Redis documentation, Persistence and Key eviction; the PostgreSQL manual, Reliability.
"""

from __future__ import annotations

from dataclasses import dataclass

from appliance.doctor.findings import Finding, fail, ok, warn

OLDEST_REDIS = (6, 0)
OLDEST_POSTGRES = 13
NEARLY_FULL = 0.9
SKEW_WARN_S = 2.0
SKEW_FAIL_S = 30.0

_PERSIST = (
    "set `appendonly yes` in its configuration (`redis-cli CONFIG SET appendonly yes` does it at"
    " once), or use the Redis of the package"
)


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """What Redis says about itself."""

    version: str
    role: str
    aof: bool
    aof_failed: bool
    save_points: str | None
    """Its `save` setting; None: it does not let us ask (managed services)."""
    snapshot_failed: bool
    max_memory: int
    """0: no limit."""
    used_memory: int
    policy: str
    skew_s: float
    """Its clock less ours."""
    write_error: str = ""


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """What PostgreSQL says about itself."""

    version_num: int
    """170002: 17.2."""
    version: str
    read_only: bool
    fsync: bool
    encoding: str
    skew_s: float
    missing: tuple[str, ...] = ()
    """Our migrations that were not applied."""
    newer: int = 0
    """How many were applied that this version does not know."""
    write_error: str = ""


def judge_redis(facts: RedisFacts) -> list[Finding]:
    """Return what is to be said of Redis."""
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
            f"it is a {facts.role}, which takes no writes",
            "REDIS_URL must name the master; REDIS_SENTINELS finds it by itself",
        )
    if facts.write_error:
        return fail(
            "redis",
            f"it answers, but takes no writes: {facts.write_error}",
            "look at its log: disk full, out of memory, or a user without the rights",
        )
    if _version(facts.version) < OLDEST_REDIS:
        oldest = ".".join(map(str, OLDEST_REDIS))
        return warn("redis", f"version {facts.version} is old", f"use {oldest} or newer")
    return ok("redis", f"answers and takes writes, version {facts.version}")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdigit())


def _redis_persistence(facts: RedisFacts) -> Finding:
    check = "redis persistence"
    if facts.aof:
        if facts.aof_failed:
            return fail(
                check, "it could not write its append-only file", "look at its log and its disk"
            )
        return ok(check, "append-only file")
    if facts.save_points is None:
        return warn(
            check,
            "no append-only file, and it does not say whether it makes snapshots",
            "look at the persistence settings of the service",
        )
    if not facts.save_points:
        return fail(check, "it keeps nothing over a restart: servers and tenants too", _PERSIST)
    if facts.snapshot_failed:
        return fail(check, "its last snapshot failed", "look at its log and its disk")
    return warn(check, "snapshots only: a crash loses the last minutes", _PERSIST)


def _redis_memory(facts: RedisFacts) -> Finding:
    check = "redis memory"
    if facts.policy != "noeviction":
        advice = "set `maxmemory-policy noeviction`, and give no other program this Redis"
        if facts.max_memory:
            return fail(check, f"it throws records away when it is full ({facts.policy})", advice)
        return warn(
            check, f"with a memory limit it would throw records away ({facts.policy})", advice
        )
    if facts.max_memory and facts.used_memory > NEARLY_FULL * facts.max_memory:
        share = round(100 * facts.used_memory / facts.max_memory)
        return warn(check, f"{share} % of its limit is used", "raise its `maxmemory`")
    return ok(check, f"{facts.used_memory / 2**20:.0f} MiB used, nothing is thrown away")


def judge_database(facts: DatabaseFacts) -> list[Finding]:
    """Return what is to be said of PostgreSQL."""
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
            check, "it is read-only, a standby perhaps", "DATABASE_URL must name the primary"
        )
    if facts.write_error:
        return fail(
            check,
            f"it answers, but takes no writes: {facts.write_error}",
            "its log says more: disk full, or a role without rights on schema `appliance`",
        )
    if facts.version_num < OLDEST_POSTGRES * 10_000:
        return warn(check, f"version {facts.version} is old", f"use {OLDEST_POSTGRES} or newer")
    if facts.encoding != "UTF8":
        return fail(
            check,
            f"its encoding is {facts.encoding}: names of meetings cannot be stored",
            "make a database with `createdb -E UTF8 -T template0` and move the data",
        )
    return ok(check, f"answers and takes writes, version {facts.version}")


def _database_schema(facts: DatabaseFacts) -> Finding:
    check = "postgresql schema"
    if facts.missing:
        return fail(
            check,
            f"migrations are missing: {', '.join(facts.missing)}",
            "`scalelite-appliance database migrate`, which says what is in the way",
        )
    if facts.newer:
        return warn(
            check,
            f"{facts.newer} migrations are from a newer version of the appliance",
            "run the same version on all machines",
        )
    return ok(check, "is that of this version")


def _database_durability(facts: DatabaseFacts) -> Finding:
    check = "postgresql persistence"
    if not facts.fsync:
        return fail(
            check, "fsync is off: a power cut destroys the database", "set `fsync = on`, reload it"
        )
    return ok(check, "fsync is on")


def judge_clock(check: str, skew_s: float) -> Finding:
    """Return what is to be said of a clock that is `skew_s` ahead of ours."""
    away = abs(skew_s)
    if away < SKEW_WARN_S:
        return ok(check, "agrees with ours")
    text = f"is {away:.0f} s {'ahead of' if skew_s > 0 else 'behind'} ours"
    advice = "run NTP on both machines (`timedatectl`): loads and leases compare their times"
    return (fail if away >= SKEW_FAIL_S else warn)(check, text, advice)
