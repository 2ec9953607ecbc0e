"""An appliance in which the examples of the admin calls can be done, served over both doors.

It has the server, the tenant and the setting that the examples name; what one call needs besides
is in PREPARED.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall
from appliance.callbacks.analytics_files import AnalyticsFiles
from appliance.callbacks.rules import recording_ready
from appliance.features import Features
from appliance.model import ServerId, ServerState, TenantId
from appliance.recordings.admin_calls import RECORDING_CALLS
from appliance.recordings.files import RecordingFiles
from appliance.recordings.imports.admin_calls import IMPORT_CALLS
from appliance.recordings.objects.admin_calls import MOVE_CALLS
from appliance.recordings.objects.mixed_storage import MixedStorage
from appliance.recordings.retention_calls import RETENTION_CALLS
from appliance.recordings.uploads.refused import RefusedUpload
from appliance.servers.maintenance.calls import EXAMPLE_FROM, EXAMPLE_UNTIL
from appliance.servers.maintenance.rules import Window
from appliance.servers.maintenance.windows import windows_of
from appliance.servers.values import ServerChange
from appliance.tenants import administration as tenant_admin
from appliance.tenants.values import TenantChange, TenantSetting
from appliance.tokens.rules import Token, digest_of
from appliance.usage.admin_calls import USAGE_CALLS
from appliance.usage.debt_calls import DEBT_CALLS
from appliance.usage.model import EndedRun, UsageRun
from appliance.usage.table import UsageTable
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.control import ControlDouble, open_control
from tests.doubles.features import rewire
from tests.doubles.import_tools import ImportBench
from tests.doubles.live_pool import LivePool, open_live
from tests.doubles.player_build import serve_player
from tests.doubles.pool_store import pool_store
from tests.doubles.public import LINGER, Public, serve_public
from tests.doubles.recording_admin_bench import add_with_files, open_admin_bench_of
from tests.doubles.recording_tars import recording_tar
from tests.doubles.recordings import make_recording
from tests.doubles.settings import SECRET
from tests.doubles.signing import sign_url

BASE = "/scalelite/api"
SERVER_ID = ServerId("3b6c1f5e-54c9-4a44-9d0c-6a4f7c3d2a10")
TENANT_ID = TenantId("6d1f7c0e-8f43-4d6b-9a55-0c2f5a1b7e21")
SETTING_ID = "c1b0f4de-2a9e-4f0a-8a34-b9b4f9e0d312"
MEETING_ID = "room-7"
RECORD_ID = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189"
_OF_DATABASE: tuple[AdminCall[Any], ...] = (
    *RECORDING_CALLS,
    *RETENTION_CALLS,
    *IMPORT_CALLS,
    *MOVE_CALLS,
    *USAGE_CALLS,
    *DEBT_CALLS,
)
OF_RECORDINGS = frozenset(call.name for call in _OF_DATABASE)
"""Calls that need the database."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where examples are tried."""

    public: Public
    pool: LivePool
    control: ControlDouble
    recordings: ImportBench | None
    """None: it has no recordings."""
    analytics: AnalyticsFiles
    server: BbbProcess
    """The server of the examples."""

    def body_of(self, call: AdminCall[Any]) -> Any:
        """Return the body of a call's example, with a path of this machine and times to come."""
        text = json.dumps(call.request)
        root = "/" if self.recordings is None else str(self.recordings.root)
        for number, time in enumerate((EXAMPLE_FROM, EXAMPLE_UNTIL), start=1):
            later = datetime.now(UTC) + timedelta(days=number)
            text = text.replace(time, f"{later:%Y-%m-%dT%H:%M:%SZ}")
        return json.loads(text.replace("/srv/recordings", root))

    async def ask(self, call: AdminCall[Any]) -> tuple[int, Any]:
        """Make the signed request of a call's example; return status and JSON."""
        if call.method == "GET":
            target = sign_url(BASE, call.name, call.request, SECRET)
            answer = await self.public.ask("GET", target)
        else:
            target = sign_url(BASE, call.name, "", SECRET)
            body = json.dumps(self.body_of(call)).encode()
            headers = ["Content-Type: application/json"]
            answer = await self.public.ask(call.method, target, headers=headers, body=body)
        return answer.status, json.loads(answer.body)


@dataclass(frozen=True, slots=True)
class RecordingRoom:
    """Where a place keeps its recordings."""

    database_url: str
    root: Path
    has_bucket: bool = False
    """There is one by the settings, which nothing is read from."""


@asynccontextmanager
async def open_place(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    room: RecordingRoom | None = None,
) -> AsyncIterator[Place]:
    """Serve the appliance; the first of the servers is the one of the examples.

    It has recordings if there is room for them.
    """
    with TemporaryDirectory() as kept:
        files = AnalyticsFiles(Path(kept) / "analytics")
        variables: Any = {
            "CONNECT_TIMEOUT": "0.3",
            "MULTITENANCY_ENABLED": "true",
            "PLAYBACK_DIR": f"{kept}/playback",
        }
        async with (
            open_live(redis_url, redis_namespace, bbbs[1:], spread=True, **variables) as pool,
            _with_recordings(rewire(pool.res, analytics_files=files), room) as (
                res,
                recordings,
            ),
            serve_public(res, LINGER) as public,
            open_control(res) as control,
        ):
            bbbs[0].forget_meetings()
            values = ServerChange(url=bbbs[0].url, secret=bbbs[0].secret)
            assert await pool.res.servers.store.add_server(SERVER_ID, values)
            await pool.res.servers.store.set_server_state(SERVER_ID, ServerState.ENABLED)
            await pool.poll(SERVER_ID)
            new = TenantChange(name="school", secrets="s1:s2")
            await tenant_admin.add_tenant(pool.res.tenants, "test", new, new_id=lambda: TENANT_ID)
            yield Place(public, pool, control, recordings, files, bbbs[0])


@asynccontextmanager
async def _with_recordings(
    res: Features, room: RecordingRoom | None
) -> AsyncIterator[tuple[Features, ImportBench | None]]:
    if room is None:
        yield res, None
        return
    async with open_admin_bench_of(res, room.database_url, room.root) as (full, bench):
        if room.has_bucket:
            mixed = MixedStorage(cast(Any, None), cast(RecordingFiles, bench.files))
            full = rewire(full, recordings__files=mixed)
        yield full, bench


async def have_a_meeting(place: Place) -> None:
    """Have the meeting of the examples."""
    await place.pool.create(MEETING_ID)


async def have_a_window(place: Place) -> None:
    """Have a maintenance window of the server of the examples."""
    from_ms = place.pool.res.now_ms() + 86_400_000
    window = Window("8f3a1c07", SERVER_ID, from_ms, from_ms + 3_600_000, 0)
    assert await windows_of(place.pool.res.servers).add(window, [])


async def have_a_setting(place: Place) -> None:
    """Have the setting of the examples."""
    setting = TenantSetting("", TENANT_ID, "welcome", "Hello", True, "create")
    await tenant_admin.add_setting(
        place.pool.res.tenants, "test", setting, new_id=lambda: SETTING_ID
    )


async def have_an_access_token(place: Place) -> None:
    """Have the access token of the examples."""
    token = Token("monitoring", Role.VIEWER, None, 0, None)
    assert await place.pool.res.tokens.store.add(token, digest_of("sla_x"))


async def have_analytics(place: Place) -> None:
    """Keep the report of the examples."""
    place.analytics.save(RECORD_ID, b'{"meeting_id":"room-7","customer":"school"}')


async def have_a_callback(place: Place) -> None:
    """Put a callback into the queue; its id in Redis is made of its key."""
    callback = recording_ready("https://lms.example.org/ready", meeting_id="m", record_id="r")
    assert await place.pool.res.callbacks.queue.enqueue(callback, dedup_key="example")


async def have_a_recording(place: Place, *, wrong: bool = False) -> None:
    """Have the recording of the examples; `wrong`: its files are in the wrong directory."""
    assert place.recordings is not None
    made = make_recording(RECORD_ID, metadata=(("draft", "yes"),), meeting_id="math-101")
    await add_with_files(place.recordings, made, wrong=wrong)


async def have_a_past_meeting(place: Place) -> None:
    """Have a meeting on the day of the examples."""
    assert place.recordings is not None
    began_ms = 1_764_057_600_000  # 2025-11-25 08:00
    run = UsageRun("room", began_ms, began_ms, "room", peak_users=24)
    ended = EndedRun(str(SERVER_ID), run, began_ms + 3_000_000, "reported")
    await UsageTable(place.recordings.database).add_runs([ended])


async def have_files(place: Place) -> None:
    """Have the tar of the examples, in `failed/` and elsewhere, and a line in the journal."""
    assert place.recordings is not None
    root = place.recordings.root
    made = recording_tar(root, RECORD_ID)
    failed = root / "spool/failed" / made.name
    failed.parent.mkdir()
    failed.write_bytes(b"no tar")
    tar = place.recordings.spool.look_failed(made.name)
    assert tar is not None
    async with place.recordings.journal.claim(tar) as entry:
        assert entry is not None
        await place.recordings.journal.give_up(entry.id, "the archive is truncated")


async def have_a_stale_meeting(place: Place) -> None:
    """Have a meeting whose server a Scalelite has removed."""
    store = pool_store(place.pool.res)
    fields = ("server_id", "gone", "moderator_pw", "mp", "voice_bridge", "700000009")
    await store.bulk.pipeline(
        [
            ["HSET", f"{store.namespace}:meeting:room-9", *fields],
            ["SADD", f"{store.namespace}:meetings", "room-9"],
            ["HSET", f"{store.namespace}:voice_bridges", "700000009", "room-9"],
        ]
    )


async def have_a_player(place: Place) -> None:
    """Have the player of the examples on the server of the examples."""
    serve_player(place.server)


async def have_no_servers(place: Place) -> None:
    """Empty the pool."""
    servers = place.pool.res.servers
    for server in await servers.pool.records.list_servers():
        await servers.store.remove_server(server.id, force=True, now_ms=0)


async def have_a_retired_server(place: Place) -> None:
    """Remove the server of the examples."""
    deps = place.pool.res.servers
    await deps.store.remove_server(SERVER_ID, force=True, now_ms=deps.now_ms())


async def have_a_disabled_server(place: Place) -> None:
    """Disable the server of the examples."""
    await place.pool.res.servers.store.set_server_state(SERVER_ID, ServerState.DISABLED)


async def have_a_debt(place: Place) -> None:
    """Have the server of the examples owe the recording of the examples."""
    usage = place.public.res.usage
    assert usage is not None
    await usage.store.change_debts({SERVER_ID: {RECORD_ID: usage.now_ms()}})


async def have_a_refused_upload(place: Place) -> None:
    """Refuse the recording of the examples."""
    now_ms = place.pool.res.now_ms()
    refused = RefusedUpload(RECORD_ID, "bbb1", "192.0.2.7", "unknown server", 401, now_ms)
    await place.pool.res.recordings.refused.note(refused)


PREPARED: dict[str, Callable[[Place], Awaitable[None]]] = {
    "acceptEmpty": have_no_servers,
    "getRetiredServers": have_a_retired_server,
    "forgetServer": have_a_retired_server,
    "retireServer": have_a_disabled_server,
    "getOwedRecordings": have_a_debt,
    "dismissRecordings": have_a_debt,
    "getRefusedUploads": have_a_refused_upload,
    "revokeToken": have_an_access_token,
    "listTokens": have_an_access_token,
    "listMaintenance": have_a_window,
    "cancelMaintenance": have_a_window,
    "listCallbacks": have_a_callback,
    "retryCallbacks": have_a_callback,
    "dropCallbacks": have_a_callback,
    "listAnalytics": have_analytics,
    "getAnalytics": have_analytics,
    "getMeetingInfo": have_a_meeting,
    "endMeetings": have_a_meeting,
    "listMeetings": have_a_meeting,
    "getServerMeetings": have_a_meeting,
    "healTakeover": have_a_stale_meeting,
    "getTenantSettings": have_a_setting,
    "deleteTenantSetting": have_a_setting,
    "usageTimetable": have_a_past_meeting,
    "getImports": have_files,
    "getImport": have_files,
    "importRecording": have_files,
    "retryImports": have_files,
    "installPlayer": have_a_player,
    "repairRecordings": partial(have_a_recording, wrong=True),
    **dict.fromkeys(
        (
            *("listRecordings", "getRecordingInfo", "updateRecordings", "addRecordingsToTenant"),
            *("deleteRecordings", "getExpiredRecordings", "pruneRecordings"),
        ),
        have_a_recording,
    ),
}
