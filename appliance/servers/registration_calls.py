"""The admin calls about servers that come and go: self-registration and retired servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import asdict

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Audited, Call, Snapshot, Time, time_json
from appliance.admin_calls.fields import Fields, NoFields, Text, nested, text
from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.bbb.endpoint import host_of
from appliance.model import Server, ServerId
from appliance.servers import registration
from appliance.servers.admin_requests import IdField, NewServerFields
from appliance.servers.admin_types import (
    NEW_SERVER_EXAMPLE,
    SERVER_ID,
    URL_EXAMPLE,
    Awaited,
    DeletedServerJson,
    Owed,
    ServerJson,
    server_json,
)
from appliance.servers.administration import remove_server
from appliance.servers.audited import server_snapshot
from appliance.servers.deps import ServerDeps
from appliance.servers.registration import Retirement
from appliance.servers.values import ServerChange


class RegisterServerRequest(Fields, frozen=True):
    """servers/self."""

    server: NewServerFields


class RetiredServerRequest(Fields, frozen=True):
    """A call about one retired server."""

    id: IdField


class RegisteredServerJson(ServerJson, frozen=True):
    """servers/self."""

    new: Annotated[bool, Meta(description="It was not in the pool; then the status is 201.")] = True


class RetiredServerJson(Answer, frozen=True):
    """A retired server, without its secret."""

    id: str
    url: str
    hostname: str
    retired: Time
    until: Annotated[Time, Meta(description="When it is forgotten.")]
    recordings_owed: Owed
    recordings_awaited: Awaited


def _retired_json(one: Retirement) -> RetiredServerJson:
    server = one.retired.server
    return RetiredServerJson(
        id=server.id,
        url=server.url,
        hostname=host_of(server.url),
        retired=time_json(one.retired.retired_ms),
        until=time_json(one.retired.until_ms),
        recordings_owed=one.recordings_owed,
        recordings_awaited=one.recordings_awaited,
    )


class RetiringServerRequest(Fields, frozen=True):
    """retireServer."""

    id: Text = ""
    url: Annotated[Text, Meta(description="Its API endpoint, in place of the id.")] = ""


# --- handlers ------------------------------------------------------------------------------------


async def _register(deps: ServerDeps, call: Call[RegisterServerRequest]) -> RegisteredServerJson:
    given = call.read().server
    values = {name: value for name, value in asdict(given).items() if name not in ("id", "url")}
    done = await registration.register_server(deps, call.who, given.parse(), ServerChange(**values))
    return RegisteredServerJson(**asdict(server_json(done.server)), new=done.new)


async def _list_retired(deps: ServerDeps, call: Call[NoFields]) -> list[RetiredServerJson]:
    return [_retired_json(one) for one in await registration.list_retired(deps)]


async def _retire(deps: ServerDeps, call: Call[RetiringServerRequest]) -> DeletedServerJson:
    request = call.read()
    found = await _find_retiring(deps, request.id, request.url)
    if found is None and not request.id:
        raise Refused(RefusalKind.NOT_FOUND, f"Couldn't find server with url={request.url}")
    server_id = request.id if found is None else found.id
    await remove_server(deps, call.who, server_id, force=False, only_disabled=True)
    return DeletedServerJson(f"Server id={server_id} was removed")


async def _find_retiring(deps: ServerDeps, server_id: str, url: str) -> Server | None:
    """Return the server with an id or, without one, with an API endpoint."""
    if server_id:
        return await deps.pool.records.find_server(ServerId(server_id))
    return await registration.find_by_url(deps, url)


async def _forget(deps: ServerDeps, call: Call[RetiredServerRequest]) -> DeletedServerJson:
    server_id = call.read().id
    await registration.forget_retired(deps, call.who, server_id)
    return DeletedServerJson(f"Server id={server_id} was forgotten")


# --- the audit trail -----------------------------------------------------------------------------


async def _read_registered(
    deps: ServerDeps, call: Call[Any], answer: Any
) -> Mapping[str, Snapshot]:
    """Read the server of the URL that a call names."""
    url = text(nested(call.fields, "server"), "url") or ""
    return _snapshot(await registration.find_by_url(deps, url))


async def _read_retiring(deps: ServerDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    server_id, url = (text(call.fields, name) or "" for name in ("id", "url"))
    return _snapshot(await _find_retiring(deps, server_id, url))


def _snapshot(found: Server | None) -> dict[str, Snapshot]:
    return {} if found is None else {found.id: server_snapshot(found)}


async def _read_retired(deps: ServerDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    found = await deps.pool.retired.read_all(now_ms=deps.now_ms())
    return {
        one.server.id: Snapshot(
            f"retired server {one.server.id} ({host_of(one.server.url)})", {"url": one.server.url}
        )
        for one in found
        if one.server.id == call.fields.get("id")
    }


# --- the table -----------------------------------------------------------------------------------

REGISTRATION_CALLS: tuple[AdminCall[ServerDeps], ...] = (
    AdminCall(
        name="servers/self",
        method="PUT",
        handler=_register,
        group="servers",
        summary=(
            "Registers a server, for programs that start servers. One whose url is known "
            "is brought to the values that are given, and keeps its state; a new one is "
            "enabled after SELF_REGISTER_POLLS good polls."
        ),
        example=RegisteredServerJson(**asdict(NEW_SERVER_EXAMPLE), new=True),
        status=201,
        known_status=200,
        request={"server": {"url": URL_EXAMPLE, "secret": "SERVER-SECRET", "tag": ""}},
        logs="server_added",
        audited=Audited(_read_registered, unchanged=False),
        role=Role.OPERATOR,
    ),
    AdminCall(
        name="getRetiredServers",
        method="GET",
        handler=_list_retired,
        group="servers",
        summary=(
            "Servers that were removed, and from which recordings, analytics and ends of "
            "meetings are still accepted."
        ),
        example=[
            RetiredServerJson(
                id=SERVER_ID,
                url=URL_EXAMPLE,
                hostname="bbb1.example.com",
                retired="2026-11-25T10:40:07Z",
                until="2026-12-09T10:40:07Z",
                recordings_owed=1,
                recordings_awaited=1,
            )
        ],
        role=Role.VIEWER,
    ),
    AdminCall(
        name="retireServer",
        method="POST",
        handler=_retire,
        group="servers",
        summary=(
            "Removes a server that is disabled and empty and awaits no recordings, for "
            "programs that stop servers."
        ),
        example=DeletedServerJson(f"Server id={SERVER_ID} was removed"),
        request={"id": SERVER_ID},
        refusals={
            400: "It is not disabled, has meetings, or owes recordings.",
            404: "There is no server with this id or url.",
        },
        logs="server_removed",
        audited=Audited(_read_retiring),
        role=Role.OPERATOR,
    ),
    AdminCall(
        name="forgetServer",
        method="POST",
        handler=_forget,
        group="servers",
        summary="Forgets a retired server: nothing is accepted from it any more.",
        example=DeletedServerJson(f"Server id={SERVER_ID} was forgotten"),
        request={"id": SERVER_ID},
        refusals={404: "There is no retired server with this id."},
        logs="server_forgotten",
        audited=Audited(_read_retired),
        role=Role.ADMIN,
    ),
)
