"""The admin calls about the whole pool: its status, polls, and the list of servers as a YAML file.

The file is a text inside the JSON, so that a client needs no YAML.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Call
from appliance.admin_calls.fields import (
    BadRequest,
    Fields,
    Flag,
    NoFields,
    Texts,
    one_of,
    reads,
    text,
)
from appliance.admin_calls.refusal import ErrorAnswer, ErrorJson, RefusalKind
from appliance.model import Server
from appliance.servers import administration as servers
from appliance.servers import polling
from appliance.servers.admin_calls import NO_SERVER
from appliance.servers.admin_types import (
    POLL_EXAMPLE,
    STATUS_EXAMPLE,
    URL_EXAMPLE,
    EndedMeetingJson,
    PollJson,
    PoolStatusJson,
    ended_json,
    polls_json,
    status_json,
)
from appliance.servers.audited import ALL_SERVERS, EMPTY_POOL
from appliance.servers.deps import ServerDeps
from appliance.servers.maintenance.calls import maintenance_of
from appliance.servers.sync import apply as server_sync
from appliance.servers.sync.apply import AddedServer, StepOutcome, SyncedServer
from appliance.servers.sync.plan import StepKind, SyncMode, named_values
from appliance.servers.sync.yaml_list import BadServerList
from appliance.servers.sync.yaml_nodes import MAX_CHARS
from appliance.servers.values import ServerChange
from appliance.system.threads import run_counted

_HIDDEN = "*****"
_ACCEPTED = "The pool is empty, and the servers that it had are forgotten"
_MAX_PROBLEMS = 200
"""Every line of a file of another kind may be a problem."""


# --- requests ------------------------------------------------------------------------------------


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


def _read_file(fields: Mapping[str, Any], name: str) -> str:
    found = text(fields, name)
    if found is None:
        raise BadRequest(f"{name} is missing: the file as a text")
    if len(found) > MAX_CHARS:
        raise BadRequest(f"the file must not be longer than {MAX_CHARS // 1024} KiB")
    return found


FileField = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=MAX_CHARS,
        description="The file as a text. All that is wrong with it is listed in `problems`, and "
        "nothing is changed.",
    ),
    reads(_read_file),
]


class SyncServersRequest(Fields, frozen=True):
    """syncServers."""

    yaml: FileField
    mode: Annotated[
        str | None,
        Meta(
            description="What becomes of servers that the file does not name; default: cordon, "
            "which removes empty ones."
        ),
        one_of(*SyncMode, refusal=f"mode must be one of {', '.join(SyncMode)}"),
    ] = None
    dry_run: Annotated[Flag, Meta(description="Only report what would be done.")] = False


class ExportServersRequest(Fields, frozen=True):
    """exportServers."""

    verbose: Annotated[Flag, Meta(description="With state, load and online.")] = False


class AddServersRequest(Fields, frozen=True):
    """addServers."""

    yaml: FileField


# --- answers -------------------------------------------------------------------------------------

Outcome = Annotated[
    StepOutcome,
    Meta(
        description="planned: a dry run; uncertain: the store was lost on the way; not_reached: "
        "not done."
    ),
]


class SyncStepJson(Answer, frozen=True):
    """A step of a sync."""

    id: str
    kind: Annotated[
        StepKind,
        Meta(
            description="keep, remove, cordon and evict (its meetings are ended) are for servers "
            "that the file does not name."
        ),
    ]
    changes: Annotated[
        dict[str, str | float], Meta(description="The new values; the secret is hidden.")
    ]
    meetings: Annotated[int, Meta(ge=0)]
    recordings_owed: Annotated[int, Meta(ge=0, description="Those that keep it from going.")]
    outcome: Outcome
    reason: Annotated[str, Meta(description="Why it failed.")]
    ended: list[EndedMeetingJson]


class SyncJson(Answer, frozen=True):
    """The result of a sync."""

    dry_run: bool
    failure: Annotated[str, Meta(description="Why it ended early; empty: it was completed.")]
    notes: Annotated[list[str], Meta(description="What an operator should check.")]
    servers: list[SyncStepJson]


class ServerListJson(Answer, frozen=True):
    """exportServers."""

    yaml: str


class AddedServerJson(Answer, frozen=True):
    """The result of adding a server of the file."""

    id: Annotated[str, Meta(description="Empty: not added.")]
    url: str
    outcome: Outcome
    reason: str
    was_there: bool


class AcceptedEmptyJson(Answer, frozen=True):
    """acceptEmpty."""

    success: str


def _step_json(one: SyncedServer) -> SyncStepJson:
    step = one.step
    return SyncStepJson(
        id=step.server_id,
        kind=step.kind,
        changes=_changes_json(step.change),
        meetings=step.meetings,
        recordings_owed=step.owed,
        outcome=one.outcome,
        reason=one.reason,
        ended=ended_json(one.ended),
    )


def _changes_json(change: ServerChange) -> dict[str, Any]:
    """Render the new values, in the order of the fields; never the secret."""
    values = named_values(change)
    return {name: _HIDDEN if name == "secret" else value for name, value in values.items()}


def _added_json(one: AddedServer) -> AddedServerJson:
    return AddedServerJson(
        id="" if one.server is None else one.server.id,
        url=one.new.url,
        outcome=one.outcome,
        reason=one.reason,
        was_there=one.was_there,
    )


# --- handlers ------------------------------------------------------------------------------------


async def _get_status(deps: ServerDeps, call: Call[NoFields]) -> PoolStatusJson:
    status, windows = await servers.read_status(deps), await maintenance_of(deps)
    return await run_counted(len(status.servers), partial(status_json, status, windows))


async def _poll(deps: ServerDeps, call: Call[PollRequest]) -> list[PollJson]:
    request = call.read()
    if request.ids:
        chosen = [await servers.find_server(deps, one) for one in request.ids]
        results = [await _poll_one(deps, one, request.what) for one in chosen]
    else:
        results = await polling.poll_pool(deps, versions_only=request.what == "versions")
    return await run_counted(len(results), partial(polls_json, results))


async def _poll_one(deps: ServerDeps, server: Server, what: str | None) -> polling.PollResult:
    if what == "versions":
        return await polling.check_version(deps, server)
    return await polling.poll_server(deps, server, read_version=what is not None)


async def _sync_servers(deps: ServerDeps, call: Call[SyncServersRequest]) -> SyncJson:
    request = call.read()
    mode = SyncMode(request.mode or SyncMode.CORDON)
    try:
        result = await server_sync.sync_servers(
            deps, call.who, request.yaml, mode=mode, dry_run=request.dry_run
        )
    except BadServerList as error:
        raise _refuse_file(error) from error
    steps = await run_counted(
        len(result.servers), lambda: [_step_json(one) for one in result.servers]
    )
    return SyncJson(
        dry_run=request.dry_run, failure=result.failure, notes=list(result.notes), servers=steps
    )


def _refuse_file(error: BadServerList) -> ErrorAnswer:
    problems = [str(problem) for problem in error.problems[:_MAX_PROBLEMS]]
    if (more := len(error.problems) - len(problems)) > 0:
        problems.append(f"and {more} more")
    reason = f"the file cannot be used, nothing was changed: {'; '.join(problems)}"
    document = ErrorJson(reason, kind=RefusalKind.INVALID, problems=tuple(problems))
    return ErrorAnswer(400, document)


async def _accept_empty(deps: ServerDeps, call: Call[NoFields]) -> AcceptedEmptyJson:
    await servers.accept_empty(deps, call.who)
    return AcceptedEmptyJson(success=_ACCEPTED)


async def _export_servers(deps: ServerDeps, call: Call[ExportServersRequest]) -> ServerListJson:
    return ServerListJson(await server_sync.export_servers(deps, verbose=call.read().verbose))


async def _add_servers(deps: ServerDeps, call: Call[AddServersRequest]) -> list[AddedServerJson]:
    try:
        added = await server_sync.add_all_servers(deps, call.who, call.read().yaml)
    except BadServerList as error:
        raise _refuse_file(error) from error
    return await run_counted(len(added), lambda: [_added_json(one) for one in added])


# --- the table -----------------------------------------------------------------------------------

_NEW_URL = "https://bbb9.example.com/bigbluebutton/api"

POOL_CALLS: tuple[AdminCall[ServerDeps], ...] = (
    AdminCall(
        name="getStatus",
        method="GET",
        handler=_get_status,
        group="pool",
        summary="The state of the pool, without secrets.",
        example=PoolStatusJson(servers=[STATUS_EXAMPLE], meetings=3, users=41, available=1),
        role=Role.VIEWER,
    ),
    AdminCall(
        name="poll",
        method="POST",
        handler=_poll,
        group="pool",
        summary="Polls all or these servers at once, and reports each result.",
        example=[POLL_EXAMPLE],
        request={"what": "all"},
        refusals=NO_SERVER,
        deadline_s=LONG_S,
        role=Role.OPERATOR,
    ),
    AdminCall(
        name="syncServers",
        method="POST",
        handler=_sync_servers,
        group="servers",
        summary="Adds, changes and removes servers until the pool is what a YAML file says.",
        example=SyncJson(
            dry_run=False,
            failure="",
            notes=[],
            servers=[
                SyncStepJson(
                    id="bbb9.example.com",
                    kind=StepKind.ADD,
                    changes={
                        "url": _NEW_URL,
                        "secret": _HIDDEN,
                        "load_multiplier": 1.0,
                        "state": "enabled",
                    },
                    meetings=0,
                    recordings_owed=0,
                    outcome=StepOutcome.DONE,
                    reason="",
                    ended=[],
                )
            ],
        ),
        request={
            "yaml": "servers: {bbb9.example.com: {secret: SERVER-SECRET}}",
            "mode": "keep",
        },
        logs="server_added",
        deadline_s=LONG_S,
        audited=ALL_SERVERS,
        role=Role.ADMIN,
    ),
    AdminCall(
        name="exportServers",
        method="GET",
        handler=_export_servers,
        group="servers",
        summary="The pool as a YAML file for syncServers, with the servers' secrets.",
        example=ServerListJson(
            f"---\nservers:\n  bbb1:\n    url: {URL_EXAMPLE}\n    secret: SERVER-SECRET\n"
        ),
        request={"verbose": "false"},
        role=Role.ADMIN,
    ),
    AdminCall(
        name="acceptEmpty",
        method="POST",
        handler=_accept_empty,
        group="servers",
        summary=(
            "Confirms that the pool is meant to be empty after its servers have vanished "
            "from Redis; refused while it has servers."
        ),
        example=AcceptedEmptyJson(success=_ACCEPTED),
        logs="empty_pool_accepted",
        local=True,
        audited=EMPTY_POOL,
        role=Role.ADMIN,
    ),
    AdminCall(
        name="addServers",
        method="POST",
        handler=_add_servers,
        group="servers",
        summary=(
            "Adds the servers of a YAML list, disabled; those whose url is known stay as they are."
        ),
        example=[
            AddedServerJson(
                id="bbb9", url=_NEW_URL, outcome=StepOutcome.DONE, reason="", was_there=False
            )
        ],
        request={"yaml": "servers: [{url: bbb9.example.com, secret: SERVER-SECRET, id: bbb9}]"},
        logs="server_added",
        deadline_s=LONG_S,
        audited=ALL_SERVERS,
        role=Role.ADMIN,
    ),
)
