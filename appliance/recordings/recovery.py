"""Restores consistency between files and rows after interrupted changes of recordings.

A publishRecordings or deleteRecordings whose process was killed, or whose database failed before
the commit, has moved files but not changed the rows. According to the change note on disk, a move
is undone, a deletion is completed; a note of a completed change is only removed.
"""

from __future__ import annotations

from functools import partial

import trio

from appliance.faults import DatabaseDown
from appliance.recordings.calls import empty_trash
from appliance.recordings.change_notes import ChangeNotes
from appliance.recordings.changes import ChangeNote
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.files import RecordingFiles
from appliance.recordings.objects.mixed_storage import disk_of
from appliance.recordings.recording import Recording
from appliance.recordings.store import LockedRecordings, RecordingStore

FIRST_S = 1.0
INTERVAL_S = 15.0
AGE_S = 10.0
"""A normal change takes less time; a longer one is waited for."""


async def finish_changes_forever(
    deps: RecordingDeps,
    *,
    first_s: float = FIRST_S,
    interval_s: float = INTERVAL_S,
    age_s: float = AGE_S,
) -> None:
    """Process change notes until cancelled: after a start all, later those of at least `age_s`."""
    warned = False
    older_than_s = 0.0
    await trio.sleep(first_s)
    while True:
        try:
            await finish_changes(deps, older_than_s=older_than_s)
            warned, older_than_s = False, age_s
        except DatabaseDown:
            pass  # the database logs the outage
        except OSError as error:
            if not warned:
                warned = True
                reason = error.strerror or "I/O error"
                deps.log.warning("changes_not_finished", reason=reason)
        await trio.sleep(interval_s)


async def finish_changes(deps: RecordingDeps, *, older_than_s: float) -> int:
    """Process all change notes of at least that age; return their number.

    A running change holds the lock of its rows, so this waits for its end. A note that cannot be
    processed, for example on a full disk, does not block the others. Raises DatabaseDown, OSError.
    """
    notes, store = deps.change_notes, deps.store
    if notes is None or store is None or deps.files is None:
        return 0
    files = disk_of(deps.files)
    found = await trio.to_thread.run_sync(partial(notes.read, older_than_s=older_than_s))
    failure: OSError | None = None
    for note in found:
        try:
            await _finish(deps, notes, store, files, note)
        except OSError as error:
            failure = error
    if failure is not None:
        raise failure
    return len(found)


async def _finish(
    deps: RecordingDeps,
    notes: ChangeNotes,
    store: RecordingStore,
    files: RecordingFiles,
    note: ChangeNote,
) -> None:
    repaired = []
    async with store.lock_recordings(note.record_ids, None) as locked:
        for one in locked.recordings:
            if note.delete:
                await _delete(files, locked, one)
                if deps.work is not None:
                    await locked.queue_object_work([one])
                repaired.append(one.record_id)
            elif await trio.to_thread.run_sync(_repair, files, one):
                repaired.append(one.record_id)
    await trio.to_thread.run_sync(notes.remove, [note.name])
    if repaired:
        event = "recordings_deleted" if note.delete else "recording_files_repaired"
        deps.log.info(event, count=len(repaired), record_ids=repaired, by="interrupted change")
    if note.delete:
        deps.later(empty_trash, deps, files)


async def _delete(files: RecordingFiles, locked: LockedRecordings, recording: Recording) -> None:
    await trio.to_thread.run_sync(files.remove, recording.record_id)
    await locked.delete(recording)


def _repair(files: RecordingFiles, recording: Recording) -> bool:
    """Move files to where they belong according to the row; False: nothing to move.

    Raises OSError.
    """
    move = files.publish if recording.published else files.unpublish
    moved = False
    for shown in recording.formats:
        before = files.find(shown.format, recording.record_id)
        move(recording.record_id, shown.format)
        moved |= files.find(shown.format, recording.record_id) != before
    return moved
