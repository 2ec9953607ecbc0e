"""Look at everything that the appliance stands on, and say what to do next.

Every check runs beside the others and has a time limit; none can take another down. Nothing is
changed, but for a file, a row and a key of a moment, by which writing is tried. What is good and
what is not is decided in core/*_findings.py and doctor_settings.py.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.callbacks.rules import CallbackState
from appliance.doctor.deps import DoctorDeps
from appliance.doctor.directory_findings import (
    DirectoryFacts,
    Place,
    judge_file_systems,
    judge_places,
)
from appliance.doctor.findings import Finding, fail, ok, warn
from appliance.doctor.host_findings import (
    judge_authorities,
    judge_certificate,
    judge_file_limit,
    judge_name,
)
from appliance.doctor.ports import Probes
from appliance.doctor.server_findings import judge_pool, judge_server, unasked
from appliance.doctor.settings_findings import (
    judge_server_secrets,
    judge_settings,
    judge_tenant_secrets,
)
from appliance.doctor.store_findings import judge_database, judge_redis
from appliance.faults import DatabaseDown, StoreDown
from appliance.log import Log
from appliance.model import Server
from appliance.servers.administration import list_servers

_CHECK_S = 9.0
"""For each check, and so for all: nobody waits longer than 10 s for a doctor."""
_SERVERS_AT_ONCE = 64
_PART = 0.8
"""Of a check's time, for each directory and for the servers: what is slow is then named."""
_THREADS = 16
_OLD_TAR_S = 3600.0
_HOSTS = 20
"""Of so many tenants the host is looked up; the others are as good or bad, by one wildcard."""

Check = Callable[[], Awaitable[Sequence[Finding]]]
T = TypeVar("T")


async def examine(deps: DoctorDeps, *, check_s: float = _CHECK_S) -> list[Finding]:
    """Return everything that was found, in the order of the checks. Raises Refused: no probes."""
    if deps.probes is None:
        raise Refused(RefusalKind.INVALID, "this appliance has no doctor")
    examination = _Examination(deps, deps.probes, _PART * check_s)
    checks: tuple[tuple[str, Check], ...] = (
        ("configuration", examination.settings),
        ("redis", examination.redis),
        ("postgresql", examination.database),
        ("directories", examination.directories),
        ("recordings", examination.recordings),
        ("callbacks", examination.callbacks),
        ("tenants", examination.tenants),
        ("servers", examination.servers),
        ("this host", examination.host),
    )
    found: dict[str, Sequence[Finding]] = {}

    async def run(name: str, check: Check) -> None:
        found[name] = await _bounded(deps.log, name, check, check_s)

    async with trio.open_nursery() as nursery:
        for name, check in checks:
            nursery.start_soon(run, name, check)
    return [finding for name, _ in checks for finding in found[name]]


async def _bounded(log: Log, name: str, check: Check, limit_s: float) -> Sequence[Finding]:
    try:
        with trio.fail_after(limit_s):
            return await check()
    except trio.TooSlowError:
        return [fail(name, f"nothing within {limit_s:g} s", "something hangs: look at it first")]
    except StoreDown as error:
        return [fail(name, f"Redis cannot be used: {error}", "start it, or correct REDIS_URL")]
    except DatabaseDown as error:
        return [
            fail(
                name,
                f"PostgreSQL cannot be used: {error}",
                "start it, or correct DATABASE_URL; recordings and callbacks wait for it",
            )
        ]
    except Exception as error:
        # A fault of ours must not hide what the other checks found.
        log.error("doctor_check_failed", check=name, exc_info=error)
        text = f"the check itself failed: {type(error).__name__}"
        return [fail(name, text, "the log has a traceback (doctor_check_failed): please report it")]


class _Examination:
    """One look at everything."""

    def __init__(self, deps: DoctorDeps, probes: Probes, part_s: float) -> None:
        self._deps = deps
        self._probes = probes
        self._part_s = part_s
        # Of its own: a directory that hangs keeps its thread after nobody waits for it any more.
        self._threads = trio.CapacityLimiter(_THREADS)

    async def _in_thread(self, look: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(look, abandon_on_cancel=True, limiter=self._threads)

    async def settings(self) -> list[Finding]:
        """Look at the configuration."""
        return judge_settings(self._deps.settings)

    async def redis(self) -> list[Finding]:
        """Look at Redis."""
        return judge_redis(await self._probes.redis())

    async def database(self) -> list[Finding]:
        """Look at PostgreSQL."""
        if self._probes.database is None:
            return [ok("postgresql", "not used: DB_DISABLED or RECORDING_DISABLED is set")]
        return judge_database(await self._probes.database())

    async def directories(self) -> list[Finding]:
        """Look at the directories, each in a thread: one that hangs hides no other."""
        stores, recordings = self._deps.settings.stores, self._deps.settings.recordings
        wanted = []
        if stores.redis_embedded or stores.database_embedded:
            wanted.append(("state", stores.state_dir, "STATE_DIR", False))
        if not recordings.disabled and self._probes.database is not None:
            wanted += [
                ("spool", recordings.spool_dir, "RECORDING_SPOOL_DIR", False),
                ("work", recordings.work_dir, "RECORDING_WORK_DIR", False),
                ("published", recordings.publish_dir, "RECORDING_PUBLISH_DIR", False),
                ("unpublished", recordings.unpublish_dir, "RECORDING_UNPUBLISH_DIR", False),
                ("playback", recordings.playback_dir, "PLAYBACK_DIR", True),
            ]
        places: dict[str, Place] = {}

        async def look(name: str, path: Path, variable: str, read_only: bool) -> None:
            facts = DirectoryFacts(str(path), f"nothing within {self._part_s:g} s, NFS perhaps")
            with trio.move_on_after(self._part_s):
                seen = partial(self._probes.directory, path, write=not read_only)
                facts = await self._in_thread(seen)
            places[name] = Place(name, facts, variable, read_only)

        async with trio.open_nursery() as nursery:
            for row in wanted:
                nursery.start_soon(look, *row)
        found = [places[name] for name, *_ in wanted]
        moved = [place for place in found if place.name in ("work", "published", "unpublished")]
        return [*judge_places(found, self._probes.user), *judge_file_systems(moved)]

    async def recordings(self) -> list[Finding]:
        """Look at what was not imported."""
        desk = self._deps.recordings.admin
        if desk is None:
            return []
        try:
            waiting = await self._in_thread(desk.spool.scan)
            failed = await self._in_thread(desk.spool.list_failed)
        except OSError as error:
            advice = "look at RECORDING_SPOOL_DIR: without it no recording arrives"
            return [fail("imports", f"the spool cannot be read: {error.strerror}", advice)]
        findings = []
        if failed:
            findings.append(
                warn(
                    "imports",
                    f"{len(failed)} tars could not be imported, {failed[0].tar.name} among them",
                    "`ctl recordings imports` says why, `ctl recordings retry` tries again",
                )
            )
        now_s = self._deps.now_ms() / 1000
        old = [tar for tar in waiting if now_s - tar.mtime_ns / 1e9 > _OLD_TAR_S]
        if old:
            findings.append(
                warn(
                    "imports",
                    f"{len(old)} tars have waited for more than an hour",
                    "look at the log (import_failed); RECORDING_IMPORT_CONCURRENCY may be raised",
                )
            )
        return findings or [ok("imports", f"none failed, {len(waiting)} tars wait")]

    async def callbacks(self) -> list[Finding]:
        """Look at the calls that no front-end took."""
        counts = await self._deps.callbacks.queue.count()
        failed, waiting = (
            counts.get(state, 0) for state in (CallbackState.FAILED, CallbackState.PENDING)
        )
        if failed:
            advice = "`ctl callbacks list` says why, `ctl callbacks retry` or `drop` what to do"
            return [warn("callbacks", f"{failed} calls to front-ends failed for good", advice)]
        return [ok("callbacks", f"none failed, {waiting} wait")]

    async def tenants(self) -> list[Finding]:
        """Look at the tenants: their secrets, and whether DNS knows their hosts."""
        api = self._deps.settings.api
        if not api.multitenancy:
            return []
        tenants = await self._deps.tenants.store.list_tenants()
        findings = judge_tenant_secrets(tenants)
        if api.base_url is not None:
            hosts = [f"{tenant.name}.{api.base_url}" for tenant in tenants[:_HOSTS]]
            findings += await self._look_up("tenant's host", hosts)
        return findings

    async def _look_up(self, what: str, hosts: Sequence[str]) -> list[Finding]:
        """Look names up beside each other."""
        found: dict[str, Finding] = {}

        async def look(host: str) -> None:
            problem = await self._in_thread(partial(self._probes.resolve, host))
            found[host] = judge_name(what, host, problem)

        with trio.move_on_after(self._part_s):
            async with trio.open_nursery() as nursery:
                for host in hosts:
                    nursery.start_soon(look, host)
        late = "no answer of the name server"
        return [found.get(host) or judge_name(what, host, late) for host in hosts]

    async def servers(self) -> list[Finding]:
        """Ask every server."""
        servers = await list_servers(self._deps.servers)
        asked: dict[str, Finding] = {}
        limiter = trio.CapacityLimiter(_SERVERS_AT_ONCE)

        async def ask(server: Server) -> None:
            async with limiter:
                asked[server.id] = judge_server(server, await self._probes.server(server.target))

        with trio.move_on_after(self._part_s):
            async with trio.open_nursery() as nursery:
                for server in servers:
                    nursery.start_soon(ask, server)
        each = [asked.get(server.id) or unasked(server, self._part_s) for server in servers]
        return [*judge_pool(servers), *each, *judge_server_secrets(servers)]

    async def host(self) -> list[Finding]:
        """Look at this host: certificates, names, limits."""
        findings = [judge_file_limit(self._probes.file_limit())]
        web, api, now_s = (
            self._deps.settings.web,
            self._deps.settings.api,
            self._deps.now_ms() / 1000,
        )
        if web.tls_cert_file is not None and web.tls_key_file is not None:
            read = partial(self._probes.certificate, web.tls_cert_file, web.tls_key_file)
            facts = await self._in_thread(read)
            findings.append(judge_certificate(facts, api.url_host, now_s))
        ca_file = self._deps.settings.servers.ca_file
        if ca_file is not None:
            authorities = await self._in_thread(partial(self._probes.authorities, ca_file))
            findings.append(judge_authorities(authorities, now_s))
        if api.url_host is not None:
            findings += await self._look_up("URL_HOST", [api.url_host])
        return findings
