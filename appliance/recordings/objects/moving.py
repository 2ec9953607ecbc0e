"""Moves the files of recordings between the disk and the bucket (`ctl recordings move`).

A recording is copied, every file is verified by size and checksum, and only then its source is
removed; what was interrupted is completed by repeating it. Its objects are claimed meanwhile, so no
import and no text track comes in between; users may publish and unpublish it.
Source: docs/object-storage.md.
"""

from __future__ import annotations

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
from appliance.recordings.objects.journal import MOVE, ObjectJournal
from appliance.recordings.objects.mixed_storage import MixedStorage
from appliance.recordings.objects.move_model import Move, MoveResult
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.recording import Recording, is_deleted
from appliance.recordings.store import RecordingStore

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
    if move.to_bucket and not isinstance(deps.files, MixedStorage):
        raise Refused(RefusalKind.INVALID, "there is no bucket: S3_RECORDING is not set")
    before = admin.moves.newest
    if before is not None and before.running:
        raise Refused(RefusalKind.INVALID, "recordings are being moved already")
    move.asked_s = trio.current_time()
    admin.moves.newest = move
    fields = {"count": len(record_ids) or "all", "dry_run": move.dry_run}
    deps.log.info("recordings_moving", by=actor, to=move.to, **fields)
    admin.start_move(partial(_run, deps, actor, record_ids, move))
    return move


def read_move(deps: RecordingDeps) -> Move | None:
    """Return the newest move, and keep it going. Raises Refused."""
    move = open_recordings(deps).admin.moves.newest
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
        if not formats or self.move.dry_run:
            return bool(formats)
        tries, deadline_s = _TRIES, trio.current_time() + _CLAIM_S
        while tries:
            async with self.journal.claim(record_id) as free:
                if free:
                    try:
                        return await self._move_formats(record_id, formats)
                    except FileNotFoundError:
                        tries -= 1  # published or unpublished meanwhile
                        continue
            if trio.current_time() > deadline_s:
                raise _NotMoved("it is being imported or moved; try again")
            await trio.sleep(_BUSY_S)
        raise _NotMoved("it was changed meanwhile; try again")

    async def _move_formats(self, record_id: str, formats: Sequence[str]) -> bool:
        recording = await self.store.find_recording(record_id)
        if recording is None or is_deleted(recording):
            return False
        copy = self._upload if self.move.to_bucket else self._download
        for format in formats:
            await copy(recording, format)
        return True

    async def _upload(self, recording: Recording, format: str) -> None:
        record_id, published = recording.record_id, recording.published
        settle = self._disk.publish if published else self._disk.unpublish
        await self._thread(partial(settle, record_id, format))
        directory = await self._thread(partial(self._disk.find, format, record_id))
        if directory is None:
            return
        names = (str(directory), record_id, format)
        compare = partial(self._objects.compare, *names, published=published)
        new, present = await self._thread(compare)
        await self.journal.note_uploads(MOVE, new)
        store = partial(self._objects.store, *names, published=published, present=present)
        await self._thread(partial(store, transfer=self.move.transfer))
        async with self.store.lock_recordings([record_id], None) as locked:
            await self._follow(locked.recordings, format, published)
            await self.journal.complete_uploads(MOVE, record_id, [format])
            if locked.recordings:
                await self._thread(partial(self._disk.remove, record_id, format))
        await self._thread(self._disk.empty_trash)

    async def _download(self, recording: Recording, format: str) -> None:
        record_id, published = recording.record_id, recording.published
        staged = await self._thread(
            partial(self._disk.new_staged, record_id, format, published=published)
        )
        try:
            fetch = partial(self._objects.fetch, record_id, format, Path(staged))
            fetch = partial(fetch, published=published, transfer=self.move.transfer)
            keys = await self._thread(fetch)
            if not keys:
                raise _NotMoved("it has no files")
            async with self.store.lock_recordings([record_id], None) as locked:
                for now in locked.recordings:
                    place = partial(self._disk.place, staged, record_id, format)
                    await self._thread(partial(place, published=now.published))
                if not locked.recordings:
                    raise _NotMoved("it was deleted meanwhile")
        except BaseException:
            with trio.move_on_after(_UNSTAGE_S, shield=True):
                await self._thread(partial(self._disk.unstage, staged))
            raise
        await self._thread(partial(self._objects.delete, keys))

    async def _follow(self, locked: Sequence[Recording], format: str, published: bool) -> None:
        """Move objects to where the row says now."""
        for now in locked:
            if now.published != published:
                move = self._objects.publish if now.published else self._objects.unpublish
                await self._thread(partial(move, now.record_id, format))

    async def _thread(self, call: Callable[[], T]) -> T:
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self.threads)


class _NotMoved(Exception):
    """A recording was not moved; the text says why."""
