"""The admin calls about recordings; those about their retention are in retention_calls.py.

Long work is done in steps: the client repeats the call with `next_after` of the answer until it is
null.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Call
from appliance.admin_calls.fields import BadRequest, Fields, Flag, limit, one_of
from appliance.recordings import administration as recording_admin
from appliance.recordings.admin_types import (
    IMPORT_EXAMPLE,
    RECORD_ID,
    RECORDING_EXAMPLE,
    SUMMARY_EXAMPLE,
    After,
    FormatFilesJson,
    Metadata,
    NextAfter,
    Number,
    RecordingDetailsJson,
    RecordingJson,
    RecordingSummaryJson,
    RequestedTenant,
    RequiredStoredText,
    RequiredStoredTexts,
    StoredText,
    StoredTexts,
    Switch,
    UserChangesJson,
    details_json,
    recording_json,
    summary_json,
)
from appliance.recordings.audited import (
    MOVED_RECORDINGS,
    NAMED_RECORDINGS,
)
from appliance.recordings.changes import RecordingChanges, is_changeable, read_changes
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.recording import RecordingStates
from appliance.recordings.summary import RecordingQuery

MAX_LIMIT = 100_000
DEFAULT_LIMIT = 50
ANY = "any"
STATES = (
    RecordingStates.PUBLISHED,
    RecordingStates.UNPUBLISHED,
    RecordingStates.PROCESSING,
    RecordingStates.PROCESSED,
    RecordingStates.DELETED,
    ANY,
)


# --- requests ------------------------------------------------------------------------------------


class ListRecordingsRequest(Fields, frozen=True):
    """listRecordings."""

    meeting_id: StoredText = None
    state: Annotated[
        str | None,
        Meta(description="One state, or `any`; default: all except the deleted."),
        one_of(*STATES, refusal=f"state must be one of {', '.join(STATES)}"),
    ] = None
    tenant_id: StoredText = None
    limit: Annotated[int, limit(DEFAULT_LIMIT, MAX_LIMIT)] = DEFAULT_LIMIT

    def parse(self) -> RecordingQuery:
        """Return the query."""
        return RecordingQuery(
            meeting_id=self.meeting_id,
            state=None if self.state == ANY else self.state or None,
            tenant_id=self.tenant_id,
            limit=self.limit,
            any_state=self.state == ANY,
        )


class RecordingIdRequest(Fields, frozen=True):
    """getRecordingInfo."""

    id: Annotated[RequiredStoredText, Meta(description="The recordID.")]


class UpdateRecordingsRequest(Fields, frozen=True):
    """updateRecordings."""

    ids: Annotated[RequiredStoredTexts, Meta(description="The recordIDs.")]
    publish: Switch = None
    protect: Switch = None
    metadata: Metadata = msgspec.field(default_factory=dict)

    def parse(self) -> RecordingChanges:
        """Return the changes, except of `publish`. Raises BadRequest."""
        params = [(f"meta_{key}", value) for key, value in self.metadata.items()]
        if self.protect is not None:
            params.append(("protect", str(self.protect).lower()))
        changes = read_changes(tuple(params))
        if changes is None or not all(map(is_changeable, self.metadata)):
            raise BadRequest("these changes are not possible")
        return changes


class DeleteRecordingsRequest(Fields, frozen=True):
    """deleteRecordings."""

    ids: Annotated[RequiredStoredTexts, Meta(description="The recordIDs.")]


class RepairRecordingsRequest(Fields, frozen=True):
    """repairRecordings."""

    ids: Annotated[StoredTexts, Meta(description="Only these recordIDs.")] = ()
    after: After = 0
    dry_run: Flag = False


class AssignRecordingsRequest(Fields, frozen=True):
    """addRecordingsToTenant."""

    tenant_id: RequestedTenant
    ids: Annotated[StoredTexts, Meta(description="Only these recordIDs.")] = ()
    force: Annotated[
        Flag, Meta(description="Even another tenant's, even to an unknown tenant.")
    ] = False


# --- answers -------------------------------------------------------------------------------------


class RecordingsJson(Answer, frozen=True):
    """listRecordings."""

    recordings: list[RecordingSummaryJson]
    count: Number


class RepairJson(Answer, frozen=True):
    """repairRecordings; texts are recordID/format."""

    checked: Annotated[int, Meta(ge=0, description="Recordings inspected in this step.")]
    moved: Annotated[list[str], Meta(description="Moved; with dry_run, what would be moved.")]
    missing: Annotated[list[str], Meta(description="Without files anywhere.")]
    failed: Annotated[list[str], Meta(description="Not moved, and why.")]
    next_after: NextAfter
    count: Annotated[
        Number | UnsetType, Meta(description="Number of all recordings, with the first step.")
    ] = UNSET


class AssignedJson(Answer, frozen=True):
    """addRecordingsToTenant."""

    count: Annotated[int, Meta(ge=0, description="Number of recordings that it got.")]


# --- handlers ------------------------------------------------------------------------------------


async def _list(deps: RecordingDeps, call: Call[ListRecordingsRequest]) -> RecordingsJson:
    query = call.read().parse()
    if own := call.actor.tenant_id:
        if query.tenant_id not in (None, own):
            return RecordingsJson([], 0)
        query = dataclasses.replace(query, tenant_id=own)
    found, count = await recording_admin.list_recordings(deps, query)
    return RecordingsJson(list(map(summary_json, found)), count)


async def _show(deps: RecordingDeps, call: Call[RecordingIdRequest]) -> RecordingDetailsJson:
    own = call.actor.tenant_id
    details = details_json(await recording_admin.show_recording(deps, call.read().id, own))
    # A file that was imported may hold recordings of other tenants.
    return details if own is None else msgspec.structs.replace(details, imports=[])


async def _update(deps: RecordingDeps, call: Call[UpdateRecordingsRequest]) -> list[RecordingJson]:
    request = call.read()
    changed = await recording_admin.change_recordings(
        deps, call.who, request.ids, request.parse(), request.publish, call.actor.tenant_id
    )
    return list(map(recording_json, changed))


async def _delete(deps: RecordingDeps, call: Call[DeleteRecordingsRequest]) -> list[str]:
    ids = call.read().ids
    await recording_admin.delete_recordings(deps, call.who, ids)
    return list(ids)


async def _repair(deps: RecordingDeps, call: Call[RepairRecordingsRequest]) -> RepairJson:
    request = call.read()
    repair = await recording_admin.repair_recordings(
        deps, call.who, record_ids=request.ids, after=request.after, dry_run=request.dry_run
    )
    count: int | UnsetType = UNSET
    if not request.after and repair.next_after is not None:
        count = await recording_admin.open_recordings(deps).admin.table.count()
    return RepairJson(
        checked=repair.checked,
        moved=repair.moved,
        missing=repair.missing,
        failed=repair.failed,
        next_after=repair.next_after,
        count=count,
    )


async def _assign(deps: RecordingDeps, call: Call[AssignRecordingsRequest]) -> AssignedJson:
    request = call.read()
    count = await recording_admin.assign_recordings(
        deps, call.who, request.tenant_id or "", request.ids, force=request.force
    )
    return AssignedJson(count)


# --- the table -----------------------------------------------------------------------------------

_NO_RECORDING = {404: "There is no recording with this id."}
RECORDING_CALLS: tuple[AdminCall[RecordingDeps], ...] = (
    AdminCall(
        name="listRecordings",
        method="GET",
        handler=_list,
        group="recordings",
        summary="The newest recordings, and the number of all.",
        example=RecordingsJson([SUMMARY_EXAMPLE], 1),
        request={
            "meeting_id": "math-101",
            "state": "published",
            "tenant_id": "",
            "limit": "50",
        },
        deadline_s=LONG_S,
        role=Role.VIEWER,
        of_tenants=True,
    ),
    AdminCall(
        name="getRecordingInfo",
        method="GET",
        handler=_show,
        group="recordings",
        summary="One recording: its rows, where its files are, what users changed, its imports.",
        example=RecordingDetailsJson(
            **asdict(RECORDING_EXAMPLE),
            files=[
                FormatFilesJson(
                    format="presentation",
                    path=f"/var/bigbluebutton/published/presentation/{RECORD_ID}",
                    published=True,
                    files=214,
                    size=84_912_773,
                )
            ],
            size=84_912_773,
            changed_by_users=UserChangesJson(published=False, removed_metadata=[]),
            imports=[IMPORT_EXAMPLE],
        ),
        request={"id": RECORD_ID},
        refusals=_NO_RECORDING,
        deadline_s=LONG_S,
        role=Role.VIEWER,
        of_tenants=True,
    ),
    AdminCall(
        name="updateRecordings",
        method="POST",
        handler=_update,
        group="recordings",
        summary="Changes all recordings named, or none, as users do: no import undoes it.",
        example=[RECORDING_EXAMPLE],
        request={"ids": [RECORD_ID], "metadata": {"course": "Physics", "draft": ""}},
        refusals=_NO_RECORDING,
        logs="recordings_changed",
        deadline_s=LONG_S,
        audited=NAMED_RECORDINGS,
        role=Role.OPERATOR,
        of_tenants=True,
    ),
    AdminCall(
        name="deleteRecordings",
        method="POST",
        handler=_delete,
        group="recordings",
        summary="Deletes all recordings named with their files, or none; answers their recordIDs.",
        example=[RECORD_ID],
        role=Role.ADMIN,
        request={"ids": [RECORD_ID]},
        refusals=_NO_RECORDING,
        logs="recordings_deleted",
        audited=NAMED_RECORDINGS,
        deadline_s=LONG_S,
    ),
    AdminCall(
        name="repairRecordings",
        method="POST",
        handler=_repair,
        group="recordings",
        summary=(
            "Moves files that lie in the wrong directory, step by step: ask again with "
            "`next_after`."
        ),
        example=RepairJson(
            checked=1,
            moved=[f"{RECORD_ID}/presentation"],
            missing=[],
            failed=[],
            next_after=None,
        ),
        request={"dry_run": False},
        refusals=_NO_RECORDING,
        logs="recordings_repaired",
        deadline_s=LONG_S,
        audited=MOVED_RECORDINGS,
        role=Role.ADMIN,
    ),
    AdminCall(
        name="addRecordingsToTenant",
        method="POST",
        handler=_assign,
        group="recordings",
        summary="Gives recordings to a tenant: those named, or all without a tenant.",
        example=AssignedJson(1),
        request={"tenant_id": "6d1f7c0e-8f43-4d6b-9a55-0c2f5a1b7e21"},
        refusals={404: "There is no such tenant or recording."},
        logs="recordings_assigned",
        deadline_s=LONG_S,
        audited=NAMED_RECORDINGS,
        role=Role.ADMIN,
    ),
)
