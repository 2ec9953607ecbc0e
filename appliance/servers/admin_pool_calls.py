"""The admin calls about the pool: its status, and polls."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from appliance.admin_calls.call import LONG_S, AdminCall, Call
from appliance.admin_calls.fields import Fields, NoFields, Texts, one_of
from appliance.model import Server
from appliance.servers import administration as servers
from appliance.servers import polling
from appliance.servers.admin_calls import NO_SERVER
from appliance.servers.admin_json import (
    POLL_EXAMPLE,
    STATUS_EXAMPLE,
    PollJson,
    PoolStatusJson,
    polls_json,
    status_json,
)
from appliance.servers.deps import ServerDeps


class PollRequest(Fields, frozen=True):
    """poll."""

    what: Annotated[
        str | None,
        Meta(description="`versions` asks for nothing else."),
        one_of(
            *("all", "servers", "meetings", "versions"),
            refusal="what must be all, servers, meetings or versions",
        ),
    ] = None
    ids: Texts = ()


async def _get_status(deps: ServerDeps, call: Call[NoFields]) -> PoolStatusJson:
    return status_json(await servers.read_status(deps))


async def _poll(deps: ServerDeps, call: Call[PollRequest]) -> list[PollJson]:
    request = call.read()
    if request.ids:
        chosen = [await servers.find_server(deps, one) for one in request.ids]
        results = [await _poll_one(deps, one, request.what) for one in chosen]
    else:
        results = await polling.poll_pool(deps, versions_only=request.what == "versions")
    return polls_json(results)


async def _poll_one(deps: ServerDeps, server: Server, what: str | None) -> polling.PollResult:
    if what == "versions":
        return await polling.check_version(deps, server)
    return await polling.poll_server(deps, server, read_version=what is not None)


POOL_CALLS: tuple[AdminCall[ServerDeps], ...] = (
    AdminCall(
        "getStatus",
        "GET",
        _get_status,
        "pool",
        "The state of the pool, without secrets.",
        PoolStatusJson(servers=[STATUS_EXAMPLE], meetings=3, users=41, available=1),
    ),
    AdminCall(
        "poll",
        "POST",
        _poll,
        "pool",
        "Polls all or these servers at once, and reports each result.",
        [POLL_EXAMPLE],
        request={"what": "all"},
        refusals=NO_SERVER,
        deadline_s=LONG_S,
    ),
)
