"""Imports one tar of the spool: unpack, move the files, write the rows, remove the tar. In this
order, so that whatever ends the process, the tar is still there or everything is in its place.

Every step can be done twice. Truth: spec (recordings, Watcher and importer).
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import trio

from appliance.faults import DatabaseDown
from appliance.instruments import Metrics
from appliance.log import Log
from appliance.recordings.change_notes import ChangeNotes
from appliance.recordings.files import RecordingFiles
from appliance.recordings.import_journal import ImportJournal
from appliance.recordings.import_model import (
    MAX_ATTEMPTS,
    BrokenTar,
    DiskFull,
    HostileTar,
    ImportEntry,
    ImportState,
    SpooledTar,
)
from appliance.recordings.import_plan import ImportPlan, PlannedRecording, plan_import
from appliance.recordings.merge import (
    ImportOutcome,
    ImportRules,
    is_deleted,
    published_after_import,
)
from appliance.recordings.recording import Recording
from appliance.recordings.spool import Spool
from appliance.recordings.store import RecordingStore

MAX_CONCURRENCY = 4
"""Each import keeps a connection to PostgreSQL, two while it moves files; the pool has 10."""
STOP_LIMIT_S = 2.0
INTERRUPTED = "the appliance was killed during each attempt; `ctl recordings retry` starts again"
DELETED = "the recording was deleted; `ctl recordings import --undelete` brings it back"

_FULL = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds until a tar is looked at again."""

    busy_s: float = 5.0
    """Another appliance is at it; should that one die, we take over."""
    database_s: float = 10.0
    retry_s: float = 60.0
    """After a failure, doubled after the second."""
    disk_s: float = 300.0
    """What is no fault of the tar is tried for ever and does not count."""


@dataclass(frozen=True, slots=True)
class Importer:
    """What imports work with."""

    journal: ImportJournal
    recordings: RecordingStore
    spool: Spool
    files: RecordingFiles
    rules: ImportRules
    log: Log
    waits: Waits = Waits()
    max_attempts: int = MAX_ATTEMPTS
    notes: ChangeNotes | None = None
    metrics: Metrics = field(default_factory=Metrics)
    threads: trio.CapacityLimiter = field(
        default_factory=lambda: trio.CapacityLimiter(MAX_CONCURRENCY + 1)
    )
    """Ours alone: a disk that hangs must not stop anything else."""
    stuck: set[SpooledTar] = field(default_factory=set)
    """Tars that are done with and cannot be taken out of the spool; the log has said so."""
    cut_off: set[int] = field(default_factory=set)
    """Imports that the loss of the database interrupted here; their next attempt does not count."""

    async def in_thread(self, call: Callable[[], T]) -> T:
        """Run what blocks; cancelled, it is left to itself (each such call may end anywhere)."""
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self.threads)


async def import_tar(tools: Importer, tar: SpooledTar) -> float | None:
    """Import a tar; return in how many seconds it is to be tried again, None if it is done with.

    Done with: imported and removed, moved to `failed/`, or gone. Logs and journals what it did.
    """
    try:
        async with tools.journal.claim(tar) as entry:
            if entry is None:
                return tools.waits.busy_s
            return await _import_claimed(tools, entry)
    except DatabaseDown as error:
        tools.log.debug("import_waits_for_database", file=tar.name, reason=str(error))
        return tools.waits.database_s


Leftovers = list[tuple[int, str]]
"""Imports that have work directories, and those."""


async def remove_leftovers(tools: Importer, found: Leftovers | None = None) -> Leftovers:
    """Remove what imports that were cut off have unpacked; return what somebody is still at.

    `found` is what an earlier call returned. Without it the disk is looked at: once, before the
    process's first import could leave a thread behind. Raises DatabaseDown, OSError.
    """
    if found is None:
        found = await tools.in_thread(tools.spool.leftovers)
    left = []
    for import_id, work in found:
        async with tools.journal.claim_work(import_id) as free:
            if free:
                await tools.in_thread(partial(tools.spool.discard, work))
            else:
                left.append((import_id, work))
    return left


async def retry_import(tools: Importer, name: str, *, undelete: bool = False) -> bool:
    """Put a tar of `failed/` back into the spool with new tries; False: there is none of the name.

    `undelete` brings back a recording that a user has deleted. Raises DatabaseDown, OSError
    (FileExistsError: the spool has another tar of this name).
    """
    tar = await tools.in_thread(partial(tools.spool.look_failed, name))
    if tar is None:
        return False
    await tools.journal.forgive(tar, undelete=undelete)
    await tools.in_thread(partial(tools.spool.restore, name))
    return True


async def _import_claimed(tools: Importer, entry: ImportEntry) -> float | None:
    tar = entry.tar
    if await tools.in_thread(partial(tools.spool.look, tar.name)) != tar:
        return None  # gone, or replaced: the watcher sees the new one
    if entry.state is ImportState.DONE:  # cut off between the commit and this
        return await _clear(tools, tar, partial(tools.spool.accept, tar))
    if entry.state is ImportState.FAILED:
        reject = partial(tools.spool.reject, tar, entry.error or "failed before")
        return await _clear(tools, tar, reject)
    if entry.wait_s > 0:
        return entry.wait_s
    if entry.attempts >= tools.max_attempts and entry.id not in tools.cut_off:
        return await _give_up(tools, entry, INTERRUPTED)
    return await _attempt(tools, entry)


async def _attempt(tools: Importer, entry: ImportEntry) -> float | None:
    """Import a tar and record how it ended."""
    try:
        return await _unpack_and_place(tools, entry)
    except trio.Cancelled:
        await _stop(tools, entry)
        raise
    except (HostileTar, BrokenTar) as error:
        return await _fail(tools, entry, str(error))
    except DiskFull as error:
        return await _wait(tools, entry, str(error))
    except OSError as error:
        return await _wait(tools, entry, _reason_of(error))
    except DatabaseDown:
        tools.cut_off.add(entry.id)
        raise
    except Exception as error:
        tools.log.error("recording_import_broke", file=entry.tar.name, exc_info=error)
        return await _fail(tools, entry, f"{type(error).__name__}, see the log")


async def _unpack_and_place(tools: Importer, entry: ImportEntry) -> float | None:
    began_s = trio.current_time()
    await tools.journal.begin(entry.id, counts=entry.id not in tools.cut_off)
    tools.cut_off.discard(entry.id)
    work = tools.spool.new_work(entry.id)
    try:
        plan = await _unpack(tools, entry, work)
        if not plan.recordings:
            raise BrokenTar("; ".join(plan.problems) or "no {format}/{recordID} in it")
        await tools.journal.note(entry.id, ImportState.PLACING)
        problems = await _import_recordings(tools, entry, plan)
    except Exception:
        await _discard(tools, work)
        raise
    await _discard(tools, work)
    if problems:
        return await _give_up(tools, entry, "; ".join(problems))
    again_s = await _clear(tools, entry.tar, partial(tools.spool.accept, entry.tar))
    tools.metrics.imports.add("done")
    tools.metrics.import_bytes.add(amount=entry.tar.size)
    tools.log.info(
        "recording_imported",
        file=entry.tar.name,
        bytes=entry.tar.size,
        recordings=[planned.recording.record_id for planned in plan.recordings],
        took_s=round(trio.current_time() - began_s, 3),
    )
    return again_s


async def _stop(tools: Importer, entry: ImportEntry) -> None:
    """Uncount the attempt, since the appliance stops for a reason other than the tar."""
    deadline = trio.current_time() + STOP_LIMIT_S
    with trio.CancelScope(shield=True, deadline=deadline), suppress(DatabaseDown):
        await tools.journal.stop(entry.id)


async def _discard(tools: Importer, work: str) -> None:
    """Remove what was unpacked. What cannot be removed is at the next start: it says nothing about
    the import, which may be done."""
    try:
        await tools.in_thread(partial(tools.spool.discard, work))
    except OSError as error:
        tools.log.warning("import_leftovers_stay", directory=work, reason=error.strerror)


async def _unpack(tools: Importer, entry: ImportEntry, work: str) -> ImportPlan:
    stop = threading.Event()
    try:
        unpack = partial(tools.spool.unpack, entry.tar, work, stop.is_set)
        unpacked = await tools.in_thread(unpack)
    finally:
        stop.set()
    plan = plan_import(unpacked)
    if plan.left_out:
        tools.log.warning("metadata_left_out", file=entry.tar.name, keys=plan.left_out)
    return plan


async def _import_recordings(tools: Importer, entry: ImportEntry, plan: ImportPlan) -> list[str]:
    """Import each recording; return why the tar must be kept all the same."""
    problems = list(plan.problems)
    last = plan.recordings[-1]
    for planned in plan.recordings:
        done = planned is last and not problems
        state = ImportState.DONE if done else ImportState.PLACING
        if not await _import_recording(tools, entry, planned, state):
            problems.append(f"{planned.recording.record_id}: {DELETED}")
    return problems


async def _import_recording(
    tools: Importer, entry: ImportEntry, planned: PlannedRecording, state: ImportState
) -> bool:
    """Move the files, write the rows; False: a user has deleted this recording."""
    recording = planned.recording
    rules = ImportRules(tools.rules.unpublished, tools.rules.protected, entry.undelete)
    known = await tools.recordings.find_recording(recording.record_id)
    if is_deleted(known):
        if not rules.undelete:
            # There are files if this import was cut off when the recording was deleted.
            await tools.in_thread(partial(tools.files.remove, recording.record_id))
            return False
        if tools.notes is not None:
            # A deletion that was cut off after its commit must not be carried out again.
            await tools.in_thread(partial(tools.notes.forget_deletion, recording.record_id))
    for source in planned.sources:
        if source.shown_xml is not None:
            await tools.in_thread(partial(tools.spool.show, source, source.shown_xml))
    published = await _place(tools, planned, known, rules)
    async with _noted(tools, recording.record_id, known is not None):
        result = await tools.journal.write_recording(entry.id, recording, rules, state=state)
        if result.outcome is ImportOutcome.DELETED:  # meanwhile
            await tools.in_thread(partial(tools.files.remove, recording.record_id))
            return False
        # Other formats lie where they were; a user may have moved all of them meanwhile.
        before = published if known is None else known.published
        if not before == published == result.published:
            await _put_right(tools, recording.record_id)
    return True


async def _place(
    tools: Importer, planned: PlannedRecording, known: Recording | None, rules: ImportRules
) -> bool:
    """Move the files of every format to their place; return whether that is a published one.

    Where they must be copied to another file system that is done before: what changes the row of a
    recording waits while it is locked, and not for long.
    """
    files, staged = tools.files, list[str]()
    expected = published_after_import(known, planned.recording, rules)
    try:
        for source in planned.sources:
            stage = partial(files.stage, source.path, source.record_id, source.format)
            staged.append(await tools.in_thread(partial(stage, published=expected)))
        return await _place_staged(tools, planned, staged, known, rules)
    except Exception:
        for path in staged:
            await tools.in_thread(partial(files.unstage, path))
        raise


async def _place_staged(
    tools: Importer,
    planned: PlannedRecording,
    staged: Sequence[str],
    known: Recording | None,
    rules: ImportRules,
) -> bool:
    """Do it while the row is locked: a user who moves the same files waits. What he does after it,
    and before the rows are written, is seen then."""
    recording = planned.recording
    async with tools.recordings.lock_recordings([recording.record_id], None) as locked:
        known = next(iter(locked.recordings), known)
        published = published_after_import(known, recording, rules)
        for source, path in zip(planned.sources, staged, strict=True):
            place = partial(tools.files.place, path, source.record_id, source.format)
            await tools.in_thread(partial(place, published=published))
    return published


@asynccontextmanager
async def _noted(tools: Importer, record_id: str, known: bool) -> AsyncIterator[None]:
    """Note that a user may publish or unpublish a known recording before the block's commit.

    Cut off after it, the import is done, and its files lie where the recording no longer is.
    """
    if tools.notes is None or not known:
        yield
        return
    name = await tools.in_thread(partial(tools.notes.write, [record_id], delete=False))
    yield
    await tools.in_thread(partial(tools.notes.remove, [name]))


async def _put_right(tools: Importer, record_id: str) -> None:
    """Move the files of every format to where they belong now."""
    async with tools.recordings.lock_recordings([record_id], None) as locked:
        for recording in locked.recordings:
            move = tools.files.publish if recording.published else tools.files.unpublish
            for shown in recording.formats:
                await tools.in_thread(partial(move, record_id, shown.format))


async def _fail(tools: Importer, entry: ImportEntry, reason: str) -> float | None:
    attempts = entry.attempts + 1
    if attempts >= tools.max_attempts:
        return await _give_up(tools, entry, reason)
    tools.metrics.imports.add("retried")
    wait_s = tools.waits.retry_s * 2.0 ** (attempts - 1)
    fields = {"file": entry.tar.name, "reason": reason, "attempts": attempts}
    tools.log.warning("recording_import_failed", **fields, wait_s=wait_s)
    await tools.journal.retry_later(entry.id, reason, wait_s=wait_s, counts=True)
    return wait_s


async def _wait(tools: Importer, entry: ImportEntry, reason: str) -> float:
    wait_s = tools.waits.disk_s
    if entry.error != reason:  # once, not at every try
        tools.log.warning("recording_import_waits", file=entry.tar.name, reason=reason)
    await tools.journal.retry_later(entry.id, reason, wait_s=wait_s, counts=False)
    return wait_s


async def _give_up(tools: Importer, entry: ImportEntry, reason: str) -> float | None:
    tools.metrics.imports.add("failed")
    await tools.journal.give_up(entry.id, reason)
    again_s = await _clear(tools, entry.tar, partial(tools.spool.reject, entry.tar, reason))
    tools.log.error("recording_import_given_up", file=entry.tar.name, reason=reason)
    return again_s


async def _clear(tools: Importer, tar: SpooledTar, remove: Callable[[], None]) -> float | None:
    """Take a tar that is done with out of the spool; that alone is tried again if it cannot be."""
    try:
        await tools.in_thread(remove)
    except OSError as error:
        if tar not in tools.stuck:
            tools.log.error("recording_tar_stays", file=tar.name, reason=_reason_of(error))
        tools.stuck.add(tar)
        return tools.waits.disk_s
    tools.stuck.discard(tar)
    return None


def _reason_of(error: OSError) -> str:
    """Say what is wrong, and in which directory: of ours each time the same, so that it is logged
    once."""
    if error.errno in _FULL:
        return _FULL[error.errno]
    name = error.filename2 or error.filename
    where = f" in {os.path.dirname(name)}" if isinstance(name, str) else ""
    return f"{error.strerror or 'I/O error'}{where}"
