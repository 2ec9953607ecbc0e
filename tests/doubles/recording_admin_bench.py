"""What an operator's work on recordings needs, for tests: real stores, directories and socket.

No watcher runs: what lies in the spool stays there unless a test imports it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from appliance.features import Features
from appliance.recordings.admin_store import RecordingTable
from appliance.recordings.change_notes import ChangeNotes
from appliance.recordings.deps import RecordingAdmin
from appliance.recordings.imports.history import ImportHistory
from appliance.recordings.imports.spool_admin import SpoolAdmin
from appliance.recordings.jobs import RecordingJobs
from appliance.recordings.recording import Recording
from appliance.wiring.takeover import make_takeover_sources
from tests.doubles.control import ControlDouble, Done, open_control
from tests.doubles.features import EventBook, open_features, rewire
from tests.doubles.import_tools import ImportBench, open_import_bench, recording_settings
from tests.doubles.pool_store import pool_store
from tests.doubles.recordings import add
from tests.doubles.usage import make_usage

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class RecordingAdminBench:
    """What a test touches."""

    res: Features
    bench: ImportBench
    admin: RecordingAdmin
    control: ControlDouble

    @property
    def log(self) -> EventBook:
        """What the operations logged."""
        assert isinstance(self.res.log, EventBook)
        return self.res.log

    async def ctl(self, *words: str) -> Done:
        """Run a command of `ctl recordings`."""
        return await self.control.ctl("recordings", *words)

    async def add(self, *recordings: Recording, wrong: bool = False) -> None:
        """Write recordings and a file for each format, on wish in the wrong directory."""
        await add_with_files(self.bench, *recordings, wrong=wrong)

    async def find(self, record_id: str) -> Recording:
        """Return a recording that is there."""
        found = await self.bench.find(record_id)
        assert found is not None
        return found

    async def set_retention(self, tenant_id: str, value: str) -> None:
        """Store a tenant with a RECORDING_RETENTION_DAYS, as Scalelite does."""
        store = pool_store(self.res)
        key, setting = store.namespace, f"of-{tenant_id}"
        fields = ("param", "RECORDING_RETENTION_DAYS", "value", value, "override", "true")
        await store.bulk.pipeline(
            [
                ["SADD", f"{key}:tenants", tenant_id],
                ["HSET", f"{key}:tenant:{tenant_id}", "name", tenant_id, "secrets", "s"],
                ["SADD", f"{key}:tenant_settings:{tenant_id}", setting],
                ["HSET", f"{key}:tenant_setting:{setting}", *fields, "tenant_id", tenant_id],
            ]
        )


async def add_with_files(bench: ImportBench, *recordings: Recording, wrong: bool = False) -> None:
    """Write recordings and a file for each format, on wish in the wrong directory."""
    await add(bench.recordings, *recordings)
    for one in recordings:
        for shown in one.formats:
            top = "published" if one.published != wrong else "unpublished"
            folder = bench.root / top / shown.format / one.record_id
            folder.mkdir(parents=True)
            (folder / "index.html").write_text(one.record_id)


@asynccontextmanager
async def open_admin_bench_of(
    bare: Features, database_url: str, root: Path
) -> AsyncIterator[tuple[Features, ImportBench]]:
    """Give Resources that have recordings, too; the directories are below `root`."""
    settings = recording_settings(root)
    async with (
        open_import_bench(database_url, root) as bench,
        trio.open_nursery() as nursery,
    ):
        jobs = RecordingJobs(bare.log)
        await nursery.start(jobs.run)
        admin = RecordingAdmin(
            table=RecordingTable(bench.database),
            history=ImportHistory(bench.database),
            spool=SpoolAdmin(settings),
            importer=bench.tools,
            jobs=jobs,
        )
        own, probes = replace(bare.settings, recordings=settings), bare.doctor.probes
        assert probes is not None
        res = rewire(
            bare,
            recordings__store=bench.recordings,
            recordings__files=bench.files,
            recordings__change_notes=ChangeNotes(settings),
            recordings__admin=admin,
            takeover__sources=make_takeover_sources(own, bare.redis, bench.database, probes),
        )
        usage = make_usage(bare, bench.database)
        yield replace(rewire(res, servers__usage=usage), usage=usage), bench
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_admin_bench(
    redis_url: str, namespace: str, database_url: str, root: Path, **variables: str
) -> AsyncIterator[RecordingAdminBench]:
    """Give the administration of recordings behind a control socket; the directories are below
    `root`."""
    async with (
        open_features(redis_url, namespace, log=None, **variables) as bare,
        open_admin_bench_of(bare, database_url, root) as (res, bench),
        open_control(res) as control,
    ):
        assert res.recordings.admin is not None
        yield RecordingAdminBench(res, bench, res.recordings.admin, control)
