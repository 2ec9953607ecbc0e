"""Moves the files of recordings between the disk and the bucket (`ctl recordings move`).

A recording is copied, every file is verified by size and checksum, and only then its source is
removed; what was interrupted is completed by repeating it. A format that is in both places is the
one on the disk. The objects are claimed meanwhile, so no import and no text track comes in between;
users may publish and unpublish the recording.
Source: docs/object-storage.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.faults import DatabaseDown
from appliance.log import Log
from appliance.recordings.administration import open_recordings
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.files import RecordingFiles
from appliance.recordings.imports.model import BrokenTar
from appliance.recordings.objects.journal import MOVE, Claim, ObjectJournal
from appliance.recordings.objects.local_files import local_files
from appliance.recordings.objects.mixed_storage import MixedStorage
from appliance.recordings.objects.move_model import Move, MoveResult
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.objects.work import remove_unfinished
from appliance.recordings.recording import Recording, is_deleted
from appliance.recordings.store import RecordingStore
from appliance.system.threads import run_abandonable

MAX_CONCURRENCY = 4
"""Each recording holds a connection to PostgreSQL, two while its row is locked."""
_LEASE_S = 60.0
"""A move whose progress no client has requested for so long starts no further recording."""
_UNSTAGE_S = 5.0
"""A copy that is not removed by then is removed with the trash."""
_CLAIM_S, _BUSY_S = 15.0, 0.5
"""How long a recording is waited for: after a crash the sweeper removes what the last move left."""
_TRIES = 3
"""For a recording that a user publishes or unpublishes while it is copied."""

T = TypeVar("T")


async def start_move(
    deps: RecordingDeps, actor: str, record_ids: Sequence[str], move: Move
) -> Move:
    """Start to move recordings, all of them without ids, in the background. Raises Refused."""
    admin = open_recordings(deps).admin
    if not isinstance(deps.files, MixedStorage):
        reason = "there is no bucket: set S3_RECORDING=true until everything has been moved"
        raise Refused(RefusalKind.INVALID, reason)
    before = admin.moves.get(move.dry_run)
    if before is not None and before.running:
        progress = f"{len(before.results)} of {before.total or '?'}"
        reason = f"recordings are being moved to {before.to} already ({progress})"
        raise Refused(RefusalKind.INVALID, f"{reason}; try again when that has ended")
    move.asked_s = trio.current_time()
    admin.moves[move.dry_run] = move
    fields = {"count": len(record_ids) or "all", "dry_run": move.dry_run}
    deps.log.info("recordings_moving", by=actor, to=move.to, **fields)
    job = partial(_run, deps, actor, record_ids, move)
    admin.jobs.run_concurrently(job, "recordings_moving_broke")
    return move


def read_move(deps: RecordingDeps, *, dry_run: bool) -> Move | None:
    """Return the newest move or dry run, and keep it going. Raises Refused."""
    move = open_recordings(deps).admin.moves.get(dry_run)
    if move is not None:
        move.asked_s = trio.current_time()
    return move


async def _run(deps: RecordingDeps, actor: str, record_ids: Sequence[str], move: Move) -> None:
    try:
        files = deps.files
        if isinstance(files, MixedStorage) and deps.store is not None and deps.work is not None:
            mover = Mover(files, deps.store, deps.work.journal, move, deps.log)
            await mover.run(record_ids)
    except (DatabaseDown, OSError) as error:
        reason = str(error) if isinstance(error, DatabaseDown) else error.strerror or "I/O error"
        move.results.append(MoveResult("", reason))
    finally:
        move.transfer.stop.set()
        move.running = False
        moved = sum(one.problem is None for one in move.results)
        if not move.dry_run:
            failed = len(move.results) - moved
            deps.log.info("recordings_moved", by=actor, to=move.to, count=moved, failed=failed)


@dataclass(slots=True)
class Mover:
    """Moves recordings; the parts of one move."""

    files: MixedStorage
    store: RecordingStore
    journal: ObjectJournal
    move: Move
    log: Log
    threads: trio.CapacityLimiter = field(
        default_factory=lambda: trio.CapacityLimiter(MAX_CONCURRENCY)
    )

    @property
    def _disk(self) -> RecordingFiles:
        return self.files.disk

    @property
    def _objects(self) -> RecordingObjects:
        return self.files.objects

    async def run(self, record_ids: Sequence[str]) -> None:
        """Move recordings that are not in their new place yet. Raises DatabaseDown, OSError."""
        move = self.move
        listed: Mapping[str, Sequence[str]] = {}
        if record_ids:
            wanted = list(dict.fromkeys(record_ids))
        elif move.to_bucket:
            wanted = await self._thread(self._disk.record_ids)
        else:
            listed = await self._thread(self._objects.formats_of_all)
            wanted = list(listed)
        move.total = len(wanted)
        limiter = trio.CapacityLimiter(min(max(move.concurrency, 1), MAX_CONCURRENCY))
        async with trio.open_nursery() as nursery:
            for record_id in wanted:
                await limiter.acquire_on_behalf_of(record_id)
                if trio.current_time() - move.asked_s > _LEASE_S:
                    move.results.append(MoveResult("", "stopped: no client asks for its progress"))
                    break
                nursery.start_soon(
                    self._limited, limiter, record_id, bool(record_ids), listed.get(record_id)
                )

    async def _limited(
        self,
        limiter: trio.CapacityLimiter,
        record_id: str,
        named: bool,
        formats: Sequence[str] | None,
    ) -> None:
        problem: str | None = None
        try:
            moved = await self._move_one(record_id, named, formats)
            if not moved and (self.move.dry_run or not named):
                self.move.total -= 1  # not in the database, or in its place already
                return
        except (_NotMoved, BrokenTar) as error:
            problem = str(error)
        except DatabaseDown as error:
            problem = f"PostgreSQL cannot be used: {error}"
        except OSError as error:
            problem = error.strerror or "I/O error"
        except Exception as error:
            self.log.error("recording_move_broke", record_id=record_id, exc_info=error)
            problem = f"{type(error).__name__}, see the log"
        finally:
            limiter.release_on_behalf_of(record_id)
        self.move.results.append(MoveResult(record_id, problem))

    async def _move_one(self, record_id: str, named: bool, formats: Sequence[str] | None) -> bool:
        """Move a recording; False: there is nothing to move. Raises _NotMoved, OSError.

        formats: those with files in the old place, if they are known.
        """
        recording = await self.store.find_recording(record_id)
        if recording is None or is_deleted(recording):
            if named:
                raise _NotMoved("no such recording in the database")
            return False
        if formats is None:
            source = self._disk if self.move.to_bucket else self._objects
            formats = sorted(await self._thread(partial(source.where, record_id)))
        if not formats and not await self._thread(partial(self.files.where, record_id)):
            raise _NotMoved("it has no files")
        if self.move.dry_run:
            await self._thread(partial(self._check_names, recording, formats))
        if not formats or self.move.dry_run:
            return bool(formats)
        return await self._move_claimed(record_id, formats)

    async def _move_claimed(self, record_id: str, formats: Sequence[str]) -> bool:
        """Move formats as soon as nothing else has claimed the recording. Raises _NotMoved."""
        tries, deadline_s = _TRIES, trio.current_time() + _CLAIM_S
        while tries:
            async with self.journal.claim(record_id) as claim:
                if claim is not None:
                    try:
                        return await self._move_formats(claim, formats)
                    except FileNotFoundError:
                        tries -= 1  # published or unpublished meanwhile
                        continue
            if trio.current_time() > deadline_s:
                raise _NotMoved("it is being imported or moved; try again")
            await trio.sleep(_BUSY_S)
        raise _NotMoved("it was changed meanwhile; try again")

    def _check_names(self, recording: Recording, formats: Sequence[str]) -> None:
        """Raise BrokenTar if a file cannot be moved to the bucket."""
        record_id, published = recording.record_id, recording.published
        for format in formats if self.move.to_bucket else ():
            if directory := _find_files(self._disk, format, record_id):
                prefix = self._objects.keys.directory(format, record_id, published=published)
                local_files(str(directory), prefix)

    async def _move_formats(self, claim: Claim, formats: Sequence[str]) -> bool:
        recording = await self.store.find_recording(claim.record_id)
        if recording is None or is_deleted(recording):
            return False
        if self.move.to_bucket:
            await self._upload(recording, formats)
        else:
            await self._download(recording, formats, claim)
        return True

    async def _upload(self, recording: Recording, formats: Sequence[str]) -> None:
        record_id, published = recording.record_id, recording.published
        move_to_place = self._disk.publish if published else self._disk.unpublish
        stored = []
        for format in formats:
            await self._thread(partial(move_to_place, record_id, format))
            directory = await self._thread(partial(_find_files, self._disk, format, record_id))
            if directory is None:
                continue
            names = (str(directory), record_id, format)
            compare = partial(self._objects.compare, *names, published=published)
            new, present = await self._thread(compare)
            await self.journal.note_uploads(MOVE, new)
            store = partial(self._objects.store, *names, published=published, present=present)
            await self._thread(partial(store, transfer=self.move.transfer))
            stored.append(format)
        async with self.store.lock_recordings([record_id], None) as locked:
            for format in stored:
                await self._follow(locked.recordings, format, published)
            await self.journal.complete_uploads(MOVE, record_id, stored)
            for format in stored if locked.recordings else ():
                await self._thread(partial(self._disk.remove, record_id, format))
        await self._thread(self._disk.empty_trash)

    async def _download(self, recording: Recording, formats: Sequence[str], claim: Claim) -> None:
        """Copy the formats that the disk does not have, and delete the objects of all.

        A directory on the disk is complete, and what viewers see. Objects beside it are older, or
        of an upload or a deletion that was interrupted.
        """
        record_id = recording.record_id
        await remove_unfinished(self.journal, self._objects, record_id, self._thread)
        known = {shown.format for shown in recording.formats}
        keys, kept, staged = list[str](), list[str](), dict[str, str]()
        try:
            for format in formats:
                if await self._put_in_place(record_id, format):
                    kept.append(format)
                elif found := await self._stage(recording, format, staged):
                    keys += found
                elif format in known:
                    raise _NotMoved("it has no files")
            async with self.store.lock_recordings([record_id], None) as locked:
                if not locked.recordings:
                    raise _NotMoved("it was deleted meanwhile")
                await claim.confirm()
                for format, path in staged.items():
                    place = partial(self._disk.place, path, record_id, format)
                    for now in locked.recordings:
                        # Not left alone when cancelled, as what was staged is removed below.
                        await trio.to_thread.run_sync(
                            partial(place, published=now.published), limiter=self.threads
                        )
        finally:
            with trio.move_on_after(_UNSTAGE_S, shield=True):
                for path in staged.values():  # placed ones do not exist any more
                    await self._thread(partial(self._disk.unstage, path))
        await claim.confirm()
        await self._thread(partial(self._objects.delete, keys))
        for format in kept:
            await self._thread(partial(self._objects.remove, record_id, format))

    async def _put_in_place(self, record_id: str, format: str) -> bool:
        """Return whether the disk has a format, in the place that the row demands by then."""
        async with self.store.lock_recordings([record_id], None) as locked:
            for now in locked.recordings:
                move_to_place = self._disk.publish if now.published else self._disk.unpublish
                await self._thread(partial(move_to_place, record_id, format))
                find = partial(_find_files, self._disk, format, record_id)
                return await self._thread(find) is not None
        raise _NotMoved("it was deleted meanwhile")

    async def _stage(
        self, recording: Recording, format: str, staged: dict[str, str]
    ) -> Sequence[str]:
        """Copy a format beside its place on the disk, and return its keys, none if it has none."""
        record_id, published = recording.record_id, recording.published
        make = partial(self._disk.new_staged, record_id, format, published=published)
        staged[format] = await self._thread(make)
        fetch = partial(self._objects.fetch, record_id, format, Path(staged[format]))
        fetch = partial(fetch, published=published, transfer=self.move.transfer)
        keys = await self._thread(fetch)
        if not keys:
            await self._thread(partial(self._disk.unstage, staged.pop(format)))
        return keys

    async def _follow(self, locked: Sequence[Recording], format: str, published: bool) -> None:
        """Move objects to where the row says now."""
        for now in locked:
            if now.published != published:
                move = self._objects.publish if now.published else self._objects.unpublish
                await self._thread(partial(move, now.record_id, format))

    async def _thread(self, call: Callable[[], T]) -> T:
        return await run_abandonable(call, self.threads)


def _find_files(disk: RecordingFiles, format: str, record_id: str) -> Path | None:
    """Return the directory of a format; None: there is no file in it, so it hides no objects."""
    directory = disk.find(format, record_id)
    if directory is None or not any(names for _, _, names in os.walk(directory, onerror=_fail)):
        return None
    return directory


def _fail(error: OSError) -> None:
    raise error


class _NotMoved(Exception):
    """A recording was not moved; the text says why."""
