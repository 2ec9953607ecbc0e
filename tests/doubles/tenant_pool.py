"""Two tenants on one appliance: BBB servers, recordings, files and captions, over real HTTP.

Both have a meeting of the same id (the second is kept under its scoped id), one of their own, and
a published, a protected and an unpublished recording of meetings with equal ids.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from appliance.recordings.files import RecordingFiles
from appliance.recordings.playback.served_files import ServedFiles
from appliance.recordings.playback.tokens import PlaybackTokens
from appliance.recordings.store import RecordingStore
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import rewire
from tests.doubles.live_pool import LivePool, open_live
from tests.doubles.public import API, XML_TYPE, Answer, Public, serve_public
from tests.doubles.recordings import add, make_format, make_recording, open_recordings
from tests.doubles.signing import ParamsLike, sign_url

DOCUMENT = (
    b'<modules><module name="presentation"><document url="http://x/a.pdf"/></module></modules>'
)
FORMATS = ("presentation", "video")
KINDS = ("open", "protected", "hidden")
"""Recordings of each tenant: `open-one`, …"""


@dataclass(frozen=True)
class FrontEnd:
    """The front-end of one tenant."""

    public: Public = field(repr=False)
    name: str
    id: str
    secret: str

    @property
    def host(self) -> str:
        """Return the host by which it knows us."""
        return f"{self.name}.bbb.example"

    async def call(self, call: str, params: ParamsLike = "") -> Answer:
        """Make a signed call, with a document or a file where it wants one."""
        if call == "insertDocument":
            target = sign_url(API, call, params, self.secret)
            return await self.public.ask(
                "POST", target, host=self.host, headers=[XML_TYPE], body=DOCUMENT
            )
        if call == "putRecordingTextTrack":
            return await self._put(sign_url(API, call, params, self.secret))
        return await self.public.call(call, params, secret=self.secret, host=self.host)

    async def get(self, target: str, *headers: str) -> Answer:
        """Ask for a page as a browser does."""
        return await self.public.ask("GET", target, host=self.host, headers=headers)

    async def _put(self, target: str) -> Answer:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.public.port}") as client:
            answer = await client.post(
                target, files={"file": ("t.vtt", b"WEBVTT\n\n")}, headers={"Host": self.host}
            )
        return Answer(answer.status_code, dict(answer.headers), answer.content)


@dataclass(frozen=True)
class TwoTenants:
    """What a test touches."""

    pool: LivePool
    store: RecordingStore
    directory: Path
    one: FrontEnd
    two: FrontEnd

    @property
    def pairs(self) -> tuple[tuple[FrontEnd, FrontEnd], ...]:
        """Return (who asks, whose it is), both ways."""
        return (self.one, self.two), (self.two, self.one)

    async def state(self) -> dict[str, Any]:
        """Return everything that a call could change, once nothing is under way."""
        await self.pool.settled()
        recordings = [
            await self.store.find_recording(f"{kind}-{tenant.name}")
            for tenant in (self.one, self.two)
            for kind in KINDS
        ]
        files = sorted(str(path) for path in self.directory.rglob("*") if path.is_file())
        meetings = [bbb.meetings() for bbb in self.pool.servers]
        records = await self.pool.res.pool.records.list_meetings()
        return {
            "recordings": recordings,
            "files": files,
            "meetings": meetings,
            "records": records,
            "bridges": await self.pool.redis("HGETALL", "voice_bridges"),
        }


async def add_tenant(pool: LivePool, public: Public, name: str, number: int) -> FrontEnd:
    """Store a tenant as Scalelite does."""
    tenant_id, secret = f"{number:08d}-5557-41f9-9533-a75d5f42cb21", f"secret of {name}"
    await pool.redis("SADD", "tenants", tenant_id)
    await pool.redis("HSET", f"tenant:{tenant_id}", "name", name, "secrets", secret)
    await pool.redis("HSET", f"tenant_name:{name}", "id", tenant_id)
    return FrontEnd(public, name, tenant_id, secret)


@asynccontextmanager
async def open_two_tenants(
    redis_url: str,
    namespace: str,
    database_url: str,
    directory: Path,
    bbbs: Sequence[BbbProcess],
    **variables: str,
) -> AsyncIterator[TwoTenants]:
    """Serve an appliance with two tenants and all that is theirs."""
    names = ("RECORDING_PUBLISH_DIR", "RECORDING_UNPUBLISH_DIR", "PLAYBACK_DIR")
    paths = {name: str(directory / name) for name in names}
    tenancy = {"MULTITENANCY_ENABLED": "true", "URL_HOST": "bbb.example"}
    environment: dict[str, Any] = {**paths, **tenancy, **variables}
    async with (
        open_live(redis_url, namespace, bbbs, spread=True, **environment) as pool,
        open_recordings(database_url) as (_, store),
    ):
        settings = pool.res.settings.recordings
        res = rewire(
            pool.res,
            recordings__store=store,
            recordings__files=RecordingFiles(settings),
            recordings__tokens=PlaybackTokens(pool.res.redis.foreground, 60),
            recordings__served=ServedFiles(settings),
            recordings__secret_key_base="k" * 64,
        )
        async with serve_public(res) as public:
            one = await add_tenant(pool, public, "one", 1)
            two = await add_tenant(pool, public, "two", 2)
            world = TwoTenants(pool, store, directory, one, two)
            for tenant in (one, two):
                await _furnish(world, tenant)
            yield world


async def _furnish(world: TwoTenants, tenant: FrontEnd) -> None:
    for meeting_id in ("room", f"only-{tenant.name}"):
        answer = await tenant.call("create", {"meetingID": meeting_id, "name": "Room"})
        assert answer.returncode == "SUCCESS", answer.body
    for kind in KINDS:
        record_id = f"{kind}-{tenant.name}"
        recording = make_recording(
            record_id,
            meeting_id="room",
            published=kind != "hidden",
            metadata=(("tenant-id", tenant.id), ("shared", "x")),
            formats=tuple(make_format(name, record_id) for name in FORMATS),
        )
        await add(world.store, recording, protected=kind == "protected")
        root = "RECORDING_UNPUBLISH_DIR" if kind == "hidden" else "RECORDING_PUBLISH_DIR"
        for name in FORMATS:
            directory = world.directory / root / name / record_id
            directory.mkdir(parents=True)
            (directory / "index.html").write_text(record_id)
