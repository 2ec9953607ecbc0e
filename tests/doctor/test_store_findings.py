"""Redis and PostgreSQL: level of each problem."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from appliance.doctor.findings import Level
from appliance.doctor.store_findings import judge_clock, judge_database, judge_redis
from appliance.postgres.facts import DatabaseFacts
from appliance.redis.facts import RedisFacts

REDIS = RedisFacts("8.0.2", "master", True, False, "", False, 0, 1 << 20, "noeviction", 0.1)
DATABASE = DatabaseFacts(170002, "17.2", False, True, "UTF8", -0.1)


def bad(findings: list[Any]) -> list[tuple[str, Level]]:
    assert all(finding.advice for finding in findings if finding.level is not Level.OK)
    return [(one.check, one.level) for one in findings if one.level is not Level.OK]


def test_healthy_stores_have_no_problem() -> None:
    assert not bad(judge_redis(REDIS))
    assert not bad(judge_database(DATABASE))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"role": "slave"}, [("redis", Level.FAIL)]),
        ({"write_error": "MISCONF"}, [("redis", Level.FAIL)]),
        ({"version": "5.0.14"}, [("redis", Level.WARN)]),
        ({"aof_failed": True}, [("redis persistence", Level.FAIL)]),
        ({"aof": False}, [("redis persistence", Level.FAIL)]),
        ({"aof": False, "save_points": "3600 1"}, [("redis persistence", Level.WARN)]),
        ({"aof": False, "save_points": None}, [("redis persistence", Level.WARN)]),
        (
            {"aof": False, "save_points": "3600 1", "snapshot_failed": True},
            [("redis persistence", Level.FAIL)],
        ),
        ({"policy": "allkeys-lru"}, [("redis memory", Level.WARN)]),
        ({"policy": "allkeys-lru", "max_memory": 1 << 30}, [("redis memory", Level.FAIL)]),
        ({"max_memory": 1 << 20}, [("redis memory", Level.WARN)]),
        ({"skew_s": -4.0}, [("clock of Redis", Level.WARN)]),
    ],
)
def test_each_problem_of_redis_is_reported(
    changes: dict[str, Any], found: list[tuple[str, Level]]
) -> None:
    assert bad(judge_redis(replace(REDIS, **changes))) == found


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"read_only": True}, [("postgresql", Level.FAIL)]),
        ({"write_error": "permission denied"}, [("postgresql", Level.FAIL)]),
        ({"version_num": 120005}, [("postgresql", Level.WARN)]),
        ({"encoding": "SQL_ASCII"}, [("postgresql", Level.FAIL)]),
        ({"missing": ("0002_x",)}, [("postgresql schema", Level.FAIL)]),
        ({"newer": 1}, [("postgresql schema", Level.WARN)]),
        ({"fsync": False}, [("postgresql persistence", Level.FAIL)]),
        ({"skew_s": 60.0}, [("clock of PostgreSQL", Level.FAIL)]),
    ],
)
def test_each_problem_of_postgresql_is_reported(
    changes: dict[str, Any], found: list[tuple[str, Level]]
) -> None:
    assert bad(judge_database(replace(DATABASE, **changes))) == found


@pytest.mark.parametrize(
    ("skew_s", "level", "text"),
    [
        (1.9, Level.OK, "agrees with this host's"),
        (5.4, Level.WARN, "is 5 s ahead of this host's"),
        (-31.0, Level.FAIL, "is 31 s behind this host's"),
    ],
)
def test_clock_is_judged_by_its_skew(skew_s: float, level: Level, text: str) -> None:
    finding = judge_clock("clock", skew_s)

    assert (finding.level, finding.text) == (level, text)
