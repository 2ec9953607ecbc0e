"""An appliance in which the examples of the admin calls can be done, served over both doors.

It has the server, the tenant and the setting that the examples name; what one call needs besides
is in PREPARED.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from appliance.core.callbacks import recording_ready
from appliance.core.model import ServerChange, ServerId, ServerState, TenantId
from appliance.core.tenant_values import TenantChange, TenantSetting
from appliance.operations import tenant_admin
from appliance.web.admin_call import AdminCall
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.control import ControlDouble, open_control
from tests.doubles.live_pool import LivePool
from tests.doubles.public import Public
from tests.doubles.public_pool import open_both
from tests.doubles.settings import SECRET
from tests.doubles.signing import sign_url

BASE = "/scalelite/api"
SERVER_ID = ServerId("3b6c1f5e-54c9-4a44-9d0c-6a4f7c3d2a10")
TENANT_ID = TenantId("6d1f7c0e-8f43-4d6b-9a55-0c2f5a1b7e21")
SETTING_ID = "c1b0f4de-2a9e-4f0a-8a34-b9b4f9e0d312"
MEETING_ID = "room-7"


@dataclass(frozen=True, slots=True)
class Place:
    """Where examples are tried."""

    public: Public
    pool: LivePool
    control: ControlDouble

    async def ask(self, call: AdminCall) -> tuple[int, Any]:
        """Make the signed request of a call's example; return status and JSON."""
        about = call.about
        assert about is not None
        if call.method == "GET":
            target = sign_url(BASE, call.name, about.query_example, SECRET)
            answer = await self.public.ask("GET", target)
        else:
            target = sign_url(BASE, call.name, "", SECRET)
            body = json.dumps(about.body_example or {}).encode()
            headers = ["Content-Type: application/json"]
            answer = await self.public.ask("POST", target, headers=headers, body=body)
        return answer.status, json.loads(answer.body)


@asynccontextmanager
async def open_place(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[Place]:
    """Serve the appliance; the first of the servers is the one of the examples."""
    async with (
        open_both(
            redis_url,
            redis_namespace,
            bbbs[1:],
            CONNECT_TIMEOUT="0.3",
            MULTITENANCY_ENABLED="true",
        ) as (public, pool),
        open_control(pool.res) as control,
    ):
        bbbs[0].forget_meetings()
        values = ServerChange(url=bbbs[0].url, secret=bbbs[0].secret)
        assert await pool.res.store.add_server(SERVER_ID, values)
        await pool.res.store.set_server_state(SERVER_ID, ServerState.ENABLED)
        await pool.poll(SERVER_ID)
        new = TenantChange(name="school", secrets="s1:s2")
        await tenant_admin.add_tenant(pool.res, "test", new, new_id=lambda: TENANT_ID)
        yield Place(public, pool, control)


async def have_a_meeting(place: Place) -> None:
    """Have the meeting of the examples."""
    await place.pool.create(MEETING_ID)


async def have_a_setting(place: Place) -> None:
    """Have the setting of the examples."""
    setting = TenantSetting("", TENANT_ID, "welcome", "Hello", True, "create")
    await tenant_admin.add_setting(place.pool.res, "test", setting, new_id=lambda: SETTING_ID)


async def have_a_callback(place: Place) -> None:
    """Put a callback into the queue; its id in Redis is made of its key."""
    callback = recording_ready("https://lms.example.org/ready", meeting_id="m", record_id="r")
    assert await place.pool.res.callbacks.enqueue(callback, dedup_key="example")


PREPARED: dict[str, Callable[[Place], Awaitable[None]]] = {
    "listCallbacks": have_a_callback,
    "retryCallbacks": have_a_callback,
    "dropCallbacks": have_a_callback,
    "getMeetingInfo": have_a_meeting,
    "endMeetings": have_a_meeting,
    "listMeetings": have_a_meeting,
    "getServerMeetings": have_a_meeting,
    "getTenantSettings": have_a_setting,
    "deleteTenantSetting": have_a_setting,
}
