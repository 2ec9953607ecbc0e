"""Imports one tar of the spool: unpack, move the files, write the rows, remove the tar.

After a crash at any point, either the tar still exists or the import is complete; every step can be
repeated. Source: docs/recordings.md.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import trio

from appliance.faults import DatabaseDown
from appliance.recordings.imports.deps import Importer
from appliance.recordings.imports.merge import (
    ImportOutcome,
    ImportRules,
)
from appliance.recordings.imports.model import (
    BrokenTar,
    DiskFull,
    HostileTar,
    ImportEntry,
    ImportState,
    SpooledTar,
)
from appliance.recordings.imports.placement import note_changes, place_recording, repair_places
from appliance.recordings.imports.plan import ImportPlan, PlannedRecording, plan_import
from appliance.recordings.objects.bucket_client import BucketFault
from appliance.recordings.recording import is_deleted
from appliance.system.exhaustion import is_own_limit

STOP_LIMIT_S = 2.0
INTERRUPTED = "the appliance was killed during each attempt; `ctl recordings retry` starts again"
DELETED = "the recording was deleted; `ctl recordings import --undelete` brings it back"

DISK = "disk"
"""Reason of an import that waits for the disk; else it is the error code of the bucket."""
_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}


async def import_tar(importer: Importer, tar: SpooledTar) -> float | None:
    """Import a tar; return the seconds until the next attempt, None if there is none.

    None: the tar was imported and removed, moved to `failed/`, or no longer exists.
    """
    try:
        async with importer.journal.claim(tar) as entry:
            if entry is None:
                return importer.retry_intervals.busy_s
            return await _import_claimed(importer, entry)
    except DatabaseDown as error:
        importer.log.debug("import_waits_for_database", file=tar.name, reason=str(error))
        return importer.retry_intervals.database_s


Leftovers = list[tuple[int, str]]
"""(import id, work directory) of unfinished imports."""


async def remove_leftovers(importer: Importer, found: Leftovers | None = None) -> Leftovers:
    """Remove the work directories of interrupted imports; return those of running ones.

    `found` is the result of an earlier call. Without it the disk is scanned, which must be done
    only once, before the first import of the process. Raises DatabaseDown, OSError.
    """
    if found is None:
        found = await importer.in_thread(importer.spool.leftovers)
    left = []
    for import_id, work in found:
        async with importer.journal.claim_work(import_id) as free:
            if free:
                await importer.in_thread(partial(importer.spool.discard, work))
            else:
                left.append((import_id, work))
    return left


async def retry_import(importer: Importer, name: str) -> bool:
    """Move a tar from `failed/` into the spool and reset its attempts; False: it does not exist.

    Raises DatabaseDown, OSError (FileExistsError: the spool has another tar of this name).
    """
    tar = await importer.in_thread(partial(importer.spool.look_failed, name))
    if tar is None:
        return False
    await importer.journal.reset_attempts(tar)
    await importer.in_thread(partial(importer.spool.restore, name))
    return True


async def _import_claimed(importer: Importer, entry: ImportEntry) -> float | None:
    tar = entry.tar
    if await importer.in_thread(partial(importer.spool.look, tar.name)) != tar:
        # Removed or replaced; the watcher finds the new one. A tar that only seemed to be gone,
        # as with a spool that was not mounted, begins with a new row.
        await importer.journal.forget(entry.id)
        return None
    if entry.state is ImportState.DONE:  # interrupted after the commit
        return await _clear(importer, tar, partial(importer.spool.accept, tar))
    if entry.state is ImportState.FAILED:
        reject = partial(importer.spool.reject, tar, entry.error or "failed before")
        return await _clear(importer, tar, reject)
    if entry.wait_s > 0:
        return entry.wait_s
    if entry.attempts >= importer.max_attempts and entry.id not in importer.interrupted:
        return await _give_up(importer, entry, INTERRUPTED)
    try:
        # Otherwise a large tar would be unpacked at each attempt while the bucket is away.
        await importer.in_thread(importer.files.check)
    except BucketFault as error:
        return await _wait(importer, entry, _reason_of(error), error.code)
    return await _attempt(importer, entry)


async def _attempt(importer: Importer, entry: ImportEntry) -> float | None:
    """Import a tar and record how it ended."""
    try:
        return await _unpack_and_place(importer, entry)
    except trio.Cancelled:
        with trio.CancelScope(shield=True, deadline=trio.current_time() + STOP_LIMIT_S):
            await _stop(importer, entry)
        raise
    except (HostileTar, BrokenTar) as error:
        return await _fail(importer, entry, str(error))
    except DiskFull as error:
        return await _wait(importer, entry, str(error), DISK)
    except _ObjectsBusy as error:
        return await _wait(importer, entry, str(error), "busy", soon=True)
    except BucketFault as error:
        return await _wait(importer, entry, _reason_of(error), error.code)
    except OSError as error:
        soon = is_own_limit(error)
        return await _wait(importer, entry, _reason_of(error), DISK, soon=soon)
    except DatabaseDown:
        importer.interrupted.add(entry.id)
        raise
    except Exception as error:
        importer.log.error("recording_import_broke", file=entry.tar.name, exc_info=error)
        return await _fail(importer, entry, f"{type(error).__name__}, see the log")


async def _unpack_and_place(importer: Importer, entry: ImportEntry) -> float | None:
    began_s = trio.current_time()
    await importer.journal.begin(entry.id, counts=entry.id not in importer.interrupted)
    importer.interrupted.discard(entry.id)
    work = importer.spool.new_work(entry.id)
    try:
        plan = await _unpack(importer, entry, work)
        if not plan.recordings:
            raise BrokenTar("; ".join(plan.problems) or "no {format}/{recordID} in it")
        await importer.journal.note(entry.id, ImportState.PLACING)
        record_ids = [planned.recording.record_id for planned in plan.recordings]
        if importer.in_bucket and not await importer.journal.lock_objects(entry.id, record_ids):
            raise _ObjectsBusy("the recording is being moved, or imported from another tar")
        problems = await _import_recordings(importer, entry, plan)
        again_s = await _end(importer, entry, plan, problems, began_s)
    except Exception:
        await _discard(importer, work)
        raise
    await _discard(importer, work)
    return again_s


async def _end(
    importer: Importer, entry: ImportEntry, plan: ImportPlan, problems: list[str], began_s: float
) -> float | None:
    """Remove the tar of an import whose rows are written, or keep it because of problems."""
    if problems:
        return await _give_up(importer, entry, "; ".join(problems))
    again_s = await _clear(importer, entry.tar, partial(importer.spool.accept, entry.tar))
    importer.metrics.imports.add("done")
    importer.metrics.import_bytes.add(amount=entry.tar.size)
    importer.log.info(
        "recording_imported",
        file=entry.tar.name,
        bytes=entry.tar.size,
        recordings=[planned.recording.record_id for planned in plan.recordings],
        took_s=round(trio.current_time() - began_s, 3),
    )
    return again_s


async def _stop(importer: Importer, entry: ImportEntry) -> None:
    """Uncount the attempt, since the appliance stops for a reason other than the tar."""
    with suppress(DatabaseDown):
        await importer.journal.stop(entry.id)


async def _discard(importer: Importer, work: str) -> None:
    """Remove the unpacked files. A failure does not affect the import; the next start retries."""
    try:
        await importer.in_thread(partial(importer.spool.discard, work))
    except OSError as error:
        importer.log.warning("import_leftovers_stay", directory=work, reason=error.strerror)


async def _unpack(importer: Importer, entry: ImportEntry, work: str) -> ImportPlan:
    stop = threading.Event()
    try:
        unpack = partial(importer.spool.unpack, entry.tar, work, stop.is_set)
        unpacked = await importer.in_thread(unpack)
    finally:
        stop.set()
    plan = plan_import(unpacked, entry.tar.name)
    if plan.left_out:
        importer.log.warning("metadata_left_out", file=entry.tar.name, keys=plan.left_out)
    return plan


async def _import_recordings(importer: Importer, entry: ImportEntry, plan: ImportPlan) -> list[str]:
    """Import each recording; return the problems because of which the tar must be kept."""
    problems = list(plan.problems)
    last = plan.recordings[-1]
    for planned in plan.recordings:
        done = planned is last and not problems
        state = ImportState.DONE if done else ImportState.PLACING
        if not await _import_recording(importer, entry, planned, state):
            problems.append(f"{planned.recording.record_id}: {DELETED}")
    return problems


async def _import_recording(
    importer: Importer, entry: ImportEntry, planned: PlannedRecording, state: ImportState
) -> bool:
    """Move the files and write the rows; False: a user has deleted this recording."""
    recording = planned.recording
    rules = ImportRules(importer.rules.unpublished, importer.rules.protected, entry.undelete)
    known = await importer.recordings.find_recording(recording.record_id)
    if is_deleted(known):
        if not rules.undelete:
            # Files exist if an earlier attempt was interrupted before the recording was deleted.
            await importer.in_thread(partial(importer.files.remove, recording.record_id))
            return False
        if importer.notes is not None:
            # A deletion that was interrupted after its commit must not be repeated.
            await importer.in_thread(partial(importer.notes.forget_deletion, recording.record_id))
    for source in planned.sources:
        if source.shown_xml is not None:
            await importer.in_thread(partial(importer.spool.show, source, source.shown_xml))
    placed = await place_recording(importer, entry.id, planned, known, rules)
    published = placed.published
    async with note_changes(importer, recording.record_id, known is not None):
        result = await importer.journal.write_recording(
            entry.id, recording, rules, state=state, uploaded=placed.uploaded
        )
        if result.outcome is ImportOutcome.DELETED:  # meanwhile
            await importer.in_thread(partial(importer.files.remove, recording.record_id))
            return False
        # The other formats were not moved, and a user may have moved all of them meanwhile.
        before = published if known is None else known.published
        if not before == published == result.published:
            await repair_places(importer, recording.record_id)
    return True


async def _fail(importer: Importer, entry: ImportEntry, reason: str) -> float | None:
    attempts = entry.attempts + 1
    if attempts >= importer.max_attempts:
        return await _give_up(importer, entry, reason)
    importer.metrics.imports.add("retried")
    wait_s = importer.retry_intervals.retry_s * 2.0 ** (attempts - 1)
    fields = {"file": entry.tar.name, "reason": reason, "attempts": attempts}
    importer.log.warning("recording_import_failed", **fields, wait_s=wait_s)
    await importer.journal.retry_later(entry.id, reason, wait_s=wait_s, counts=True)
    return wait_s


async def _wait(
    importer: Importer, entry: ImportEntry, reason: str, kind: str, *, soon: bool = False
) -> float:
    """Retry after the disk's or the bucket's interval; `kind` is the reason in the metrics.

    `soon`: for want of what is free again in seconds.
    """
    intervals = importer.retry_intervals
    wait_s = intervals.disk_s if kind == DISK else intervals.bucket_s
    wait_s = intervals.busy_s if soon else wait_s
    if entry.error != reason:  # logged once, not at every attempt
        importer.log.warning("recording_import_waits", file=entry.tar.name, reason=reason)
    await importer.journal.retry_later(entry.id, reason, wait_s=wait_s, counts=False, reason=kind)
    return wait_s


async def _give_up(importer: Importer, entry: ImportEntry, reason: str) -> float | None:
    importer.metrics.imports.add("failed")
    await importer.journal.give_up(entry.id, reason)
    again_s = await _clear(importer, entry.tar, partial(importer.spool.reject, entry.tar, reason))
    importer.log.error("recording_import_given_up", file=entry.tar.name, reason=reason)
    return again_s


async def _clear(importer: Importer, tar: SpooledTar, remove: Callable[[], None]) -> float | None:
    """Remove a finished tar from the spool; if that fails, only the removal is retried."""
    try:
        await importer.in_thread(remove)
    except OSError as error:
        if tar not in importer.stuck:
            importer.log.error("recording_tar_stays", file=tar.name, reason=_reason_of(error))
        importer.stuck.add(tar)
        return importer.retry_intervals.disk_s
    importer.stuck.discard(tar)
    return None


def _reason_of(error: OSError) -> str:
    """Return the error and its directory: without file names, so that it is logged once."""
    name = error.filename2 or error.filename
    where = f" in {os.path.dirname(name)}" if isinstance(name, str) else ""
    return _FULL.get(error.errno or 0) or f"{error.strerror or 'I/O error'}{where}"


class _ObjectsBusy(Exception):
    """Another import or a move has claimed the objects of a recording."""
