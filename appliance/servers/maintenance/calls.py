"""The admin calls about maintenance windows."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Audited, Call, Snapshot, Time, time_json
from appliance.admin_calls.fields import (
    Fields,
    NoFields,
    OptionalText,
    RequiredText,
    one_of,
    reads,
    text,
)
from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.bbb.endpoint import UnacceptableValue
from appliance.model import ServerId
from appliance.servers.deps import ServerDeps
from appliance.servers.maintenance.rules import Moment, Phase, Window, parse_lead, parse_time
from appliance.servers.maintenance.windows import (
    cancel_windows,
    list_windows,
    next_windows,
    plan_window,
)

_TIME_FORM = "ISO 8601 with seconds and zone: 2026-12-01T22:00:00+01:00."


def _read_time(fields: Mapping[str, Any], name: str, *, needed: bool = False) -> Moment | None:
    given = text(fields, name)
    if not given and not needed:
        return None
    found: Moment = _parse(partial(parse_time, name), given or "")
    return found


def _read_lead(fields: Mapping[str, Any], name: str) -> int | None:
    given = fields.get(name)
    if given in (None, ""):
        return None
    return int(_parse(parse_lead, "0" if given == 0 and given is not False else str(given)))


def _parse(parse: Any, given: str) -> Any:
    try:
        return parse(given)
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error


class AddMaintenanceRequest(
    Fields, frozen=True, kw_only=True, rename={"begins": "from", "ends": "until"}
):
    """addMaintenance."""

    id: Annotated[RequiredText, Meta(description="The server.")]
    begins: Annotated[
        Moment | None,
        reads(partial(_read_time, needed=True), {"type": "string"}),
        Meta(description=f"{_TIME_FORM} With [Europe/Berlin] behind it, a weekly window keeps the"
             " hour there."),
    ]  # fmt: skip
    ends: Annotated[
        Moment | None,
        reads(_read_time, {"type": ["string", "null"]}),
        Meta(description="Default: until it is cancelled."),
    ] = None
    lead: Annotated[
        int | None,
        reads(_read_lead, {"type": ["string", "integer", "null"]}),
        Meta(description="How long before it the server gets no new meetings: 30m, 2h, 0; default:"
             " as long as the longest usual meeting of the pool."),
    ] = None  # fmt: skip
    every: Annotated[OptionalText, one_of("weekly", refusal="every must be weekly, not {!r}")] = (
        None
    )
    reason: OptionalText = None
    replaces: Annotated[
        OptionalText, Meta(description="A planned window of the server that it takes the place of.")
    ] = None


class CancelMaintenanceRequest(Fields, frozen=True):
    """cancelMaintenance."""

    id: Annotated[RequiredText, Meta(description="A window, or a server: all of its windows.")]


class MaintenanceJson(
    Answer, frozen=True, kw_only=True, rename={"begins": "from", "ends": "until"}
):
    """A maintenance window of a server."""

    id: str
    server_id: str
    phase: Annotated[
        Phase,
        Meta(description="draining: no new meetings; open: disabled; ending: it is over, and the"
             " server is enabled once it answers."),
    ]  # fmt: skip
    cordon: Annotated[Time, Meta(description="When it gets no new meetings any more.")]
    begins: Time
    ends: Annotated[Time, Meta(description="null: until it is cancelled.")]
    lead_s: Annotated[int, Meta(ge=0)]
    every: Annotated[str, Meta(description="Empty: once.")]
    reason: str
    by: str
    postponed: Annotated[
        bool, Meta(description="It waits until the pool can do without the server.")
    ]


class CancelledMaintenanceJson(Answer, frozen=True):
    """cancelMaintenance."""

    success: str
    cancelled: list[MaintenanceJson]


def maintenance_json(window: Window) -> MaintenanceJson:
    """Render a window."""
    return MaintenanceJson(
        id=window.id,
        server_id=window.server_id,
        phase=window.phase,
        cordon=time_json(window.cordon_ms),
        begins=time_json(window.from_ms),
        ends=time_json(window.until_ms),
        lead_s=window.lead_ms // 1000,
        every=window.every,
        reason=window.reason,
        by=window.by,
        postponed=window.postponed_ms is not None,
    )


async def maintenance_of(deps: ServerDeps) -> dict[ServerId, MaintenanceJson]:
    """Return the window of each server that is under way or comes next. Raises StoreDown."""
    windows = await list_windows(deps)
    return {server: maintenance_json(one) for server, one in next_windows(windows).items()}


# --- handlers ------------------------------------------------------------------------------------


async def _add(deps: ServerDeps, call: Call[AddMaintenanceRequest]) -> MaintenanceJson:
    request = call.read()
    assert request.begins is not None
    window = Window(
        id=(request.replaces or "").strip(),
        server_id=ServerId(request.id),
        from_ms=request.begins.ms,
        until_ms=request.ends.ms if request.ends else None,
        lead_ms=0,
        every="weekly" if request.every else "",
        zone=request.begins.zone,
        reason=(request.reason or "").strip(),
    )
    planned = await plan_window(deps, call.who, window, lead_ms=request.lead)
    return maintenance_json(planned)


async def _list(deps: ServerDeps, call: Call[NoFields]) -> list[MaintenanceJson]:
    return list(map(maintenance_json, await list_windows(deps)))


async def _cancel(
    deps: ServerDeps, call: Call[CancelMaintenanceRequest]
) -> CancelledMaintenanceJson:
    found = await cancel_windows(deps, call.who, call.read().id)
    windows = "1 window was" if len(found) == 1 else f"{len(found)} windows were"
    return CancelledMaintenanceJson(
        f"{windows} cancelled", [maintenance_json(window) for window in found]
    )


async def _read_windows(deps: ServerDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    windows = await list_windows(deps)
    return {
        one.id: Snapshot(
            f"maintenance window {one.id} of server {one.server_id}",
            {
                name: value
                for name, value in msgspec.to_builtins(maintenance_json(one)).items()
                if name in ("from", "until", "lead_s", "every", "reason")
            }
            | {"cancelled": one.cancelled},
        )
        for one in windows
    }


# --- the table -----------------------------------------------------------------------------------

_SERVER_ID = "3b6c1f5e-54c9-4a44-9d0c-6a4f7c3d2a10"
EXAMPLE_FROM, EXAMPLE_UNTIL = "2026-12-12T21:00:00Z", "2026-12-12T23:00:00Z"
_EXAMPLE = MaintenanceJson(
    id="8f3a1c07",
    server_id=_SERVER_ID,
    phase=Phase.PLANNED,
    cordon="2026-12-12T19:30:00Z",
    begins=EXAMPLE_FROM,
    ends=EXAMPLE_UNTIL,
    lead_s=5400,
    every="",
    reason="upgrade to 3.0.12",
    by="uid=0 (root)",
    postponed=False,
)
_WINDOWS: Audited[ServerDeps] = Audited(_read_windows, unchanged=False)

MAINTENANCE_CALLS: tuple[AdminCall[ServerDeps], ...] = (
    AdminCall(
        name="listMaintenance",
        method="GET",
        handler=_list,
        group="servers",
        summary="The maintenance windows, the next ones first.",
        example=[_EXAMPLE],
        role=Role.VIEWER,
    ),
    AdminCall(
        name="addMaintenance",
        method="POST",
        handler=_add,
        group="servers",
        summary=(
            "Plans a maintenance window: the server is cordoned ahead, disabled for the "
            "window, and enabled after it once it answers. Refused if too few servers "
            "would be left."
        ),
        example=_EXAMPLE,
        status=201,
        request={
            "id": _SERVER_ID,
            "from": EXAMPLE_FROM,
            "until": EXAMPLE_UNTIL,
            "lead": "90m",
            "reason": "upgrade to 3.0.12",
        },
        refusals={404: "There is no server, or no window to replace, with this id."},
        logs="maintenance_planned",
        audited=_WINDOWS,
        role=Role.OPERATOR,
    ),
    AdminCall(
        name="cancelMaintenance",
        method="POST",
        handler=_cancel,
        group="servers",
        summary="Cancels a maintenance window, or all of a server; one that has begun ends now.",
        example=CancelledMaintenanceJson("1 window was cancelled", [_EXAMPLE]),
        request={"id": _SERVER_ID},
        refusals={404: "There is no such window."},
        logs="maintenance_cancelled",
        audited=_WINDOWS,
        role=Role.OPERATOR,
    ),
)
