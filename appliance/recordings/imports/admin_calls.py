"""The admin calls about imports of recordings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta
from msgspec.structs import replace

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Call, Time, time_json
from appliance.admin_calls.fields import Fields, Flag, NoFields, Text, count, limit, reads, required
from appliance.recordings.admin_calls import DEFAULT_LIMIT, MAX_LIMIT
from appliance.recordings.admin_types import (
    FILE_EXAMPLE,
    IMPORT_EXAMPLE,
    ImportJson,
    Number,
    StoredTexts,
    import_json,
)
from appliance.recordings.audited import ONE_IMPORT, RETRIED_IMPORTS
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.imports import administration as import_admin
from appliance.recordings.imports.administration import ImportOverview
from appliance.recordings.imports.model import SpooledTar
from appliance.recordings.summary import FailedTar

# --- requests ------------------------------------------------------------------------------------


class ListImportsRequest(Fields, frozen=True):
    """getImports."""

    failed: Annotated[Flag, Meta(description="Only imports that failed.")] = False
    limit: Annotated[int, limit(DEFAULT_LIMIT, MAX_LIMIT)] = DEFAULT_LIMIT


class ImportIdRequest(Fields, frozen=True):
    """getImport."""

    id: Annotated[
        int,
        Meta(description="The number of the import."),
        reads(required(count), {"type": ["integer", "string"], "minLength": 1}),
    ]


class ImportRecordingRequest(Fields, frozen=True):
    """importRecording."""

    path: Annotated[
        Text,
        Meta(min_length=1, description="Absolute. A file that is not in the spool stays as it is."),
    ]
    undelete: Annotated[Flag, Meta(description="Restore recordings that were deleted.")] = False


class RetryImportsRequest(Fields, frozen=True):
    """retryImports."""

    files: Annotated[StoredTexts, Meta(description="Their names in failed/.")] = ()


# --- answers -------------------------------------------------------------------------------------


class TarJson(Answer, frozen=True):
    """A tar on the disk."""

    file: str
    size: Number
    modified: Time


class FailedTarJson(TarJson, frozen=True):
    """A tar in `failed/`."""

    reason: str | None


class ImportsJson(Answer, frozen=True):
    """getImports."""

    imports: list[ImportJson]
    count: Annotated[int, Meta(ge=0, description="Number of all imports.")]
    spool: list[TarJson]
    failed: list[FailedTarJson]


class RefusedUploadJson(Answer, frozen=True):
    """An upload that was refused."""

    record_id: str
    server: Annotated[str, Meta(description="As the sender names it; empty: it does not.")]
    client: Annotated[str, Meta(description="The address of the sender.")]
    reason: str
    status: Annotated[int, Meta(description="Of the answer.")]
    attempts: Number
    first: Time
    last: Time


class RetriedImportJson(Answer, frozen=True):
    """The result of a retry."""

    file: str
    problem: Annotated[str | None, Meta(description="Null: it is back in the spool.")]


def overview_json(overview: ImportOverview) -> ImportsJson:
    """Render the journal and the tars on the disk."""
    return ImportsJson(
        imports=list(map(import_json, overview.imports)),
        count=overview.count,
        spool=[TarJson(**_tar(one)) for one in overview.spool],
        failed=list(map(_failed_json, overview.failed)),
    )


def _tar(one: SpooledTar) -> Mapping[str, Any]:
    modified = time_json(one.mtime_ns // 1_000_000)
    return {"file": one.name, "size": one.size, "modified": modified}


def _failed_json(one: FailedTar) -> FailedTarJson:
    return FailedTarJson(**_tar(one.tar), reason=one.reason)


# --- handlers ------------------------------------------------------------------------------------


async def _list(deps: RecordingDeps, call: Call[ListImportsRequest]) -> ImportsJson:
    request = call.read()
    overview = await import_admin.show_imports(deps, limit=request.limit, failed=request.failed)
    return overview_json(overview)


async def _show(deps: RecordingDeps, call: Call[ImportIdRequest]) -> ImportJson:
    return import_json(*await import_admin.find_import(deps, call.read().id))


async def _import(deps: RecordingDeps, call: Call[ImportRecordingRequest]) -> ImportJson:
    request = call.read()
    import_id = await import_admin.start_import(
        deps, call.who, request.path, undelete=request.undelete, descriptor=call.file
    )
    return import_json(*await import_admin.find_import(deps, import_id))


async def _retry(deps: RecordingDeps, call: Call[RetryImportsRequest]) -> list[RetriedImportJson]:
    retried = await import_admin.retry_imports(deps, call.who, call.read().files)
    return [RetriedImportJson(one.file, one.problem) for one in retried]


async def _list_refused(deps: RecordingDeps, call: Call[NoFields]) -> list[RefusedUploadJson]:
    return [
        RefusedUploadJson(
            record_id=one.record_id,
            server=one.server,
            client=one.client,
            reason=one.reason,
            status=one.status,
            attempts=one.attempts,
            first=time_json(one.first),
            last=time_json(one.at),
        )
        for one in await deps.refused.read_all(now_ms=deps.now_ms())
    ]


# --- the table -----------------------------------------------------------------------------------

IMPORT_CALLS: tuple[AdminCall[RecordingDeps], ...] = (
    AdminCall(
        name="getImports",
        method="GET",
        handler=_list,
        group="recordings",
        summary="The newest imports, what is in the spool, and what lies in failed/ and why.",
        example=ImportsJson(
            imports=[IMPORT_EXAMPLE],
            count=1,
            spool=[],
            failed=[
                FailedTarJson(
                    file=FILE_EXAMPLE,
                    size=85_143_552,
                    modified="2026-11-25T10:40:07Z",
                    reason="the archive is cut off",
                )
            ],
        ),
        request={"failed": "false", "limit": "50"},
        deadline_s=LONG_S,
        role=Role.VIEWER,
    ),
    AdminCall(
        name="getImport",
        method="GET",
        handler=_show,
        group="recordings",
        summary="One import.",
        example=IMPORT_EXAMPLE,
        request={"id": "1"},
        refusals={404: "There is no import with this id."},
        role=Role.VIEWER,
    ),
    AdminCall(
        name="getRefusedUploads",
        method="GET",
        handler=_list_refused,
        group="recordings",
        summary="Recordings whose upload was refused, and not accepted since, the latest first.",
        example=[
            RefusedUploadJson(
                record_id=FILE_EXAMPLE.removesuffix(".tar"),
                server="bbb1.example.com",
                client="192.0.2.7",
                reason="unknown server",
                status=401,
                attempts=3,
                first="2026-11-25T10:40:07Z",
                last="2026-11-25T11:10:07Z",
            )
        ],
        role=Role.VIEWER,
    ),
    AdminCall(
        name="importRecording",
        method="POST",
        handler=_import,
        group="recordings",
        summary=(
            "Begins to import a tar of the appliance's machine; getImport reports the progress."
        ),
        example=replace(
            IMPORT_EXAMPLE,
            file=f"/srv/recordings/{FILE_EXAMPLE}",
            state="waiting",
            recordings=[],
            started=None,
            finished=None,
            unpacked=0,
        ),
        status=202,
        request={"path": f"/srv/recordings/{FILE_EXAMPLE}"},
        refusals={404: "There is no such file."},
        logs="import_by_hand",
        deadline_s=LONG_S,
        local=True,
        audited=ONE_IMPORT,
        role=Role.ADMIN,
    ),
    AdminCall(
        name="retryImports",
        method="POST",
        handler=_retry,
        group="recordings",
        summary="Puts tars of failed/ back into the spool with new tries: those named, or all.",
        example=[RetriedImportJson(file=FILE_EXAMPLE, problem=None)],
        request={"files": [FILE_EXAMPLE]},
        logs="imports_retried",
        deadline_s=LONG_S,
        audited=RETRIED_IMPORTS,
        role=Role.OPERATOR,
    ),
)
