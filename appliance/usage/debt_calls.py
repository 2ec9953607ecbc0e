"""The admin calls about recordings owed: which they are, and to wait for one no longer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Audited, Call, Snapshot, Time, time_json
from appliance.admin_calls.fields import BadRequest, Fields, Flag, OptionalText, Text, Texts
from appliance.admin_calls.refusal import RefusalKind, Refused, no_server
from appliance.bbb.endpoint import host_labels
from appliance.faults import DatabaseDown
from appliance.model import Server, ServerId
from appliance.usage.debts import awaited_since_ms
from appliance.usage.deps import UsageDeps

_NO_DATABASE = "without a database (DB_DISABLED, RECORDING_DISABLED) no recordings are owed"
_SERVER_ID = "3b6c1f5e-54c9-4a44-9d0c-6a4f7c3d2a10"
_RECORD_ID = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189"


class OwedRecordingsRequest(Fields, frozen=True):
    """getOwedRecordings."""

    server: Annotated[OptionalText, Meta(description="Id; default: all servers.")] = None


class OwedRecordingJson(Answer, frozen=True):
    """A recording that a server owes."""

    server: Annotated[str, Meta(description="Its id; it may be a retired one.")]
    hostname: str
    record_id: str
    meeting: Annotated[str, Meta(description="The meetingID; empty: not known yet.")]
    ended: Annotated[Time, Meta(description="When the meeting ended.")]
    awaited: Annotated[bool, Meta(description="It is younger than RECORDING_OWED_HOURS.")]


class DismissRecordingsRequest(Fields, frozen=True):
    """dismissRecordings."""

    server: Annotated[Text, Meta(min_length=1, description="Id of the server that owes them.")]
    recordings: Annotated[
        Texts, Meta(description="Their recordIDs, or meetingIDs: then all runs of the meeting.")
    ] = ()
    all: Annotated[Flag, Meta(description="All that the server owes.")] = False


class DismissedRecordingsJson(Answer, frozen=True):
    """dismissRecordings."""

    dismissed: list[OwedRecordingJson]


@dataclass(frozen=True, slots=True)
class _Owed:
    server: ServerId
    record_id: str
    meeting: str
    ended_ms: int

    def is_meant(self, word: str) -> bool:
        """Whether a word is its recordID, or its meetingID, which the database may not know yet."""
        beginning = hashlib.sha1(word.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()
        return word in (self.record_id, self.meeting) or self.record_id.startswith(f"{beginning}-")


async def _read(deps: UsageDeps, server: str | None) -> list[_Owed]:
    """Return what a server owes; None: all servers. Raises Refused: there is no such server."""
    debts = await deps.store.read_debts()
    if server and server not in debts and server not in {one.id for one in await _known(deps)}:
        raise no_server(server)
    try:
        meetings = await deps.table.read_debt_meetings() if debts else {}
    except DatabaseDown:  # the debts themselves are in Redis
        meetings = {}
    return [
        _Owed(server_id, record_id, meetings.get(record_id, ""), ended_ms)
        for server_id, owed in sorted(debts.items())
        if server in (None, server_id)
        for record_id, ended_ms in sorted(owed.items(), key=lambda one: (one[1], one[0]))
    ]


async def _known(deps: UsageDeps) -> list[Server]:
    """Return the servers, those that were removed first."""
    retired = await deps.pool.retired.read_all(now_ms=deps.now_ms())
    return [*(one.server for one in retired), *await deps.pool.records.list_servers()]


async def _json(deps: UsageDeps, owed: list[_Owed]) -> list[OwedRecordingJson]:
    servers = await _known(deps)
    labels = host_labels([one.url for one in servers])
    hosts = {one.id: label for one, label in zip(servers, labels, strict=True)}
    since_ms = awaited_since_ms(deps)
    return [
        OwedRecordingJson(
            one.server,
            hosts.get(one.server, one.server),
            one.record_id,
            one.meeting,
            time_json(one.ended_ms),
            one.ended_ms >= since_ms,
        )
        for one in owed
    ]


async def _get(
    deps: UsageDeps | None, call: Call[OwedRecordingsRequest]
) -> list[OwedRecordingJson]:
    if deps is None:
        return []
    return await _json(deps, await _read(deps, call.read().server or None))


async def _dismiss(
    deps: UsageDeps | None, call: Call[DismissRecordingsRequest]
) -> DismissedRecordingsJson:
    request = call.read()
    if bool(request.recordings) == request.all:
        raise BadRequest("name recordings or meetings, or all")
    if deps is None:
        raise Refused(RefusalKind.INVALID, _NO_DATABASE)
    owed = await _read(deps, request.server)
    for word in request.recordings:
        if not any(one.is_meant(word) for one in owed):
            reason = f"server {request.server} owes no recording of {word}"
            raise Refused(RefusalKind.NOT_FOUND, reason)
    chosen = [one for one in owed if request.all or any(map(one.is_meant, request.recordings))]
    if chosen:
        ids = [one.record_id for one in chosen]
        await deps.store.dismiss_debts(ServerId(request.server), ids, now_ms=deps.now_ms())
        deps.log.info("recordings_dismissed", server=request.server, recordings=ids, by=call.who)
    return DismissedRecordingsJson(await _json(deps, chosen))


async def _snapshot(deps: UsageDeps | None, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    server = call.fields.get("server")
    if deps is None or not isinstance(server, str):
        return {}
    owed = (await deps.store.read_debts()).get(ServerId(server), {})
    return {server: Snapshot(f"recordings owed by server {server}", {"owed": sorted(owed)})}


_EXAMPLE = OwedRecordingJson(
    _SERVER_ID, "bbb1.example.com", _RECORD_ID, "math-101", "2026-11-25T10:40:07Z", True
)

DEBT_CALLS: tuple[AdminCall[UsageDeps | None], ...] = (
    AdminCall(
        name="getOwedRecordings",
        method="GET",
        handler=_get,
        group="recordings",
        summary="Recordings that servers owe: meetings were recorded, and nothing has arrived.",
        example=[_EXAMPLE],
        role=Role.VIEWER,
        request={"server": _SERVER_ID},
        refusals={404: "The server does not exist."},
    ),
    AdminCall(
        name="dismissRecordings",
        method="POST",
        handler=_dismiss,
        group="recordings",
        summary=(
            "Waits no longer for recordings that a server owes. One that arrives later is imported."
        ),
        example=DismissedRecordingsJson([_EXAMPLE]),
        role=Role.ADMIN,
        request={"server": _SERVER_ID, "recordings": [_RECORD_ID]},
        refusals={404: "The server does not exist, or owes no such recording."},
        logs="recordings_dismissed",
        audited=Audited(_snapshot),
    ),
)
