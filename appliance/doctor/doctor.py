"""Inspect everything that the appliance depends on.

The checks run concurrently, each with a time limit, and a check that fails or hangs affects no
other. Nothing is changed, except that writing is tried with a temporary file, row and key. The
rules are in the *_findings.py files.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.bbb.server_facts import ServerFacts
from appliance.callbacks.rules import CallbackState
from appliance.doctor.bucket_findings import bucket_check, judge_bucket
from appliance.doctor.deps import DoctorDeps, Probes
from appliance.doctor.directory_findings import Place, judge_file_systems, judge_places
from appliance.doctor.findings import Finding, fail, ok, warn
from appliance.doctor.front_end_findings import judge_checksums
from appliance.doctor.host_findings import (
    judge_authorities,
    judge_certificate,
    judge_file_limit,
    judge_name,
)
from appliance.doctor.player_findings import judge_player
from appliance.doctor.server_findings import (
    judge_doubles,
    judge_pool,
    judge_server,
    judge_shares,
    judge_windows,
    timed_out,
)
from appliance.doctor.settings_findings import (
    judge_server_secrets,
    judge_settings,
    judge_tenant_secrets,
)
from appliance.doctor.store_findings import judge_database, judge_redis
from appliance.faults import DatabaseDown, StoreDown
from appliance.fleet.autoscale import make_hooks
from appliance.log import Log
from appliance.model import Server, ServerState
from appliance.recordings.objects.bucket_facts import read_bucket_facts
from appliance.recordings.objects.mixed_storage import MixedStorage
from appliance.recordings.player.files import PlayerBuild
from appliance.recordings.player.installation import PlayerDirectory
from appliance.servers.administration import find_server, list_servers
from appliance.servers.maintenance.rules import Phase
from appliance.servers.maintenance.windows import list_windows
from appliance.system.disk_facts import DirectoryFacts
from appliance.system.threads import run_abandonable

_CHECK_S = 9.0
"""Limit of each check, so that the whole call answers within 10 s."""
_SERVERS_AT_ONCE = 64
_PART = 0.8
"""Fraction of that limit for each directory and for the servers, so that slow ones are named."""
_THREADS = 16
_START_REDIS = (
    "`systemctl restart scalelite-appliance-redis` if it is the package's"
    " (`journalctl -u scalelite-appliance-redis`); else start it"
)
_OLD_TAR_S = 3600.0
_MAX_HOOK_FAILURES = 3
_MAX_PLAYERS = 20
"""Servers that are asked for their player; a pool has one or two versions."""
_MAX_HOSTS = 20
"""Tenants whose host is resolved; one wildcard record usually covers all of them."""

Check = Callable[[], Awaitable[Sequence[Finding]]]
T = TypeVar("T")


async def examine(deps: DoctorDeps, *, check_s: float = _CHECK_S) -> list[Finding]:
    """Return all findings, in the order of the checks. Raises Refused: no probes."""
    if deps.probes is None:
        raise _unavailable()
    examination = _Examination(deps, deps.probes, _PART * check_s)
    checks: tuple[tuple[str, Check], ...] = (
        ("configuration", examination.settings),
        ("redis", examination.redis),
        ("postgresql", examination.database),
        ("directories", examination.directories),
        (bucket_check(deps.settings.s3.bucket), examination.bucket),
        ("recordings", examination.recordings),
        ("player", examination.player),
        ("callbacks", examination.callbacks),
        ("autoscaler", examination.autoscaler),
        ("tenants", examination.tenants),
        ("front-ends", examination.front_ends),
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


async def inspect_server(deps: DoctorDeps, server_id: str) -> tuple[Finding, ServerFacts]:
    """Inspect one server. Raises Refused: it does not exist, or no probes."""
    if deps.probes is None:
        raise _unavailable()
    server = await find_server(deps.servers, server_id)
    facts = await deps.probes.server(server.target)
    return judge_server(server, facts), facts


def _unavailable() -> Refused:
    return Refused(RefusalKind.INVALID, "doctor is not available here")


async def _bounded(log: Log, name: str, check: Check, limit_s: float) -> Sequence[Finding]:
    try:
        with trio.fail_after(limit_s):
            return await check()
    except trio.TooSlowError:
        advice = "a store, a directory or the network hangs: check that first"
        return [fail(name, f"no result within {limit_s:g} s", advice)]
    except StoreDown as error:
        return [
            fail(name, f"Redis cannot be used: {error}", f"{_START_REDIS}, or correct REDIS_URL")
        ]
    except DatabaseDown as error:
        return [
            fail(
                name,
                f"PostgreSQL cannot be used: {error}",
                "start it, or correct DATABASE_URL; recordings and callbacks wait for it",
            )
        ]
    except Exception as error:
        # A defect in one check must not hide the findings of the others.
        log.error("doctor_check_failed", check=name, exc_info=error)
        text = f"the check itself failed: {type(error).__name__}"
        return [fail(name, text, "the log has a traceback (doctor_check_failed): please report it")]


class _Examination:
    """The checks of one run of doctor."""

    def __init__(self, deps: DoctorDeps, probes: Probes, part_s: float) -> None:
        self._deps = deps
        self._probes = probes
        self._part_s = part_s
        # Not Trio's default limiter: a directory that hangs keeps its thread after its time limit.
        self._threads = trio.CapacityLimiter(_THREADS)

    async def _in_thread(self, probe: Callable[[], T]) -> T:
        return await run_abandonable(probe, self._threads)

    async def settings(self) -> list[Finding]:
        """Check the configuration."""
        return judge_settings(self._deps.settings)

    async def redis(self) -> list[Finding]:
        """Check Redis."""
        return judge_redis(await self._probes.redis())

    async def database(self) -> list[Finding]:
        """Check PostgreSQL."""
        if self._probes.database is None:
            return [ok("postgresql", "not used: DB_DISABLED or RECORDING_DISABLED is set")]
        return judge_database(await self._probes.database())

    async def directories(self) -> list[Finding]:
        """Check the directories, each in its own thread: one that hangs hides no other."""
        stores, recordings = self._deps.settings.stores, self._deps.settings.recordings
        wanted: list[tuple[str, Path, str]] = []
        if stores.redis_embedded or stores.database_embedded:
            wanted.append(("state", stores.state_dir, "STATE_DIR"))
        if not recordings.disabled and self._probes.database is not None:
            wanted += [
                ("spool", recordings.spool_dir, "RECORDING_SPOOL_DIR"),
                ("work", recordings.work_dir, "RECORDING_WORK_DIR"),
                ("published", recordings.publish_dir, "RECORDING_PUBLISH_DIR"),
                ("unpublished", recordings.unpublish_dir, "RECORDING_UNPUBLISH_DIR"),
            ]
        places: dict[str, Place] = {}

        async def inspect(name: str, path: Path, variable: str) -> None:
            late = f"no answer within {self._part_s:g} s, perhaps from an NFS server"
            facts = DirectoryFacts(str(path), late)
            with trio.move_on_after(self._part_s):
                facts = await self._in_thread(partial(self._probes.directory, path, True))
            places[name] = Place(name, facts, variable)

        async with trio.open_nursery() as nursery:
            for row in wanted:
                nursery.start_soon(inspect, *row)
        found = [places[name] for name, *_ in wanted]
        moved = [place for place in found if place.name in ("work", "published", "unpublished")]
        return [*judge_places(found, self._probes.user), *judge_file_systems(moved)]

    async def bucket(self) -> list[Finding]:
        """Check the bucket of recordings."""
        files = self._deps.recordings.files
        if not isinstance(files, MixedStorage):
            return []
        read = partial(read_bucket_facts, files.objects, lambda: self._deps.now_ms() / 1000)
        return judge_bucket(await self._in_thread(read))

    async def recordings(self) -> list[Finding]:
        """Check for tars that were not imported."""
        admin = self._deps.recordings.admin
        if admin is None:
            return []
        try:
            waiting = await self._in_thread(admin.spool.scan)
            failed = await self._in_thread(admin.spool.list_failed)
        except OSError as error:
            advice = "check RECORDING_SPOOL_DIR: without it no recording arrives"
            return [fail("imports", f"the spool cannot be read: {error.strerror}", advice)]
        findings = []
        if failed:
            name = failed[0].tar.name
            many = f"{len(failed)} tars could not be imported, among them {name}"
            findings.append(
                warn(
                    "imports",
                    f"1 tar could not be imported: {name}" if len(failed) == 1 else many,
                    "`ctl recordings imports` shows why, `ctl recordings retry` tries again",
                )
            )
        now_s = self._deps.now_ms() / 1000
        old = [tar for tar in waiting if now_s - tar.mtime_ns / 1e9 > _OLD_TAR_S]
        if old:
            number = "1 tar has" if len(old) == 1 else f"{len(old)} tars have"
            findings.append(
                warn(
                    "imports",
                    f"{number} waited for more than an hour",
                    "see the log (recording_import_failed);"
                    " RECORDING_IMPORT_CONCURRENCY can be raised",
                )
            )
        return findings or [ok("imports", f"none failed, {len(waiting)} wait")]

    async def player(self) -> list[Finding]:
        """Check the player of recordings: that it is there, and not older than the servers'."""
        recordings = self._deps.settings.recordings
        if recordings.disabled or self._probes.database is None:
            return []
        installed = await self._in_thread(PlayerDirectory(recordings.playback_dir).read)
        found: dict[str, PlayerBuild | None] = {}
        servers = [one for one in await list_servers(self._deps.servers) if one.takes_meetings]

        async def ask(server: Server) -> None:
            found[server.id] = await self._probes.player(server)

        with trio.move_on_after(self._part_s):
            async with trio.open_nursery() as nursery:
                for server in servers[:_MAX_PLAYERS]:
                    nursery.start_soon(ask, server)
        return [judge_player(installed, {name: one for name, one in found.items() if one})]

    async def callbacks(self) -> list[Finding]:
        """Check for calls that front-ends did not accept."""
        counts = await self._deps.callbacks.queue.count()
        failed, waiting = (
            counts.get(state, 0) for state in (CallbackState.FAILED, CallbackState.PENDING)
        )
        if failed:
            advice = "`ctl callbacks list` shows why; then `ctl callbacks retry` or `drop`"
            text = f"{failed} calls to front-ends failed and are no longer tried"
            return [warn("callbacks", text, advice)]
        return [ok("callbacks", f"none failed, {waiting} wait")]

    async def autoscaler(self) -> list[Finding]:
        """Check whether the hooks of the autoscaler accept calls."""
        fleet, findings = self._deps.fleet, []
        for hook in make_hooks(fleet):
            name = f"AUTOSCALE_{hook.name.upper()}"
            state = await fleet.store.read_hook_state(hook.name)
            if state.failures >= _MAX_HOOK_FAILURES:
                text = f"{name} did not accept {state.failures} calls in a row: {state.error}"
                advice = "nothing is lost, it is tried again; `ctl autoscale plan` shows what waits"
                findings.append(warn("autoscaler", text, advice))
            else:
                findings.append(ok("autoscaler", f"{name} accepts calls"))
        return findings

    async def tenants(self) -> list[Finding]:
        """Check the tenants: their secrets, and whether their hosts can be resolved."""
        api = self._deps.settings.api
        if not api.multitenancy:
            return []
        tenants = await self._deps.tenants.store.list_tenants()
        findings = judge_tenant_secrets(tenants)
        if api.base_url is not None:
            hosts = [f"{tenant.name}.{api.base_url}" for tenant in tenants[:_MAX_HOSTS]]
            findings += await self._resolve("tenant's host", hosts)
        return findings

    async def front_ends(self) -> list[Finding]:
        """Check for calls that were not signed with a secret of the appliance."""
        return judge_checksums(self._deps.checksum_errors.last_hour())

    async def _resolve(self, what: str, hosts: Sequence[str]) -> list[Finding]:
        """Resolve names concurrently."""
        found: dict[str, Finding] = {}

        async def resolve(host: str) -> None:
            problem = await self._in_thread(partial(self._probes.resolve, host))
            found[host] = judge_name(what, host, problem)

        with trio.move_on_after(self._part_s):
            async with trio.open_nursery() as nursery:
                for host in hosts:
                    nursery.start_soon(resolve, host)
        late = "no answer from the name server"
        return [found.get(host) or judge_name(what, host, late) for host in hosts]

    async def servers(self) -> list[Finding]:
        """Check every server."""
        servers = await list_servers(self._deps.servers)
        windows = await list_windows(self._deps.servers)
        away = {one.server_id for one in windows if one.phase in (Phase.OPEN, Phase.DRAINING)}
        asked: dict[str, Finding] = {}
        limiter = trio.CapacityLimiter(_SERVERS_AT_ONCE)

        async def ask(server: Server) -> None:
            async with limiter:
                facts = await self._probes.server(server.target)
                maintained = server.id in away and server.state is ServerState.DISABLED
                asked[server.id] = judge_server(server, facts, maintained=maintained)

        with trio.move_on_after(self._part_s):
            async with trio.open_nursery() as nursery:
                for server in servers:
                    nursery.start_soon(ask, server)
        each = [asked.get(server.id) or timed_out(server, self._part_s) for server in servers]
        doubles = await self._deps.servers.store.list_doubles([server.id for server in servers])
        secrets = judge_server_secrets(servers)
        pool = judge_pool(servers, vanished=self._deps.servers.remembered.vanished)
        shares = (await self._deps.servers.shares.read()).values()
        stopped = [one for one in shares if one.stopped_ms is not None]
        planned = [*judge_windows(windows), *judge_shares(stopped)]
        return [*pool, *each, *secrets, *judge_doubles(doubles, servers), *planned]

    async def host(self) -> list[Finding]:
        """Check this host: certificates, names, limits."""
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
            findings += await self._resolve("URL_HOST", [api.url_host])
        return findings
