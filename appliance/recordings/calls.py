"""The recording calls of the BBB API: list, publish, update, delete.

Every change locks the rows first and moves the files while they are locked, so that two calls, or a
call and an import, never change one recording concurrently. Source: BigBlueButton API reference;
docs/recordings.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import islice

import trio

from appliance.bbb import errors
from appliance.bbb.errors import ApiError
from appliance.bbb.params import Params, get
from appliance.bbb.signed_request import Caller
from appliance.faults import StoreDown
from appliance.http.streaming import Sink
from appliance.recordings.changes import read_changes, read_switch
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.files import RecordingFiles
from appliance.recordings.filter import RecordingFilter, read_filter, split_ids
from appliance.recordings.objects.mixed_storage import disk_of
from appliance.recordings.playback.tokens import PlaybackTokens
from appliance.recordings.recording import Recording
from appliance.recordings.storage import Storage
from appliance.recordings.store import LockedRecordings, RecordingStore
from appliance.recordings.tenant_view import show_recording
from appliance.recordings.xml import (
    LISTING_END,
    LISTING_HEAD,
    LISTING_TAIL,
    NO_RECORDINGS,
    RecordingWriter,
    render_deleted,
    render_pagination,
    render_published,
    render_updated,
)

_NAMED_IN_LOG = 10


async def list_recordings(deps: RecordingDeps, caller: Caller, params: Params, send: Sink) -> None:
    """Send the answer of getRecordings in pieces, so that memory does not grow with its length.

    Raises ApiError, DatabaseDown, StoreDown; if a piece was sent before, the answer is truncated.
    """
    settings = deps.settings
    wanted = read_filter(params, caller.tenant_id)
    if deps.store is None:
        await send(NO_RECORDINGS + LISTING_END)
        return
    if settings.recordings.api_filtered and not wanted.names_recordings:
        raise ApiError(errors.MISSING_RECORDING_FILTER)
    writer = RecordingWriter(caller.base_url, show_protected=settings.protected.enabled)
    if wanted.matches_nothing:
        listed, total = False, await _count_unlisted(deps.store, wanted)
    else:
        listed, total = await _send_listing(deps, deps.store, wanted, writer, send)
    pagination = render_pagination(wanted.offset, wanted.limit, total) if wanted.paged else b""
    await send((LISTING_TAIL if listed else NO_RECORDINGS) + pagination + LISTING_END)
    if writer.invalid:
        named = sorted(writer.invalid)[:_NAMED_IN_LOG]
        deps.log.warning("recordings_not_xml", count=len(writer.invalid), record_ids=named)


async def _count_unlisted(store: RecordingStore, wanted: RecordingFilter) -> int:
    """Return how many recordings match if the page is of none, since its limit is 0."""
    every_page = replace(wanted, offset=0, limit=None)
    counted = wanted.paged and not every_page.matches_nothing
    return await store.count_listed(every_page) if counted else 0


async def _send_listing(
    deps: RecordingDeps,
    store: RecordingStore,
    wanted: RecordingFilter,
    writer: RecordingWriter,
    send: Sink,
) -> tuple[bool, int]:
    """Send the head and the matching recordings, nothing if there are none.

    Returns whether there are any, and how many on all pages, if pages are wanted.
    """
    async with store.open_listing(wanted) as listing:
        chunk = await listing.next_chunk()
        # Before anything is sent: it may fail.
        total = await store.count_listed(wanted, listing.plan, len(chunk)) if wanted.paged else 0
        head = LISTING_HEAD
        while chunk:
            tokens = await _issue_tokens(deps.tokens, chunk)
            written = [
                writer.write(
                    # A Scalelite on the same stores imports recordings with their scoped ids.
                    show_recording(one) if wanted.tenant_id else one,
                    next(tokens) if one.protected else (),
                )
                for one in chunk
            ]
            await send(head + "".join(written).encode())
            head = b""
            chunk = await listing.next_chunk()
    return not head, total


async def _issue_tokens(
    tokens: PlaybackTokens | None, chunk: Sequence[Recording]
) -> Iterator[Sequence[str]]:
    """Return the tokens of each protected recording of a chunk, in order."""
    protected = [one for one in chunk if one.protected]
    pairs = [(one.record_id, shown.format) for one in protected for shown in one.formats]
    if not pairs:
        return iter([()] * len(protected))
    if tokens is None:
        raise StoreDown("no store of tokens")
    issued = iter(await tokens.issue_tokens(pairs))
    return iter([tuple(islice(issued, len(one.formats))) for one in protected])


async def publish_recordings(deps: RecordingDeps, caller: Caller, params: Params) -> bytes:
    """Publish or unpublish all given recordings that exist. Raises ApiError, DatabaseDown."""
    store, files = deps.require_stores()
    record_ids = _record_ids(params)
    publish = read_switch(get(params, "publish"))
    if publish is None:
        raise ApiError(errors.MISSING_PUBLISH)
    async with open_change(deps, store.lock_recordings(record_ids, caller.tenant_id)) as locked:
        if not locked.recordings:
            raise ApiError(errors.RECORDINGS_NOT_FOUND)
        if not await publish_locked(deps, files, locked, publish=publish):
            raise ApiError(errors.UNABLE_TO_PUBLISH)
    _log_change(deps, "recordings_published" if publish else "recordings_unpublished", locked)
    return render_published(publish)


@asynccontextmanager
async def open_change(
    deps: RecordingDeps, lock: AbstractAsyncContextManager[LockedRecordings]
) -> AsyncIterator[LockedRecordings]:
    """Lock recordings whose files are to be moved, and delete the change notes after the commit.

    If the block or the commit fails, the notes stay, and recovery.py restores consistency. Objects
    follow after the commit.
    """
    async with lock as locked:
        yield locked
    if locked.notes and deps.change_notes is not None:
        with suppress(OSError):
            await trio.to_thread.run_sync(deps.change_notes.remove, locked.notes)
    if deps.work is not None:
        await deps.work.wait_for_objects(locked.moving)


async def _write_note(
    deps: RecordingDeps, locked: LockedRecordings, recordings: Sequence[Recording], *, delete: bool
) -> None:
    """Write a note that files of recordings are about to change. Raises OSError."""
    if deps.change_notes is not None and recordings:
        record_ids = [one.record_id for one in recordings]
        write = partial(deps.change_notes.write, record_ids, delete=delete)
        locked.notes.append(await trio.to_thread.run_sync(write))


async def publish_locked(
    deps: RecordingDeps, files: Storage, locked: LockedRecordings, *, publish: bool
) -> bool:
    """Publish or unpublish locked recordings, all or none; False: none, and the reason is logged.

    Raises DatabaseDown.
    """
    if not await _move(deps, files, locked, publish=publish):
        return False
    for one in locked.recordings:
        await locked.set_published(one, publish)
    if deps.work is not None:
        await locked.queue_object_work(locked.recordings, awaited=True)
    return True


async def _move(
    deps: RecordingDeps, files: Storage, locked: LockedRecordings, *, publish: bool
) -> bool:
    """Move the files of every format on the disk; False: nothing was moved."""
    recordings = locked.recordings
    wanted = [(one.record_id, shown.format) for one in recordings for shown in one.formats]
    disk, missing = disk_of(files), None
    try:
        # A bucket is not asked: if it hangs, the rows would stay locked, and connections in use.
        if disk is files:
            missing = await deps.in_thread(partial(_find_missing, disk, wanted))
        if missing is None:
            await _write_note(deps, locked, recordings, delete=False)
            await trio.to_thread.run_sync(partial(_move_all, disk, wanted, publish=publish))
    except OSError as error:
        record_ids = [one.record_id for one in recordings][:_NAMED_IN_LOG]
        fields = {"record_ids": record_ids, "path": error.filename2 or error.filename}
        deps.log.error("recording_not_moved", reason=error.strerror, publish=publish, **fields)
        return False
    if missing is not None:
        record_id, format = missing
        deps.log.error("recording_files_missing", record_id=record_id, format=format)
    return missing is None


def _find_missing(
    files: RecordingFiles, wanted: Sequence[tuple[str, str]]
) -> tuple[str, str] | None:
    """Return a format without files, None if all have files."""
    for record_id, format in wanted:
        if not files.has(format, record_id):
            return record_id, format
    return None


def _move_all(files: RecordingFiles, wanted: Sequence[tuple[str, str]], *, publish: bool) -> None:
    """Move all or none. Raises OSError, after moving files back."""
    moved: list[tuple[str, str]] = []
    move, move_back = files.publish, files.unpublish
    if not publish:
        move, move_back = move_back, move
    try:
        for record_id, format in wanted:
            there = files.is_published(format, record_id) == publish
            move(record_id, format)
            if not there:
                moved.append((record_id, format))
    except OSError:
        for record_id, format in moved:
            with suppress(OSError):
                move_back(record_id, format)
        raise


async def update_recordings(deps: RecordingDeps, caller: Caller, params: Params) -> bytes:
    """Change metadata and protection of all given recordings, or of none.

    Raises ApiError (notFound: none of them is known), DatabaseDown.
    """
    store, _ = deps.require_stores()
    record_ids = _record_ids(params)
    changes = read_changes(params)
    async with store.lock_recordings(record_ids, caller.tenant_id) as locked:
        # Recordings of other tenants count as unknown, so that their existence is not revealed.
        if not locked.recordings:
            raise ApiError(errors.RECORDINGS_NOT_FOUND)
        if changes is None or changes.empty or len(locked.recordings) != len(record_ids):
            return render_updated(False)
        for one in locked.recordings:
            await locked.update(one, metadata=changes.metadata, protected=changes.protected)
    _log_change(deps, "recordings_updated", locked)
    return render_updated(True)


async def delete_recordings(deps: RecordingDeps, caller: Caller, params: Params) -> bytes:
    """Delete all given recordings that exist; some may be deleted already.

    Raises ApiError, DatabaseDown.
    """
    store, files = deps.require_stores()
    record_ids = _record_ids(params)
    async with open_change(deps, store.lock_recordings(record_ids, caller.tenant_id)) as locked:
        if not locked.recordings:
            if await store.has_deleted(record_ids, caller.tenant_id):
                return render_deleted()
            raise ApiError(errors.RECORDINGS_NOT_FOUND)
        for one in locked.recordings:
            if not await delete_locked(deps, files, locked, one):
                raise ApiError(errors.UNABLE_TO_DELETE)
    _log_change(deps, "recordings_deleted", locked)
    deps.later(empty_trash, deps, files)
    return render_deleted()


async def delete_locked(
    deps: RecordingDeps, files: Storage, locked: LockedRecordings, recording: Recording
) -> bool:
    """Delete one locked recording; False: deleting its files failed, and nothing was changed.

    Raises DatabaseDown.
    """
    try:
        await _write_note(deps, locked, [recording], delete=True)
        await trio.to_thread.run_sync(disk_of(files).remove, recording.record_id)
    except OSError as error:
        record_id = recording.record_id
        deps.log.error("recording_not_deleted", record_id=record_id, reason=error.strerror)
        return False
    await locked.delete(recording)
    if deps.work is not None:
        await locked.queue_object_work([recording])
    return True


async def empty_trash(deps: RecordingDeps, files: Storage) -> None:
    """Remove the files of deleted recordings from the disk."""
    try:
        await trio.to_thread.run_sync(files.empty_trash)
    except OSError as error:
        deps.log.warning("recording_trash_stays", reason=error.strerror)


def _record_ids(params: Params) -> tuple[str, ...]:
    text = get(params, "recordID")
    if not text:
        raise ApiError(errors.MISSING_RECORD_ID)
    return split_ids(text)


def _log_change(deps: RecordingDeps, event: str, locked: LockedRecordings) -> None:
    record_ids = [one.record_id for one in locked.recordings]
    deps.log.info(event, count=len(record_ids), record_ids=record_ids[:_NAMED_IN_LOG])
