"""Doctor reports each problem with advice, and no problem on a healthy appliance.

The fact finders behind the probes are tested in the folders of the engines.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from appliance.admin_calls.refusal import Refused
from appliance.bbb.errors import ChecksumError, ChecksumReason
from appliance.bbb.server_facts import ServerFacts
from appliance.callbacks.rules import AttemptResult, CallbackState
from appliance.doctor.deps import Probes
from appliance.doctor.doctor import examine
from appliance.doctor.findings import Finding, Level
from appliance.faults import DatabaseDown
from appliance.features import Features
from appliance.fleet.autoscale import make_hooks, tell
from appliance.model import Server, ServerId, ServerState, Target
from appliance.postgres.facts import DatabaseFacts
from appliance.recordings.deps import RecordingAdmin
from appliance.recordings.imports.spool_admin import SpoolAdmin
from appliance.recordings.player.files import PlayerBuild
from appliance.servers.values import ServerChange
from appliance.system.disk_facts import DirectoryFacts
from appliance.tenants import administration as tenant_admin
from appliance.tenants.values import TenantChange
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.callback_contract import WHO, claim, ready
from tests.doubles.features import EventBook, open_features, rewire
from tests.doubles.player_build import write_player
from tests.doubles.redis_processes import redis_process

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

GOOD_SECRET = "3f9a1c7e5b2d8046af13c2e9d7b05846"
WITHIN_S = 40.0


def variables_of(folder: Path, **variables: str) -> dict[str, Any]:
    """Return a configuration without problems, and make its directories."""
    found = {
        "LOADBALANCER_SECRET": GOOD_SECRET,
        "ADMIN_SECRET": GOOD_SECRET[::-1],
        "URL_HOST": "localhost",
        "STATE_DIR": str(folder / "state"),
        "PLAYBACK_DIR": str(folder / "playback"),
    }
    for name in ("SPOOL", "WORK", "PUBLISH", "UNPUBLISH"):
        found[f"RECORDING_{name}_DIR"] = str(folder / name.lower())
    for name, path in found.items():
        if name.endswith("_DIR"):
            Path(path).mkdir(exist_ok=True)
    write_player(folder / "playback/presentation/2.3")
    return {**found, **variables}


async def good_database() -> DatabaseFacts:
    return DatabaseFacts(170002, "17.2", False, True, "UTF8", 0.0)


async def good_server(target: Target) -> ServerFacts:
    return ServerFacts(version="3.0.4", skew_s=0.0)


async def good_player(server: Server) -> PlayerBuild:
    return PlayerBuild("5.1.3")


def roomy(path: Path, write: bool) -> DirectoryFacts:
    """Report a good directory with enough room, independent of this machine's disk."""
    return DirectoryFacts(str(path), device=1, free_bytes=50 << 30, size_bytes=100 << 30)


@asynccontextmanager
async def healthy(
    redis_url: str, namespace: str, folder: Path, **variables: str
) -> AsyncIterator[Features]:
    """Open an appliance without problems, except for those that the variables cause."""
    async with open_features(redis_url, namespace, **variables_of(folder, **variables)) as res:
        probes = replace(res.doctor.probes, database=good_database, directory=roomy)  # type: ignore[type-var]
        server = ServerChange(url="https://a.example/api", secret=GOOD_SECRET)
        await res.servers.store.add_server(
            ServerId("a"), replace(server, state=ServerState.ENABLED)
        )
        key = f"{namespace}:server:a"
        await res.redis.foreground.client.command("HSET", key, "online", "true")
        probes = replace(cast(Probes, probes), server=good_server, player=good_player)
        yield rewire(res, doctor__probes=probes)


def bad(findings: list[Finding]) -> list[tuple[str, Level]]:
    for finding in findings:
        assert "\n" not in finding.text + finding.advice
        assert bool(finding.advice) == (finding.level is not Level.OK), finding
    return [(one.check, one.level) for one in findings if one.level is not Level.OK]


async def test_healthy_appliance_has_no_problem(redis_namespace: str, tmp_path: Path) -> None:
    with redis_process("--appendonly", "yes") as redis, trio.fail_after(WITHIN_S):
        async with healthy(redis.unix_url, redis_namespace, tmp_path) as res:
            findings = await examine(res.doctor)

    assert bad(findings) == [("open files", Level.WARN)] or not bad(findings)
    checks = {finding.check for finding in findings}
    assert {"redis", "postgresql", "directory spool", "server a", "name localhost"} <= checks


async def test_client_with_a_wrong_secret_is_named(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with healthy(redis_url, redis_namespace, tmp_path) as res:
        error = ChecksumError(ChecksumReason.WRONG)
        res.checksum_errors.note(error, call="create", host="bbb.example", client="192.0.2.1")
        found = await examine(res.doctor)

    assert "1 call with a wrong checksum from 192.0.2.1 in the last hour" in str(found)
    assert ("front-ends", Level.WARN) in bad(found)


FAIL, WARN = Level.FAIL, Level.WARN
BREAKS: list[tuple[dict[str, str], str, Level]] = [
    ({"LOADBALANCER_SECRET": "short"}, "secret LOADBALANCER_SECRET", FAIL),
    ({"LOADBALANCER_SECRETS": "changeme"}, "secret LOADBALANCER_SECRETS, no. 2", FAIL),
    ({"SECRET_KEY_BASE": "aaaaaaaaaaaaaaaaaaaa"}, "secret SECRET_KEY_BASE", FAIL),
    ({"ADMIN_SECRET": ""}, "secret ADMIN_SECRET", WARN),
    ({"ADMIN_SECRET": "admin"}, "secret ADMIN_SECRET", FAIL),
    ({"URL_HOST": ""}, "public host", WARN),
    ({"URL_HOST": "nothing.invalid"}, "name nothing.invalid", WARN),
    ({"URL_HOST": "", "MULTITENANCY_ENABLED": "true"}, "multitenancy", FAIL),
    ({"FSAPI_PASSWORD": "1234"}, "dial-in password", FAIL),
    ({"TLS_CERT_FILE": "/nowhere/c", "TLS_KEY_FILE": "/nowhere/k"}, "tls certificate", FAIL),
    ({"BBB_CA_FILE": "/nowhere/ca.pem"}, "bbb authorities", FAIL),
]


@pytest.mark.parametrize(("variables", "check", "level"), BREAKS, ids=lambda value: str(value)[:30])
async def test_each_wrong_setting_is_reported(
    variables: dict[str, str],
    check: str,
    level: Level,
    redis_url: str,
    redis_namespace: str,
    tmp_path: Path,
) -> None:
    async with healthy(redis_url, redis_namespace, tmp_path, **variables) as res:
        found = await examine(res.doctor)

    assert (check, level) in bad(found)
    assert GOOD_SECRET not in str(found)


async def test_empty_dial_in_password_is_reported(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with healthy(redis_url, redis_namespace, tmp_path) as res:
        settings = replace(res.settings, fsapi=replace(res.settings.fsapi, password=None))
        assert ("dial-in password", WARN) in bad(
            await examine(rewire(res, settings=settings).doctor)
        )


async def test_redis_without_persistence_is_reported(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with healthy(redis_url, redis_namespace, tmp_path) as res:
        assert ("redis persistence", FAIL) in bad(await examine(res.doctor))


async def test_redis_outage_hides_no_other_finding(redis_namespace: str, tmp_path: Path) -> None:
    with redis_process() as redis, trio.fail_after(WITHIN_S):
        async with healthy(redis.unix_url, redis_namespace, tmp_path) as res:
            redis.kill()
            found = bad(await examine(res.doctor))

    assert ("redis", FAIL) in found
    assert ("servers", FAIL) in found
    assert "postgresql" not in {check for check, _ in found}


async def test_database_that_is_down_or_unused_is_reported(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async def gone() -> DatabaseFacts:
        raise DatabaseDown("connection refused")

    async with healthy(redis_url, redis_namespace, tmp_path) as res:
        probes = cast(Probes, res.doctor.probes)
        broken = await examine(rewire(res, doctor__probes=replace(probes, database=gone)).doctor)
        unused = await examine(rewire(res, doctor__probes=replace(probes, database=None)).doctor)

    assert ("postgresql", FAIL) in bad(broken)
    texts = {finding.check: finding.text for finding in unused}
    assert texts["postgresql"].startswith("not used")
    assert "directory spool" not in texts


async def test_missing_directories_are_reported(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with open_features(redis_url, redis_namespace, **variables_of(tmp_path)) as res:
        probes = replace(cast(Probes, res.doctor.probes), database=good_database)
        (tmp_path / "work").rmdir()
        (tmp_path / "unpublish").rmdir()
        (tmp_path / "unpublish").touch()
        shutil.rmtree(tmp_path / "playback")
        found = bad(await examine(rewire(res, doctor__probes=probes).doctor))

    assert ("directory work", WARN) in found
    assert ("directory unpublished", FAIL) in found
    assert ("player", WARN) in found


async def test_directory_on_another_file_system_is_reported(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    def publish_elsewhere(path: Path, write: bool) -> DirectoryFacts:
        device = 2 if path.name == "publish" else 1
        return replace(roomy(path, write), device=device)

    async with healthy(redis_url, redis_namespace, tmp_path) as res:
        probes = replace(cast(Probes, res.doctor.probes), directory=publish_elsewhere)
        assert ("file system", WARN) in bad(
            await examine(rewire(res, doctor__probes=probes).doctor)
        )


async def test_directory_that_hangs_hides_no_other(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def hang(path: Path, write: bool) -> DirectoryFacts:
        if path.name == "spool":
            pipe.read_bytes()  # blocks until a write, as on an NFS server that is down
        return roomy(path, write)

    async with healthy(redis_url, redis_namespace, tmp_path) as res:
        probes = replace(cast(Probes, res.doctor.probes), directory=hang)
        found = bad(await examine(rewire(res, doctor__probes=probes).doctor, check_s=0.5))
        pipe.write_bytes(b"")

    assert ("directory spool", FAIL) in found
    assert ("directory work", FAIL) not in found


async def test_dead_rejecting_and_duplicate_servers_are_reported(
    redis_url: str, redis_namespace: str, tmp_path: Path, bbbs: list[BbbProcess]
) -> None:
    bbbs[0].clear_faults()
    async with open_features(redis_url, redis_namespace, **variables_of(tmp_path)) as res:
        change = ServerChange(url=bbbs[0].url, secret=bbbs[0].secret, state=ServerState.ENABLED)
        for name, one in (
            ("good", change),
            ("wrong", replace(change, secret="an-entirely-wrong-secret-9")),
            ("dead", replace(change, url="http://127.0.0.1:1/api")),
        ):
            await res.servers.store.add_server(ServerId(name), one)
        found = bad(await examine(res.doctor))

    assert ("server wrong", FAIL) in found
    assert ("server dead", FAIL) in found
    assert ("server good", FAIL) not in found
    assert ("servers", FAIL) in found  # good and wrong have one url


async def test_check_that_raises_hides_no_other_and_is_logged(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    def broken() -> int:
        raise ZeroDivisionError

    async with healthy(redis_url, redis_namespace, tmp_path) as res:
        probes = replace(cast(Probes, res.doctor.probes), file_limit=broken)
        findings = await examine(rewire(res, doctor__probes=probes).doctor)
        assert isinstance(res.log, EventBook)
        assert [fields["check"] for _, fields in res.log.errors] == ["this host"]

    assert ("this host", FAIL) in bad(findings)
    assert "server a" in {finding.check for finding in findings}


async def test_servers_that_take_too_long_are_reported(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async def hang(target: Target) -> ServerFacts:
        await trio.sleep_forever()
        raise AssertionError

    async with healthy(redis_url, redis_namespace, tmp_path) as res:
        probes = replace(cast(Probes, res.doctor.probes), server=hang)
        found = bad(await examine(rewire(res, doctor__probes=probes).doctor, check_s=4.0))

    assert ("server a", FAIL) in found


async def test_host_of_a_tenant_that_cannot_be_resolved_is_reported(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    variables = {"MULTITENANCY_ENABLED": "true", "BASE_URL": "nowhere.invalid"}
    async with healthy(redis_url, redis_namespace, tmp_path, **variables) as res:
        new = TenantChange(name="school", secrets=GOOD_SECRET)
        await tenant_admin.add_tenant(res.tenants, "test", new)
        found = bad(await examine(res.doctor))

    assert ("name school.nowhere.invalid", WARN) in found


async def test_weak_secret_of_a_server_and_of_a_tenant_is_reported(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    variables = {"MULTITENANCY_ENABLED": "true", "URL_HOST": "localhost"}
    async with healthy(redis_url, redis_namespace, tmp_path, **variables) as res:
        await res.servers.store.update_server(ServerId("a"), ServerChange(secret="bbb"))
        await tenant_admin.add_tenant(
            res.tenants, "test", TenantChange(name="school", secrets="weak")
        )
        findings = await examine(res.doctor)
        found = bad(findings)

    assert ("secret of server a", WARN) in found
    assert ("secret of tenant school", FAIL) in found
    # Whether names below localhost can be resolved depends on this machine.
    assert "name school.localhost" in {finding.check for finding in findings}


async def test_failed_and_old_tars_are_reported(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with healthy(redis_url, redis_namespace, tmp_path) as res:
        spool = SpoolAdmin(res.settings.recordings)
        admin = cast(RecordingAdmin, SimpleNamespace(spool=spool))
        res = rewire(res, recordings__admin=admin)
        assert "imports" not in {check for check, _ in bad(await examine(res.doctor))}

        (tmp_path / "spool" / "failed").mkdir()
        (tmp_path / "spool" / "failed" / "r1.tar").touch()
        (tmp_path / "spool" / "r2.tar").touch()
        two_hours_ago = time.time() - 7200
        os.utime(tmp_path / "spool" / "r2.tar", (two_hours_ago, two_hours_ago))

        texts = [one.text for one in await examine(res.doctor) if one.check == "imports"]
        assert texts == [
            "1 tar could not be imported: r1.tar",
            "1 tar has waited for more than an hour",
        ]
        assert bad(await examine(res.doctor)).count(("imports", WARN)) == 2
        (tmp_path / "spool" / "failed" / "r1.tar").unlink()
        (tmp_path / "spool" / "failed").rmdir()
        (tmp_path / "spool" / "r2.tar").unlink()
        (tmp_path / "spool").rmdir()
        (tmp_path / "spool").touch()
        assert ("imports", FAIL) in bad(await examine(res.doctor))


async def test_failed_calls_to_front_ends_are_reported(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    async with healthy(redis_url, redis_namespace, tmp_path) as res:
        assert "callbacks" not in {check for check, _ in bad(await examine(res.doctor))}
        (buffer,) = res.callbacks.queue.stores
        await buffer.add(ready(), "key")
        (queued,) = await claim(buffer)
        await buffer.record_result(WHO, queued, AttemptResult(CallbackState.FAILED, 404))

        assert ("callbacks", WARN) in bad(await examine(res.doctor))


async def test_autoscaler_that_accepts_no_calls_is_reported(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    variables = {"AUTOSCALE_COMMAND": "/bin/false"}
    async with healthy(redis_url, redis_namespace, tmp_path, **variables) as res:
        (hook,) = make_hooks(res.fleet)
        assert await res.fleet.store.claim(res.fleet.instance, lease_ms=60_000)
        for failures in (1, 2):
            assert await tell(res.fleet, hook) == failures
        assert "autoscaler" not in {check for check, _ in bad(await examine(res.doctor))}
        assert await tell(res.fleet, hook) == 3

        assert ("autoscaler", WARN) in bad(await examine(res.doctor))


async def test_doctor_is_refused_without_probes(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        with pytest.raises(Refused):
            await examine(rewire(res, doctor__probes=None).doctor)
