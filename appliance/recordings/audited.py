"""Snapshots of recordings and their imports for the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.admin_calls.call import Audited, Call, Snapshot
from appliance.recordings.deps import RecordingDeps

MAX_READ = 50
"""More recordings of one call are not read: a change must not wait for them."""


async def _read_named(deps: RecordingDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    """Read the recordings that a call names; of a call for all without tenant, their number."""
    ids = call.fields.get("ids") or ()
    count = getattr(answer, "count", None)
    if not ids and count is not None:
        tenant_id = call.fields.get("tenant_id")
        values = {"count": count, "tenant_id": tenant_id}
        return {"all": Snapshot("recordings without tenant", values)}
    if deps.store is None or not isinstance(ids, list):
        return {}
    found = {}
    for record_id in ids[:MAX_READ]:
        recording = await deps.store.find_recording(record_id)
        if recording is not None:
            values = {
                "published": recording.published,
                "protected": recording.protected,
                "tenant_id": recording.tenant_id,
                "metadata": dict(recording.metadata),
            }
            found[record_id] = Snapshot(f"recording {record_id}", values)
    return found


async def _read_moved(deps: RecordingDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    if answer is None or call.read().dry_run:
        return {}
    return {name: Snapshot(f"recording {name}", {"moved": True}) for name in answer.moved}


async def _read_pruned(deps: RecordingDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    deleted = () if answer is None else answer.deleted
    return {one: Snapshot(f"recording {one}", {"state": "deleted"}) for one in deleted}


async def _read_retried(
    deps: RecordingDeps, call: Call[Any], answer: Any
) -> Mapping[str, Snapshot]:
    files = answer or ()
    return {one.file: Snapshot(f"import {one.file}", {"problem": one.problem}) for one in files}


async def _read_import(deps: RecordingDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    if answer is None:
        return {}
    values = {"id": answer.id, "undelete": answer.undelete}
    return {answer.file: Snapshot(f"import {answer.file}", values)}


NAMED_RECORDINGS: Audited[RecordingDeps] = Audited(_read_named)
MOVED_RECORDINGS: Audited[RecordingDeps] = Audited(_read_moved, unchanged=False)
PRUNED_RECORDINGS: Audited[RecordingDeps] = Audited(_read_pruned, unchanged=False)
RETRIED_IMPORTS: Audited[RecordingDeps] = Audited(_read_retried, unchanged=False)
ONE_IMPORT: Audited[RecordingDeps] = Audited(_read_import)
