"""The admin calls about recordings, their imports and their age.

Knows no rule and no store. What may take long is done in steps: the caller asks again with the
`next_after` of the answer until it is null.
"""

from __future__ import annotations

from appliance.admin_calls import forms as form
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Call
from appliance.admin_calls.forms import BadRequest
from appliance.recordings import admin_json as shape
from appliance.recordings import admin_schema as about
from appliance.recordings import administration as recording_admin
from appliance.recordings import import_administration as import_admin
from appliance.recordings import retention
from appliance.recordings.deps import RecordingDeps

_PAGE = 1000


async def _list(deps: RecordingDeps, call: Call) -> Answer:
    query = shape.parse_query(call.fields)
    found, count = await recording_admin.list_recordings(deps, query)
    return {"recordings": [shape.summary_json(one) for one in found], "count": count}, 200


async def _show(deps: RecordingDeps, call: Call) -> Answer:
    record_id = shape.word(call.fields, "id")
    if not record_id:
        raise BadRequest("id is missing")
    return shape.details_json(await recording_admin.show_recording(deps, record_id)), 200


async def _update(deps: RecordingDeps, call: Call) -> Answer:
    record_ids = shape.words(call.fields, "ids")
    if not record_ids:
        raise BadRequest("ids is missing")
    changes, publish = shape.parse_changes(call.fields)
    changed = await recording_admin.change_recordings(deps, call.who, record_ids, changes, publish)
    return [shape.recording_json(one) for one in changed], 200


async def _repair(deps: RecordingDeps, call: Call) -> Answer:
    fields = call.fields
    after = shape.number(fields, "after", 0)
    repair = await recording_admin.repair_recordings(
        deps,
        call.who,
        record_ids=shape.words(fields, "ids"),
        after=after,
        dry_run=form.flag(fields, "dry_run"),
    )
    document = {
        "checked": repair.checked,
        "moved": repair.moved,
        "missing": repair.missing,
        "failed": repair.failed,
        "next_after": repair.next_after,
    }
    if not after and repair.next_after is not None:
        document["count"] = await recording_admin.open_recordings(deps).desk.table.count()
    return document, 200


async def _assign(deps: RecordingDeps, call: Call) -> Answer:
    fields = call.fields
    count = await recording_admin.assign_recordings(
        deps,
        call.who,
        shape.word(fields, "tenant_id") or "",
        shape.words(fields, "ids"),
        force=form.flag(fields, "force"),
    )
    return {"count": count}, 200


async def _get_imports(deps: RecordingDeps, call: Call) -> Answer:
    overview = await import_admin.show_imports(
        deps,
        limit=form.limit(call.fields, shape.DEFAULT_LIMIT, shape.MAX_LIMIT),
        failed=form.flag(call.fields, "failed"),
    )
    return shape.overview_json(overview), 200


async def _get_import(deps: RecordingDeps, call: Call) -> Answer:
    import_id = shape.number(call.fields, "id", 0)
    if not import_id:
        raise BadRequest("id is missing")
    return shape.import_json(*await import_admin.find_import(deps, import_id)), 200


async def _import(deps: RecordingDeps, call: Call) -> Answer:
    path = form.text(call.fields, "path") or ""
    undelete = form.flag(call.fields, "undelete")
    import_id = await import_admin.start_import(deps, call.who, path, undelete=undelete)
    return shape.import_json(*await import_admin.find_import(deps, import_id)), 202


async def _retry(deps: RecordingDeps, call: Call) -> Answer:
    retried = await import_admin.retry_imports(deps, call.who, shape.words(call.fields, "files"))
    return [{"file": one.file, "problem": one.problem} for one in retried], 200


async def _get_expired(deps: RecordingDeps, call: Call) -> Answer:
    rules = await retention.read_rules(deps, shape.days_of(call.fields))
    found = await retention.list_expired(
        deps, rules, after=shape.number(call.fields, "after", 0), limit=_PAGE
    )
    return {
        "recordings": [shape.summary_json(one) for one in found],
        "next_after": found[-1].id if len(found) == _PAGE else None,
        "retention": shape.rules_json(rules),
    }, 200


async def _prune(deps: RecordingDeps, call: Call) -> Answer:
    rules = await retention.read_rules(deps, shape.days_of(call.fields))
    after = shape.number(call.fields, "after", 0)
    pruned = await retention.prune_batch(deps, call.who, rules, after=after)
    return {
        "deleted": pruned.deleted,
        "failed": pruned.failed,
        "next_after": pruned.next_after,
        "retention": shape.rules_json(rules),
    }, 200


RECORDING_CALLS: tuple[AdminCall[RecordingDeps], ...] = (
    AdminCall("listRecordings", "GET", _list, LONG_S, about=about.LIST),
    AdminCall("getRecordingInfo", "GET", _show, LONG_S, about=about.SHOW),
    AdminCall("updateRecordings", "POST", _update, LONG_S, about=about.UPDATE),
    AdminCall("repairRecordings", "POST", _repair, LONG_S, about=about.REPAIR),
    AdminCall("addRecordingsToTenant", "POST", _assign, LONG_S, about=about.ASSIGN),
    AdminCall("getImports", "GET", _get_imports, LONG_S, about=about.GET_IMPORTS),
    AdminCall("getImport", "GET", _get_import, about=about.GET_IMPORT),
    AdminCall("importRecording", "POST", _import, LONG_S, about=about.IMPORT_FILE, local=True),
    AdminCall("retryImports", "POST", _retry, LONG_S, about=about.RETRY),
    AdminCall("getExpiredRecordings", "GET", _get_expired, LONG_S, about=about.GET_EXPIRED),
    AdminCall("pruneRecordings", "POST", _prune, LONG_S, about=about.PRUNE),
)
