"""A pool for tests: real Redis, simulated BBB servers, the control socket, and meetings in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from appliance.features import Features
from appliance.meetings.placement import PlacementRequest
from appliance.model import MeetingId
from tests.doubles.bbb_process import BbbProcess, open_bbb_servers
from tests.doubles.control import ControlDouble, open_control
from tests.doubles.features import EventBook, open_features


@dataclass(frozen=True, slots=True)
class Pool:
    """What a test of ctl has at hand."""

    res: Features
    servers: list[BbbProcess]
    control: ControlDouble

    @property
    def log(self) -> EventBook:
        """What was logged."""
        assert isinstance(self.res.log, EventBook)
        return self.res.log

    async def enable_all(self) -> None:
        """Add every simulated server under its own id, and enable it."""
        for bbb in self.servers:
            fields = {"url": bbb.url, "secret": bbb.secret, "id": bbb.server_id}
            await self.control.post("addServer", fields)
            await self.control.post("enableServer", {"id": bbb.server_id})

    async def create(self, *names: str, number: int = 70_000) -> None:
        """Place meetings in the pool, and create them on their servers."""
        by_id = {bbb.server_id: bbb for bbb in self.servers}
        for offset, name in enumerate(names):
            bridges = (str(number + offset),)
            request = PlacementRequest(
                MeetingId(name), None, "mp", "mp", bridges, self.res.now_ms(), 0.0
            )
            meeting = (await self.res.meetings.store.place_meeting(request)).meeting
            assert meeting is not None
            await self.res.meetings.store.confirm_meeting(meeting, now_ms=self.res.now_ms())
            by_id[meeting.server_id].create_meeting(
                name, moderatorPW="mp", name=f"Room {name}", meta_course="Physics"
            )


@asynccontextmanager
async def open_pool(
    redis_url: str, namespace: str, servers: int = 1, **variables: str
) -> AsyncIterator[Pool]:
    """Give a pool whose simulated servers run, but are not added yet."""
    async with (
        open_bbb_servers(servers) as simulated,
        open_features(redis_url, namespace, log=None, **variables) as res,
        open_control(res) as control,
    ):
        yield Pool(res, simulated, control)
