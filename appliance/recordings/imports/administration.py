"""The operator's commands for imports: list, import a file, retry failed imports.

A file in the spool or in `failed/` is imported as by the watcher; any other file is unpacked in
place and not changed. Source: docs/recordings.md.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.faults import DatabaseDown
from appliance.recordings.administration import open_recordings
from appliance.recordings.deps import RecordingAdmin, RecordingDeps
from appliance.recordings.imports.deps import Importer
from appliance.recordings.imports.importer import import_tar, retry_import
from appliance.recordings.imports.model import ImportState, ManualImport, SpooledTar
from appliance.recordings.summary import FailedTar, ImportRecord

_FAILED = "failed/"


@dataclass(frozen=True, slots=True)
class ImportOverview:
    """Entries of the import journal, and the files on disk."""

    imports: tuple[ImportRecord, ...]
    count: int
    """Total number of entries."""
    spool: tuple[SpooledTar, ...]
    """Tars in the spool: waiting, being imported, or to be retried."""
    failed: tuple[FailedTar, ...]


@dataclass(frozen=True, slots=True)
class RetryResult:
    """Result of retrying one file."""

    file: str
    problem: str | None
    """None: it is in the spool again."""


async def show_imports(deps: RecordingDeps, *, limit: int, failed: bool) -> ImportOverview:
    """Return the newest entries of the journal, and the files on disk.

    Raises Refused, DatabaseDown.
    """
    admin = open_recordings(deps).admin
    found, count = await admin.history.list_imports(limit=limit, failed=failed)
    try:
        spool = await admin.importer.in_thread(admin.spool.scan)
        rejected = await admin.importer.in_thread(admin.spool.list_failed)
    except OSError as error:
        raise _disk(error) from error
    failures = [await _with_reason(admin, one) for one in rejected]
    return ImportOverview(tuple(found), count, tuple(spool), tuple(failures))


async def _with_reason(admin: RecordingAdmin, one: FailedTar) -> FailedTar:
    """Return a failed tar with the reason of the journal if there is none beside it, as for the
    longest names. Raises DatabaseDown.
    """
    found = None if one.reason else await admin.history.find_tar(one.tar)
    return one if found is None else replace(one, reason=found.error)


async def find_import(
    deps: RecordingDeps, import_id: int
) -> tuple[ImportRecord, ManualImport | None]:
    """Return an entry of the journal, with its progress if it is a manual import of this process.

    Raises Refused, DatabaseDown.
    """
    admin = open_recordings(deps).admin
    found = await admin.history.find_import(import_id)
    if found is None:
        raise Refused(RefusalKind.NOT_FOUND, f"no import with id {import_id}")
    return found, admin.under_way.get(import_id)


# --- manual imports ------------------------------------------------------------------------------


async def start_import(
    deps: RecordingDeps, actor: str, path: str, *, undelete: bool, descriptor: int | None = None
) -> int:
    """Start the import of a file of this machine, and return the id of its journal entry.

    descriptor: of the open file, for one that this process does not see, or may not read.
    If the file is being imported already, for example by the watcher, that import is returned.
    Raises Refused: the file does not exist, or is being imported with other options; DatabaseDown.
    """
    admin = open_recordings(deps).admin
    found, handed = await _find_file(admin, path, descriptor)
    tar = replace(found, name=found.name.removeprefix(_FAILED))
    external = tar.name.startswith("/")
    # While the claim is held, the watcher does not import the file.
    async with admin.importer.journal.claim(tar) as entry:
        if entry is None:
            return await _import_under_way(admin, tar, undelete=undelete)
        await admin.history.restart(entry.id, undelete=undelete)
        if tar != found:
            await _restore(admin.importer, tar.name)
    deps.log.info("import_by_hand", by=actor, file=tar.name, bytes=tar.size, undelete=undelete)
    under_way = admin.under_way[entry.id] = ManualImport(tar.size)
    own = None if handed is None else os.dup(handed)  # the import lasts longer than the call
    importer = _importer_for_file(admin, under_way, own) if external else admin.importer
    job = partial(_import, admin, importer, tar, entry.id, external=external, own=own)
    admin.jobs.run_next(job, "import_by_hand_broke")
    return entry.id


async def _import_under_way(admin: RecordingAdmin, tar: SpooledTar, *, undelete: bool) -> int:
    """Return the running import of a file. Raises Refused: it has other options."""
    found = await admin.history.find_tar(tar)
    if found is None or (undelete and not found.undelete):
        reason = f"{tar.name} is being imported now; try again when that has ended"
        raise Refused(RefusalKind.INVALID, reason)
    return found.id


def _importer_for_file(
    admin: RecordingAdmin, under_way: ManualImport, descriptor: int | None
) -> Importer:
    def progress(size: int) -> None:
        under_way.unpacked += size

    # No automatic retries: the operator sees the error.
    return replace(admin.importer, spool=admin.spool.one_file(progress, descriptor), max_attempts=1)


async def _find_file(
    admin: RecordingAdmin, path: str, descriptor: int | None
) -> tuple[SpooledTar, int | None]:
    """Return a file, and the descriptor if it must be read by that. Raises Refused."""
    if descriptor is None:
        return await _find_path(admin, path), None
    try:
        handed = await admin.importer.in_thread(partial(admin.spool.handed_file, path, descriptor))
    except OSError as error:
        reason = f"{path} cannot be imported: {error.strerror or 'I/O error'}"
        raise Refused(RefusalKind.INVALID, reason) from error
    try:
        found = await _find_path(admin, path)
    except Refused:
        return handed, descriptor
    # Another file may have this path where the service looks, for example in its own /tmp.
    return (found, None) if replace(found, name=path) == handed else (handed, descriptor)


async def _find_path(admin: RecordingAdmin, path: str) -> SpooledTar:
    if not path.startswith("/") or not path.isprintable():
        reason = f"not the absolute path of a file: {path!a}"
        raise Refused(RefusalKind.INVALID, reason)
    try:
        return await admin.importer.in_thread(partial(admin.spool.find_file, path))
    except FileNotFoundError as error:
        reason = f"no file {path} on the appliance's machine"
        there = await admin.importer.in_thread(
            partial(admin.spool.failed_path, path.rpartition("/")[2])
        )
        if there is not None:
            reason += f"; do you mean {there}?"
        raise Refused(RefusalKind.NOT_FOUND, reason) from error
    except PermissionError as error:
        reason = f"the appliance may not read {path}: give its user the right to, or move the file"
        raise Refused(RefusalKind.INVALID, reason) from error
    except OSError as error:
        reason = f"{path} cannot be imported: {error.strerror or 'I/O error'}"
        raise Refused(RefusalKind.INVALID, reason) from error


async def _import(
    admin: RecordingAdmin,
    importer: Importer,
    tar: SpooledTar,
    import_id: int,
    *,
    external: bool,
    own: int | None,
) -> None:
    """Import a file. A file that is not in the spool is not retried by the watcher.

    own: the descriptor that it is read by; closed at the end.
    """
    try:
        await import_tar(importer, tar)
        found = await admin.history.find_import(import_id) if external else None
        if found is not None and found.state is ImportState.WAITING and not found.running:
            reason = found.error or "the file was changed or removed meanwhile"
            await importer.journal.give_up(import_id, reason)
    except DatabaseDown as error:
        importer.log.warning("import_by_hand_cut_off", file=tar.name, reason=str(error))
    finally:
        admin.under_way.pop(import_id, None)
        if own is not None:
            os.close(own)


# --- retries -------------------------------------------------------------------------------------


async def retry_imports(deps: RecordingDeps, actor: str, files: Sequence[str]) -> list[RetryResult]:
    """Move tars from `failed/` back into the spool, to be retried; all of them if `files` is empty.

    Raises Refused, DatabaseDown.
    """
    admin = open_recordings(deps).admin
    try:
        there = await admin.importer.in_thread(admin.spool.list_failed)
    except OSError as error:
        raise _disk(error) from error
    names = list(dict.fromkeys(files)) or [one.tar.name for one in there]
    retried = [RetryResult(name, await _retry(admin, name)) for name in names]
    done = [one.file for one in retried if one.problem is None]
    if done:
        deps.log.info("imports_retried", by=actor, files=done)
    return retried


async def _retry(admin: RecordingAdmin, file: str) -> str | None:
    """Retry one file; return why that is not possible, None if it is."""
    folder, _, name = file.rpartition("/")
    if folder and folder.rpartition("/")[2] != _FAILED.rstrip("/"):
        return "not a file of failed/; `recordings import` imports files from anywhere"
    if "\0" in name:
        return "no such file in failed/"
    try:
        await _restore(admin.importer, name)
    except Refused as refused:
        waiting = {tar.name for tar in await admin.importer.in_thread(admin.spool.scan)}
        if refused.kind is RefusalKind.NOT_FOUND and name in waiting:
            return "it is in the spool already, and tried again by itself"
        return refused.reason
    return None


async def _restore(importer: Importer, name: str) -> None:
    """Move a tar from `failed/` into the spool and reset its attempts.

    Raises Refused, DatabaseDown.
    """
    try:
        if await retry_import(importer, name):
            return
    except FileExistsError as error:
        reason = "the spool has another tar of this name; rename one of the two"
        raise Refused(RefusalKind.INVALID, reason) from error
    except OSError as error:
        raise _disk(error) from error
    reason = "no such file in failed/ any more: have its BBB server send it again"
    raise Refused(RefusalKind.NOT_FOUND, reason)


def _disk(error: OSError) -> Refused:
    reason = f"the spool cannot be used: {error.strerror or 'I/O error'}"
    return Refused(RefusalKind.INVALID, reason)
