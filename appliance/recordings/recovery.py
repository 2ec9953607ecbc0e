"""Brings to its end what was cut off between the files of a recording and its rows.

A publishRecordings or deleteRecordings whose process was killed, or whose database went away before
the commit, has moved files and left the rows as they were. A move goes back to where the rows say;
a deletion is carried out. What is noted and true already is only forgotten.
"""

from __future__ import annotations

from functools import partial

import trio

from appliance.recordings.calls import empty_trash
from appliance.recordings.change_notes import ChangeNotes
from appliance.recordings.changes import ChangeNote
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.files import RecordingFiles
from appliance.recordings.recording import Recording
from appliance.recordings.store import LockedRecordings, RecordingStore


async def finish_changes(deps: RecordingDeps, *, older_than_s: float) -> int:
    """Look at every change noted so long ago; return how many notes there were.

    A change that is still under way holds the lock of its rows, and is waited for. One that cannot
    be brought to its end, on a full disk say, holds up no other.
    Raises DatabaseDown, OSError.
    """
    notes, store, files = deps.change_notes, deps.store, deps.files
    if notes is None or store is None or files is None:
        return 0
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
    mended = []
    async with store.lock_recordings(note.record_ids, None) as locked:
        for one in locked.recordings:
            if note.delete:
                await _delete(files, locked, one)
                mended.append(one.record_id)
            elif await trio.to_thread.run_sync(_put_right, files, one):
                mended.append(one.record_id)
    await trio.to_thread.run_sync(notes.remove, [note.name])
    if mended:
        event = "recordings_deleted" if note.delete else "recordings_put_right"
        deps.log.info(event, count=len(mended), record_ids=mended, by="change cut off")
    if note.delete:
        deps.later(empty_trash, deps, files)


async def _delete(files: RecordingFiles, locked: LockedRecordings, recording: Recording) -> None:
    await trio.to_thread.run_sync(files.remove, recording.record_id)
    await locked.delete(recording)


def _put_right(files: RecordingFiles, recording: Recording) -> bool:
    """Move files to where the row says; False: there was nothing to move. Raises OSError."""
    move = files.publish if recording.published else files.unpublish
    moved = False
    for shown in recording.formats:
        before = files.find(shown.format, recording.record_id)
        move(recording.record_id, shown.format)
        moved |= files.find(shown.format, recording.record_id) != before
    return moved
