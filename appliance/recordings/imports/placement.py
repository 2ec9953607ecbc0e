"""The step of an import that moves the files of a recording to their place: a disk or a bucket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial

import trio

from appliance.faults import DatabaseDown
from appliance.recordings.imports.deps import Importer
from appliance.recordings.imports.merge import ImportRules, published_after_import
from appliance.recordings.imports.plan import PlannedRecording
from appliance.recordings.recording import Recording
from appliance.recordings.storage import Transfer

PROGRESS_S = 1.0


@dataclass(frozen=True, slots=True)
class Placed:
    """Where the files of a recording were moved."""

    published: bool
    uploaded: tuple[str, ...]
    """Formats with new objects."""


async def place_recording(
    importer: Importer,
    import_id: int,
    planned: PlannedRecording,
    known: Recording | None,
    rules: ImportRules,
) -> Placed:
    """Move the files of every format to their place.

    Copying to another file system and uploading are done before the row is locked, so that other
    changes of the recording do not wait long.
    """
    files, staged, uploaded = importer.files, list[str](), list[str]()
    expected = published_after_import(known, planned.recording, rules)
    transfer = Transfer()
    try:
        async with _progress(importer, import_id, transfer):
            for source in planned.sources:
                names = (source.path, source.record_id, source.format)
                new = await importer.in_thread(
                    partial(files.new_objects, *names, published=expected)
                )
                if new is not None:
                    await importer.journal.note_uploads(import_id, new)
                    uploaded.append(source.format)
                stage = partial(files.stage, *names, published=expected, transfer=transfer)
                staged.append(await importer.in_thread(stage))
        published = await _place_staged(importer, planned, staged, known, rules)
    except Exception:
        for path in staged:
            await importer.in_thread(partial(files.unstage, path))
        raise
    return Placed(published, tuple(uploaded))


@asynccontextmanager
async def _progress(importer: Importer, import_id: int, transfer: Transfer) -> AsyncIterator[None]:
    """Write the progress of an upload to the journal, and stop it if the block is left."""
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_note_progress, importer, import_id, transfer)
            try:
                yield
            except Exception as error:
                nursery.cancel_scope.cancel()
                failure: Exception | None = error  # the nursery would wrap it in a group
            else:
                failure = None
            nursery.cancel_scope.cancel()
    finally:
        transfer.stop.set()
    if failure is not None:
        raise failure


async def _note_progress(importer: Importer, import_id: int, transfer: Transfer) -> None:
    noted = 0
    while True:
        await trio.sleep(PROGRESS_S)
        done, total = transfer.done_bytes, transfer.total_bytes
        if done != noted:
            noted = done
            with suppress(DatabaseDown):
                await importer.journal.note_progress(import_id, done, total)


async def _place_staged(
    importer: Importer,
    planned: PlannedRecording,
    staged: Sequence[str],
    known: Recording | None,
    rules: ImportRules,
) -> bool:
    """Move the staged files while the row is locked, so that no user moves them concurrently.

    A change by a user between this and writing the rows is detected then.
    """
    recording = planned.recording
    async with importer.recordings.lock_recordings([recording.record_id], None) as locked:
        known = next(iter(locked.recordings), known)
        published = published_after_import(known, recording, rules)
        for source, path in zip(planned.sources, staged, strict=True):
            place = partial(importer.files.place, path, source.record_id, source.format)
            await importer.in_thread(partial(place, published=published))
    return published


@asynccontextmanager
async def note_changes(importer: Importer, record_id: str, known: bool) -> AsyncIterator[None]:
    """Keep a change note during the block if the recording exists already.

    A user may publish or unpublish it before the commit. If the process then ends, the note makes
    recovery.py move the files of the finished import.
    """
    if importer.notes is None or not known:
        yield
        return
    name = await importer.in_thread(partial(importer.notes.write, [record_id], delete=False))
    yield
    await importer.in_thread(partial(importer.notes.remove, [name]))


async def repair_places(importer: Importer, record_id: str) -> None:
    """Move the files of every format to where they belong according to the row."""
    async with importer.recordings.lock_recordings([record_id], None) as locked:
        for recording in locked.recordings:
            move = importer.files.publish if recording.published else importer.files.unpublish
            for shown in recording.formats:
                await importer.in_thread(partial(move, record_id, shown.format))
