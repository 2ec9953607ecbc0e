"""The admin calls about the versions of BBB in the pool."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Audited, Call, Snapshot, Time, time_json
from appliance.admin_calls.fields import BadRequest, Fields, NoFields, RequiredText, reads
from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.bbb.endpoint import UnacceptableValue
from appliance.servers.deps import ServerDeps
from appliance.servers.versions import watch
from appliance.servers.versions.shares import parse_percent


def _read_percent(fields: Mapping[str, Any], name: str) -> int:
    given = fields.get(name)
    if given is None or given == "" or isinstance(given, bool):
        raise BadRequest(f"{name} is missing: from 0 to 100")
    try:
        return parse_percent(f"{given:g}" if isinstance(given, float) else str(given))
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error


class ShareVersionRequest(Fields, frozen=True):
    """shareVersion."""

    version: Annotated[RequiredText, Meta(description="As getVersions shows it.")]
    percent: Annotated[
        int,
        reads(_read_percent, {"type": ["number", "string"]}),
        Meta(description="Of the new meetings, from 0 (none) to 100 (no limit)."),
    ]


class VersionJson(Answer, frozen=True):
    """A version of BBB in the pool."""

    version: Annotated[str, Meta(description="Empty: not known.")]
    servers: Annotated[int, Meta(ge=0)]
    server_ids: list[str]
    meetings: Annotated[int, Meta(ge=0)]
    users: Annotated[int, Meta(ge=0)]
    creates: Annotated[int, Meta(ge=0, description="Of new meetings, in the last 24 hours.")]
    failures: Annotated[int, Meta(ge=0, description="Creates of these that failed.")]
    failures_per_create: Annotated[float | None, Meta(description="null: there were none.")]
    share: Annotated[
        float | None,
        Meta(description="Percent of the new meetings that it gets at most; null: no limit."),
    ]
    stopped: Annotated[Time, Meta(description="When its share was stopped because of failures.")]
    reason: Annotated[str, Meta(description="Why it was stopped.")]


class VersionShareJson(Answer, frozen=True):
    """shareVersion."""

    version: str
    share: Annotated[float | None, Meta(description="Percent; null: no limit.")]
    servers: Annotated[int, Meta(ge=0, description="That have this version now.")]


def version_json(row: watch.VersionRow) -> VersionJson:
    """Render a version."""
    share = row.share
    return VersionJson(
        version=row.version,
        servers=len(row.servers),
        server_ids=[server.id for server in row.servers],
        meetings=sum(server.meetings for server in row.servers),
        users=sum(server.users for server in row.servers),
        creates=row.creates,
        failures=row.failures,
        failures_per_create=round(row.failures / row.creates, 4) if row.creates else None,
        share=share.percent if share else None,
        stopped=time_json(share.stopped_ms) if share else None,
        reason=share.reason if share else "",
    )


async def _get_versions(deps: ServerDeps, call: Call[NoFields]) -> list[VersionJson]:
    return list(map(version_json, await watch.list_versions(deps)))


async def _share_version(deps: ServerDeps, call: Call[ShareVersionRequest]) -> VersionShareJson:
    request = call.read()
    share = await watch.share_version(deps, call.who, request.version, request.percent)
    servers = await deps.pool.records.list_servers()
    have = sum(server.bbb_version == request.version for server in servers)
    return VersionShareJson(request.version, share.percent if share else None, have)


async def _read_share(deps: ServerDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    version = call.fields.get("version")
    if not isinstance(version, str) or not version:
        return {}
    share = (await deps.shares.read()).get(version)
    percent = share.percent if share else "no limit"
    return {version: Snapshot(f"share of version {version}", {"percent": percent})}


_EXAMPLE = VersionJson(
    version="3.0.12",
    servers=1,
    server_ids=["3b6c1f5e-54c9-4a44-9d0c-6a4f7c3d2a10"],
    meetings=3,
    users=41,
    creates=118,
    failures=1,
    failures_per_create=0.0085,
    share=10.0,
    stopped=None,
    reason="",
)

VERSION_CALLS: tuple[AdminCall[ServerDeps], ...] = (
    AdminCall(
        name="getVersions",
        method="GET",
        handler=_get_versions,
        group="servers",
        summary="The versions of BigBlueButton in the pool, and how often creates fail on them.",
        example=[_EXAMPLE],
        role=Role.VIEWER,
    ),
    AdminCall(
        name="shareVersion",
        method="POST",
        handler=_share_version,
        group="servers",
        summary=(
            "Gives at most this part of the new meetings to servers of a version. It is "
            "stopped, with the event version_share_stopped, when the version fails more "
            "often than the others."
        ),
        example=VersionShareJson("3.0.12", 10.0, 1),
        request={"version": "3.0.12", "percent": 10},
        logs="version_share_set",
        audited=Audited(_read_share),
        role=Role.OPERATOR,
    ),
)
