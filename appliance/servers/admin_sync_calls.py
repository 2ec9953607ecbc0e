"""The admin calls that take or give the whole list of servers as a YAML file.

Knows no rule and no store. The file is text inside the JSON: whoever asks needs no YAML.
"""

from __future__ import annotations

from appliance.admin_calls import forms as form
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Call
from appliance.admin_calls.forms import BadRequest, Json
from appliance.admin_calls.refusal import RefusalKind
from appliance.model import ServerChange
from appliance.servers import admin_json as shape
from appliance.servers import admin_sync_schema as about
from appliance.servers import sync as server_sync
from appliance.servers.deps import ServerDeps
from appliance.servers.sync import AddedServer, SyncedServer
from appliance.servers.sync_plan import SyncMode, named_values
from appliance.servers.yaml_list import BadServerList
from appliance.servers.yaml_nodes import MAX_CHARS

_HIDDEN = "*****"
_MOST_PROBLEMS = 200
"""A file of something else may have one in every line."""


async def _sync_servers(deps: ServerDeps, call: Call) -> Answer:
    word = form.text(call.fields, "mode") or SyncMode.CORDON.value
    if word not in list(SyncMode):
        raise BadRequest(f"mode must be one of {', '.join(SyncMode)}")
    dry_run = form.flag(call.fields, "dry_run")
    try:
        result = await server_sync.sync_servers(
            deps, call.who, _file(call), mode=SyncMode(word), dry_run=dry_run
        )
    except BadServerList as error:
        return _problems_json(error), 400
    return {
        "dry_run": dry_run,
        "failure": result.failure,
        "notes": list(result.notes),
        "servers": [_step_json(one) for one in result.servers],
    }, 200


def _file(call: Call) -> str:
    text = form.text(call.fields, "yaml")
    if text is None:
        raise BadRequest("yaml is missing: the file as a text")
    if len(text) > MAX_CHARS:
        raise BadRequest(f"the file must not be longer than {MAX_CHARS // 1024} KiB")
    return text


def _problems_json(error: BadServerList) -> Json:
    told = [str(problem) for problem in error.problems[:_MOST_PROBLEMS]]
    if (more := len(error.problems) - len(told)) > 0:
        told.append(f"and {more} more")
    return {
        "error": f"the file cannot be used, nothing was changed: {'; '.join(told)}",
        "kind": RefusalKind.INVALID.value,
        "problems": told,
    }


def _step_json(one: SyncedServer) -> Json:
    step = one.step
    return {
        "id": step.server_id,
        "kind": step.kind.value,
        "changes": _changes_json(step.change),
        "meetings": step.meetings,
        "outcome": one.outcome.value,
        "reason": one.reason,
        "ended": shape.ended_json(one.ended),
    }


def _changes_json(change: ServerChange) -> Json:
    """Render what is set, in the order of the fields; never the secret."""
    values = named_values(change)
    return {name: _HIDDEN if name == "secret" else value for name, value in values.items()}


async def _export_servers(deps: ServerDeps, call: Call) -> Answer:
    verbose = form.flag(call.fields, "verbose")
    return {"yaml": await server_sync.export_servers(deps, verbose=verbose)}, 200


async def _add_servers(deps: ServerDeps, call: Call) -> Answer:
    try:
        added = await server_sync.add_all_servers(deps, call.who, _file(call))
    except BadServerList as error:
        return _problems_json(error), 400
    return [_added_json(one) for one in added], 200


def _added_json(one: AddedServer) -> Json:
    return {
        "id": "" if one.server is None else one.server.id,
        "url": one.new.url,
        "outcome": one.outcome.value,
        "reason": one.reason,
        "was_there": one.was_there,
    }


SYNC_CALLS: tuple[AdminCall[ServerDeps], ...] = (
    AdminCall("syncServers", "POST", _sync_servers, LONG_S, about=about.SYNC_SERVERS),
    AdminCall("exportServers", "GET", _export_servers, about=about.EXPORT_SERVERS),
    AdminCall("addServers", "POST", _add_servers, LONG_S, about=about.ADD_SERVERS),
)
