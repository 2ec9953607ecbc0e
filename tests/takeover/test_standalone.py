"""Inspecting without a running appliance: the real program on the stores of a Scalelite."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.doubles.appliance_process import run_program
from tests.doubles.bbb_process import BbbProcess, bbb_servers
from tests.doubles.scalelite_data import write_scalelite_data
from tests.doubles.scalelite_files import (
    DUMP,
    PUBLISHED,
    directory_variables,
    make_scalelite_files,
)
from tests.doubles.store_servers import PostgresServer, RedisServer

SECRET = "the-secret-of-the-load-balancer"


class Left:
    """Stores and directories of a Scalelite, and the file with its variables."""

    def __init__(
        self,
        redis_server: RedisServer,
        postgres_server: PostgresServer,
        root: Path,
        database: str,
        servers: dict[str, BbbProcess],
    ) -> None:
        self.root, self.database = root, database
        self.namespace = f"t{uuid.uuid4().hex[:12]}"
        self._redis, self._postgres = redis_server, postgres_server
        write_scalelite_data(redis_server.socket_path, self.namespace, servers)
        postgres_server.sql(DUMP.read_text(), database)
        make_scalelite_files(root)
        self.variables = {
            "URL_HOST": "bbb.example.org",
            "SECRET_KEY_BASE": "k" * 128,
            "LOADBALANCER_SECRET": SECRET,
            "MULTITENANCY_ENABLED": "true",
            "REDIS_URL": redis_server.url,
            "REDIS_NAMESPACE": self.namespace,
            "DATABASE_URL": postgres_server.url(database),
            "SCALELITE_TAG": "v1.6",
            "WEB_CONCURRENCY": "4",
            **directory_variables(root),
        }
        self.file = root / "scalelite.env"
        self.write()

    def write(self, **changes: str) -> None:
        """Write the file of variables."""
        lines = [f"{name}={value}\n" for name, value in {**self.variables, **changes}.items()]
        self.file.write_text("# Scalelite\n" + "".join(lines))

    def dump(self) -> tuple[object, str, list[str]]:
        """Return all keys with their values, all tables, all files."""
        with redis.Redis(unix_socket_path=str(self._redis.socket_path)) as client:
            keys = {key: client.dump(key) for key in client.scan_iter(f"{self.namespace}:*")}
        tables = self._postgres.sql(
            "SELECT table_schema, table_name, query_to_xml(format('SELECT * FROM %I.%I',"
            " table_schema, table_name), true, false, '') FROM information_schema.tables"
            " WHERE table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2",
            self.database,
        )
        return keys, tables, sorted(str(path) for path in self.root.rglob("*"))


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, BbbProcess]]:
    """Start its servers except for the disabled one."""
    with bbb_servers(3) as started:
        yield {f"bbb{number}.example.org": bbb for number, bbb in enumerate(started, 1)}


@pytest.fixture
def left(
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    tmp_path: Path,
    servers: dict[str, BbbProcess],
) -> Iterator[Left]:
    with postgres_server.new_database() as database:
        yield Left(redis_server, postgres_server, tmp_path, database, servers)


def inspect(left: Left, *words: str, **environ: str) -> tuple[int, str, str]:
    """Run the program with a minimal environment."""
    bare = {"PATH": os.environ["PATH"], "HOME": str(left.root), **environ}
    done = run_program("takeover", "check", *words, environ=bare)
    return done.returncode, done.stdout, done.stderr


def test_inspection_of_a_consistent_scalelite_succeeds_and_changes_nothing(left: Left) -> None:
    before = left.dump()

    code, out, err = inspect(left, "--env-file", str(left.file))

    assert (code, err) == (0, "")
    assert "enabled servers: 2" in out
    assert "servers that answer this host: 3" in out
    assert "published recordings: 2" in out
    assert "Requires an operator" not in out
    assert SECRET not in out
    assert left.dump() == before
    # Neither the schema nor the indexes nor the keys of an appliance.
    assert "appliance" not in str(before[0]) + before[1]


def test_inspection_reports_what_needs_a_person_as_json(left: Left) -> None:
    for path in (left.root / "published/podcast" / PUBLISHED).iterdir():
        path.unlink()
    (left.root / "published/podcast" / PUBLISHED).rmdir()

    code, out, err = inspect(left, "--local", "--json", **left.variables)

    assert (code, err) == (1, "")
    serious = [one for one in json.loads(out)["findings"] if one["verdict"] == "person"]
    assert [(one["text"], one["count"], one["names"]) for one in serious] == [
        ("formats without files", 1, [f"{PUBLISHED}/podcast"])
    ]
    assert serious[0]["advice"]


def test_servers_that_do_not_answer_this_host_need_a_person(
    left: Left, servers: dict[str, BbbProcess]
) -> None:
    before = left.dump()
    servers["bbb2.example.org"].add_fault("status", "isMeetingRunning", status=502)
    servers["bbb3.example.org"].add_fault("failed", "isMeetingRunning", key="checksumError")

    code, out, _ = inspect(left, "--env-file", str(left.file))

    for bbb in servers.values():
        bbb.clear_faults()
    assert code == 1
    assert "servers that answer this host: 1" in out
    assert "servers that are online, but do not answer this host: 1\n\tbbb2.example.org: " in out
    assert "servers that reject calls: 1\n\tbbb3.example.org\n" in out
    assert left.dump() == before


def test_unusable_stores_are_reported_in_one_line(left: Left) -> None:
    left.write(REDIS_URL="redis://127.0.0.1:1")
    code, out, err = inspect(left, "--env-file", str(left.file))
    assert (code, out) == (1, "")
    assert err.strip().splitlines()[-1].startswith("the inspection was not completed: Redis cannot")

    left.write(LOADBALANCER_SECRET="")
    code, out, err = inspect(left, "--env-file", str(left.file))
    assert (code, out) == (1, "")
    assert "LOADBALANCER_SECRET" in err
    assert "Traceback" not in err

    code, out, err = inspect(left, "--env-file", str(left.root / "gone"))
    assert (code, out) == (1, "")
    assert err == f"{left.root / 'gone'}: No such file or directory\n"


def test_ctl_explains_inspection_without_a_running_appliance(left: Left) -> None:
    code, out, err = inspect(left, CTL_SOCKET=str(left.root / "no.sock"))

    assert (code, out) == (3, "")
    assert "--env-file FILE without a running appliance" in err
