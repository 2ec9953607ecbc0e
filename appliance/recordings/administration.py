"""The operator's commands for recordings: list, show, change, assign to a tenant, repair files.

An operator's change counts as a user's: no import undoes it. Every change is logged with the actor
who made it. Source: docs/recordings.md; Scalelite's rake tasks `recordings:*`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.model import TenantId
from appliance.recordings.calls import (
    delete_locked,
    empty_trash,
    open_change,
    publish_locked,
)
from appliance.recordings.changes import RecordingChanges
from appliance.recordings.deps import RecordingAdmin, RecordingDeps
from appliance.recordings.recording import Recording
from appliance.recordings.storage import Storage
from appliance.recordings.store import LockedRecordings, RecordingStore
from appliance.recordings.summary import (
    RecordingDetails,
    RecordingQuery,
    RecordingSummary,
)
from appliance.tenants.params import TENANT_KEY

REPAIR_ROWS = 200
"""Number of recordings checked in one call, which takes a second or two on NFS."""
_SHOWN_IMPORTS = 10


@dataclass(frozen=True, slots=True)
class OpenedRecordings:
    """The stores of recordings, which exist unless recordings are disabled."""

    admin: RecordingAdmin
    store: RecordingStore
    files: Storage


def open_recordings(deps: RecordingDeps) -> OpenedRecordings:
    """Return the stores of recordings. Raises Refused: recordings are disabled."""
    if deps.admin is None or deps.store is None or deps.files is None:
        reason = "recordings are disabled here (RECORDING_DISABLED or DB_DISABLED)"
        raise Refused(RefusalKind.INVALID, reason)
    return OpenedRecordings(deps.admin, deps.store, deps.files)


async def list_recordings(
    deps: RecordingDeps, query: RecordingQuery
) -> tuple[list[RecordingSummary], int]:
    """Return the newest recordings and their total number. Raises Refused, DatabaseDown."""
    return await open_recordings(deps).admin.table.list_summaries(query)


async def show_recording(
    deps: RecordingDeps, record_id: str, tenant_id: TenantId | None = None
) -> RecordingDetails:
    """Return all details of one recording.

    tenant_id: the recordings of others do not exist; None: all tenants. Raises Refused,
    DatabaseDown.
    """
    opened = open_recordings(deps)
    admin = opened.admin
    recording = await opened.store.find_recording(record_id)
    if recording is None or tenant_id not in (None, recording.tenant_id):
        raise _unknown([record_id])
    try:
        files = await deps.in_thread(partial(opened.files.locate, record_id))
    except OSError as error:
        raise _unreadable(error) from error
    removed = await admin.table.removed_metadata(recording.id)
    imports, _ = await admin.history.list_imports(limit=_SHOWN_IMPORTS, record_id=record_id)
    return RecordingDetails(recording, tuple(files), removed, tuple(imports))


async def change_recordings(
    deps: RecordingDeps,
    actor: str,
    record_ids: Sequence[str],
    changes: RecordingChanges,
    publish: bool | None,
    tenant_id: TenantId | None = None,
) -> list[Recording]:
    """Change all given recordings, or none; return them as they are afterwards.

    tenant_id: the recordings of others do not exist; None: all tenants.
    Raises Refused, DatabaseDown.
    """
    opened = open_recordings(deps)
    if changes.empty and publish is None:
        raise Refused(RefusalKind.INVALID, "nothing to change")
    async with open_change(deps, opened.store.lock_recordings(record_ids, tenant_id)) as locked:
        _check_all_there(record_ids, locked)
        for one in locked.recordings if not changes.empty else ():
            await locked.update(one, metadata=changes.metadata, protected=changes.protected)
        if publish is not None and not await publish_locked(
            deps, opened.files, locked, publish=publish
        ):
            # Raised inside the block, so that nothing is committed.
            raise Refused(
                RefusalKind.INVALID,
                "files are missing or cannot be moved; nothing was changed (the log says more)",
            )
    deps.log.info(
        "recordings_changed",
        by=actor,
        record_ids=list(record_ids),
        publish=publish,
        protect=changes.protected,
        metadata=[key for key, _ in changes.metadata],
    )
    found = [await opened.store.find_recording(record_id) for record_id in record_ids]
    return [one for one in found if one is not None]


async def delete_recordings(deps: RecordingDeps, actor: str, record_ids: Sequence[str]) -> None:
    """Delete all given recordings with their files. Raises Refused, DatabaseDown."""
    opened = open_recordings(deps)
    async with open_change(deps, opened.store.lock_recordings(record_ids, None)) as locked:
        _check_all_there(record_ids, locked)
        for one in locked.recordings:
            if not await delete_locked(deps, opened.files, locked, one):
                reason = f"the files of {one.record_id} cannot be deleted (the log says why)"
                raise Refused(RefusalKind.INVALID, reason)
    deps.log.info("recordings_deleted", by=actor, record_ids=list(record_ids))
    deps.later(empty_trash, deps, opened.files)


def _check_all_there(record_ids: Sequence[str], locked: LockedRecordings) -> None:
    known = {one.record_id for one in locked.recordings}
    missing = [record_id for record_id in record_ids if record_id not in known]
    if missing:
        raise _unknown(missing)


# --- tenants -------------------------------------------------------------------------------------


async def assign_recordings(
    deps: RecordingDeps, actor: str, tenant_id: str, record_ids: Sequence[str], *, force: bool
) -> int:
    """Assign recordings to a tenant; without ids all that have none. Return their number.

    Raises Refused (the tenant is unknown, or a recording has another tenant, unless `force`),
    DatabaseDown, StoreDown.
    """
    opened = open_recordings(deps)
    if not tenant_id.strip() or "\0" in tenant_id:
        raise Refused(RefusalKind.INVALID, "the id of the tenant is missing")
    if not force and await deps.tenants.store.find_tenant(TenantId(tenant_id)) is None:
        reason = f"no tenant with id {tenant_id} (--force does it all the same)"
        raise Refused(RefusalKind.NOT_FOUND, reason)
    if record_ids:
        count = await _assign(opened, tenant_id, record_ids, force=force)
    else:
        count = await opened.admin.table.assign_all(tenant_id)
    named = list(record_ids) or "all without tenant"
    deps.log.info(
        "recordings_assigned",
        by=actor,
        tenant=tenant_id,
        count=count,
        record_ids=named,
        force=force,
    )
    return count


async def _assign(
    opened: OpenedRecordings, tenant_id: str, record_ids: Sequence[str], *, force: bool
) -> int:
    count = 0
    async with opened.store.lock_recordings(record_ids, None) as locked:
        _check_all_there(record_ids, locked)
        others = [one for one in locked.recordings if one.tenant_id not in (None, tenant_id)]
        if others and not force:
            shown = ", ".join(f"{one.record_id} ({one.tenant_id})" for one in others[:5])
            reason = f"another tenant's: {shown}; --force takes them away from it"
            raise Refused(RefusalKind.INVALID, reason)
        for one in locked.recordings:
            if one.tenant_id != tenant_id:
                await locked.update(one, metadata=[(TENANT_KEY, tenant_id)], protected=None)
                count += 1
    return count


# --- repair --------------------------------------------------------------------------------------


@dataclass(slots=True)
class Repair:
    """Result of one step of a repair; the lists contain `record_id/format`."""

    checked: int = 0
    next_after: int | None = None
    """`after` of the next step; None: this was the last."""
    moved: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Formats without files."""
    failed: list[str] = field(default_factory=list)


async def repair_recordings(
    deps: RecordingDeps, actor: str, *, record_ids: Sequence[str], after: int, dry_run: bool
) -> Repair:
    """Move files in the wrong directory to the one that corresponds to the recording's state.

    A step checks the given recordings, or REPAIR_ROWS recordings with row ids above `after`. Raises
    Refused, DatabaseDown.
    """
    opened = open_recordings(deps)
    if record_ids:
        async with opened.store.lock_recordings(record_ids, None) as locked:
            _check_all_there(record_ids, locked)
            page = {one.record_id: _expected(one) for one in locked.recordings}
        repair = Repair(len(page))
    else:
        rows = await opened.admin.table.page(after, REPAIR_ROWS)
        page = {row.record_id: (row.published, row.formats) for row in rows}
        repair = Repair(len(rows), rows[-1].id if len(rows) == REPAIR_ROWS else None)
    wrong = await _find_misplaced(deps, opened.files, page, repair)
    if dry_run:
        repair.moved = [f"{record_id}/{name}" for record_id, names in wrong for name in names]
        return repair
    for record_id, _ in wrong:
        await _repair_files(deps, opened, record_id, repair)
    if repair.moved or repair.failed:
        deps.log.info("recordings_repaired", by=actor, moved=repair.moved, failed=repair.failed)
    return repair


def _expected(recording: Recording) -> tuple[bool, tuple[str, ...]]:
    return recording.published, tuple(shown.format for shown in recording.formats)


async def _find_misplaced(
    deps: RecordingDeps,
    files: Storage,
    page: dict[str, tuple[bool, tuple[str, ...]]],
    repair: Repair,
) -> list[tuple[str, list[str]]]:
    """Return the recordings with misplaced formats, and add missing ones to `repair`."""

    def find() -> list[tuple[str, list[str]]]:
        wrong = []
        for record_id, (published, formats) in page.items():
            found = files.where(record_id)
            repair.missing += [f"{record_id}/{name}" for name in formats if name not in found]
            names = [name for name, places in found.items() if places != (published, not published)]
            if names:
                wrong.append((record_id, sorted(names)))
        return wrong

    try:
        return await deps.in_thread(find)
    except OSError as error:
        raise _unreadable(error) from error


async def _repair_files(
    deps: RecordingDeps, opened: OpenedRecordings, record_id: str, repair: Repair
) -> None:
    """Check a recording again with its row locked, and move its files."""
    async with opened.store.lock_recordings([record_id], None) as locked:
        if deps.work is not None and not await locked.lock_objects(record_id):
            repair.failed.append(f"{record_id}: its objects are being moved or replaced")
            return
        for recording in locked.recordings:
            published = recording.published
            move = opened.files.publish if published else opened.files.unpublish
            try:
                found = await deps.in_thread(partial(opened.files.where, record_id))
                for name, places in sorted(found.items()):
                    if places != (published, not published):
                        await trio.to_thread.run_sync(move, record_id, name)
                        repair.moved.append(f"{record_id}/{name}")
            except OSError as error:
                repair.failed.append(f"{record_id}: {error.strerror or 'I/O error'}")


def _unknown(record_ids: Sequence[str]) -> Refused:
    named = ", ".join(record_ids[:5]) + (" …" if len(record_ids) > 5 else "")
    return Refused(RefusalKind.NOT_FOUND, f"no recording with id {named}")


def _unreadable(error: OSError) -> Refused:
    reason = f"the files cannot be read: {error.strerror or 'I/O error'}"
    return Refused(RefusalKind.INVALID, reason)
