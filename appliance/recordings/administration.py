"""An operator's work on recordings: list, show, change, give to a tenant, put files right.

What an operator changes counts as a user's change: no import undoes it. Every change is logged
with who made it. Truth: spec (administration); rake's tasks `recordings:*` of Scalelite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.model import TenantId
from appliance.recordings.calls import open_change, publish_locked
from appliance.recordings.changes import RecordingChanges
from appliance.recordings.deps import RecordingAdmin, RecordingDeps
from appliance.recordings.files import RecordingFiles
from appliance.recordings.recording import Recording
from appliance.recordings.store import LockedRecordings, RecordingStore
from appliance.recordings.summary import (
    RecordingDetails,
    RecordingQuery,
    RecordingSummary,
)
from appliance.tenants.params import TENANT_KEY

REPAIR_ROWS = 200
"""Recordings looked at in one call: on NFS a second or two."""
_SHOWN_IMPORTS = 10


@dataclass(frozen=True, slots=True)
class Opened:
    """What this work needs; there is none of it where recordings are disabled."""

    desk: RecordingAdmin
    store: RecordingStore
    files: RecordingFiles


def open_recordings(deps: RecordingDeps) -> Opened:
    """Return what the work on recordings needs. Raises Refused: recordings are disabled."""
    if deps.admin is None or deps.store is None or deps.files is None:
        reason = "recordings are disabled here (RECORDING_DISABLED or DB_DISABLED)"
        raise Refused(RefusalKind.INVALID, reason)
    return Opened(deps.admin, deps.store, deps.files)


async def list_recordings(
    deps: RecordingDeps, query: RecordingQuery
) -> tuple[list[RecordingSummary], int]:
    """Return the newest recordings, and how many there are in all. Raises Refused, DatabaseDown."""
    return await open_recordings(deps).desk.table.list_summaries(query)


async def show_recording(deps: RecordingDeps, record_id: str) -> RecordingDetails:
    """Return everything about one recording. Raises Refused, DatabaseDown."""
    opened = open_recordings(deps)
    desk = opened.desk
    recording = await opened.store.find_recording(record_id)
    if recording is None:
        raise _unknown([record_id])
    try:
        files = await trio.to_thread.run_sync(desk.places.locate, record_id)
    except OSError as error:
        raise _unreadable(error) from error
    removed = await desk.table.removed_metadata(recording.id)
    imports, _ = await desk.history.list_imports(limit=_SHOWN_IMPORTS, record_id=record_id)
    return RecordingDetails(recording, tuple(files), removed, tuple(imports))


async def change_recordings(
    deps: RecordingDeps,
    who: str,
    record_ids: Sequence[str],
    changes: RecordingChanges,
    publish: bool | None,
) -> list[Recording]:
    """Change every recording named, or none; return them as they are then.

    Raises Refused, DatabaseDown.
    """
    opened = open_recordings(deps)
    if changes.empty and publish is None:
        raise Refused(RefusalKind.INVALID, "nothing to change")
    async with open_change(deps, opened.store.lock_recordings(record_ids, None)) as locked:
        _check_all_there(record_ids, locked)
        for one in locked.recordings if not changes.empty else ():
            await locked.update(one, metadata=changes.metadata, protected=changes.protected)
        if publish is not None and not await publish_locked(
            deps, opened.files, locked, publish=publish
        ):
            # Raised inside the block, so that nothing of it is committed.
            raise Refused(
                RefusalKind.INVALID,
                "files are missing or cannot be moved; nothing was changed (the log says more)",
            )
    deps.log.info(
        "recordings_changed",
        by=who,
        record_ids=list(record_ids),
        publish=publish,
        protect=changes.protected,
        metadata=[key for key, _ in changes.metadata],
    )
    found = [await opened.store.find_recording(record_id) for record_id in record_ids]
    return [one for one in found if one is not None]


def _check_all_there(record_ids: Sequence[str], locked: LockedRecordings) -> None:
    known = {one.record_id for one in locked.recordings}
    missing = [record_id for record_id in record_ids if record_id not in known]
    if missing:
        raise _unknown(missing)


# --- tenants -------------------------------------------------------------------------------------


async def assign_recordings(
    deps: RecordingDeps, who: str, tenant_id: str, record_ids: Sequence[str], *, force: bool
) -> int:
    """Give recordings to a tenant, without ids every one that is nobody's; return how many.

    Refused: the tenant is unknown, or a recording is another tenant's, unless `force`.
    Raises Refused, DatabaseDown, StoreDown.
    """
    opened = open_recordings(deps)
    if not tenant_id.strip() or "\0" in tenant_id:
        raise Refused(RefusalKind.INVALID, "the id of the tenant is missing")
    if not force and await deps.tenants.store.find_tenant(TenantId(tenant_id)) is None:
        reason = f"no tenant with id {tenant_id} (not its name; --force does it all the same)"
        raise Refused(RefusalKind.NOT_FOUND, reason)
    if record_ids:
        count = await _assign(opened, tenant_id, record_ids, force=force)
    else:
        count = await opened.desk.table.assign_all(tenant_id)
    named = list(record_ids) or "all that were nobody's"
    deps.log.info(
        "recordings_assigned", by=who, tenant=tenant_id, count=count, record_ids=named, force=force
    )
    return count


async def _assign(opened: Opened, tenant_id: str, record_ids: Sequence[str], *, force: bool) -> int:
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
    """What one step of a repair found; `record_id/format` each."""

    checked: int = 0
    next_after: int | None = None
    """Where the next step begins; None: that was the last."""
    moved: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Formats that have no files anywhere."""
    failed: list[str] = field(default_factory=list)


async def repair_recordings(
    deps: RecordingDeps, who: str, *, record_ids: Sequence[str], after: int, dry_run: bool
) -> Repair:
    """Move files that lie in the wrong directory to where the recording's state wants them.

    A step looks at REPAIR_ROWS recordings whose rows' ids are above `after`, or at those named.
    Raises Refused, DatabaseDown.
    """
    opened = open_recordings(deps)
    if record_ids:
        async with opened.store.lock_recordings(record_ids, None) as locked:
            _check_all_there(record_ids, locked)
            page = {one.record_id: _expected(one) for one in locked.recordings}
        repair = Repair(len(page))
    else:
        rows = await opened.desk.table.page(after, REPAIR_ROWS)
        page = {row.record_id: (row.published, row.formats) for row in rows}
        repair = Repair(len(rows), rows[-1].id if len(rows) == REPAIR_ROWS else None)
    wrong = await _look(opened.desk, page, repair)
    if dry_run:
        repair.moved = [f"{record_id}/{name}" for record_id, names in wrong for name in names]
        return repair
    for record_id, _ in wrong:
        await _put_right(opened, record_id, repair)
    if repair.moved or repair.failed:
        deps.log.info("recordings_repaired", by=who, moved=repair.moved, failed=repair.failed)
    return repair


def _expected(recording: Recording) -> tuple[bool, tuple[str, ...]]:
    return recording.published, tuple(shown.format for shown in recording.formats)


async def _look(
    desk: RecordingAdmin, page: dict[str, tuple[bool, tuple[str, ...]]], repair: Repair
) -> list[tuple[str, list[str]]]:
    """Return the recordings with formats in the wrong place, and note the missing ones."""

    def look() -> list[tuple[str, list[str]]]:
        wrong = []
        for record_id, (published, formats) in page.items():
            found = desk.places.where(record_id)
            repair.missing += [f"{record_id}/{name}" for name in formats if name not in found]
            names = [name for name, places in found.items() if places != (published, not published)]
            if names:
                wrong.append((record_id, sorted(names)))
        return wrong

    try:
        return await trio.to_thread.run_sync(look)
    except OSError as error:
        raise _unreadable(error) from error


async def _put_right(opened: Opened, record_id: str, repair: Repair) -> None:
    """Look again under the row's lock, and move."""
    async with opened.store.lock_recordings([record_id], None) as locked:
        for recording in locked.recordings:
            published = recording.published
            move = opened.files.publish if published else opened.files.unpublish
            try:
                found = await trio.to_thread.run_sync(opened.desk.places.where, record_id)
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
