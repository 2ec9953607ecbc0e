"""An operator's work on imports: the journal, a file imported by hand, failed ones tried again.

A file in the spool or in `failed/` is imported as the watcher would; any other file is unpacked
where it lies and left alone. Truth: spec (administration, recordings); the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.faults import DatabaseDown
from appliance.recordings.administration import open_recordings
from appliance.recordings.deps import RecordingAdmin, RecordingDeps
from appliance.recordings.import_model import ImportState, SpooledTar
from appliance.recordings.importer import Importer, import_tar, retry_import
from appliance.recordings.manual_imports import ManualImport
from appliance.recordings.summary import FailedTar, ImportRecord

_FAILED = "failed/"


@dataclass(frozen=True, slots=True)
class ImportOverview:
    """The journal, and what lies on the disk."""

    imports: tuple[ImportRecord, ...]
    count: int
    """Of lines in all."""
    spool: tuple[SpooledTar, ...]
    """What is in the spool: imported soon, or now, or tried again."""
    failed: tuple[FailedTar, ...]


@dataclass(frozen=True, slots=True)
class Retried:
    """What became of one file that was to be tried again."""

    file: str
    problem: str | None
    """None: it is back in the spool."""


async def show_imports(deps: RecordingDeps, *, limit: int, failed: bool) -> ImportOverview:
    """Return the newest lines of the journal and what lies on the disk.

    Raises Refused, DatabaseDown.
    """
    desk = open_recordings(deps).desk
    found, count = await desk.history.list_imports(limit=limit, failed=failed)
    try:
        spool = await desk.importer.in_thread(desk.spool.scan)
        rejected = await desk.importer.in_thread(desk.spool.list_failed)
    except OSError as error:
        raise _disk(error) from error
    return ImportOverview(tuple(found), count, tuple(spool), tuple(rejected))


async def find_import(
    deps: RecordingDeps, import_id: int
) -> tuple[ImportRecord, ManualImport | None]:
    """Return a line of the journal, and how far it is if it is an import by hand under way here.

    Raises Refused, DatabaseDown.
    """
    desk = open_recordings(deps).desk
    found = await desk.history.find_import(import_id)
    if found is None:
        raise Refused(RefusalKind.NOT_FOUND, f"no import with id {import_id}")
    return found, desk.under_way.get(import_id)


# --- by hand -------------------------------------------------------------------------------------


async def start_import(deps: RecordingDeps, who: str, path: str, *, undelete: bool) -> int:
    """Begin to import a file of this machine, and return the id of its line in the journal.

    One that is being imported already, by the watcher say, is that import.
    Raises Refused: there is no such file, or it is being imported in another way; DatabaseDown.
    """
    desk = open_recordings(deps).desk
    found = await _find_file(desk, path)
    tar = replace(found, name=found.name.removeprefix(_FAILED))
    outside = tar.name.startswith("/")
    # While we have the claim, the watcher leaves alone what comes into the spool.
    async with desk.importer.journal.claim(tar) as entry:
        if entry is None:
            return await _import_under_way(desk, tar, undelete=undelete)
        await desk.history.restart(entry.id, undelete=undelete)
        if tar != found:
            await _restore(desk.importer, tar.name)
    deps.log.info("import_by_hand", by=who, file=tar.name, bytes=tar.size, undelete=undelete)
    under_way = desk.under_way[entry.id] = ManualImport(tar.size)
    tools = _tools_for_file(desk, under_way) if outside else desk.importer
    desk.start(partial(_import, desk, tools, tar, entry.id, outside=outside))
    return entry.id


async def _import_under_way(desk: RecordingAdmin, tar: SpooledTar, *, undelete: bool) -> int:
    """Return the import that somebody else is at. Raises Refused: it is not what is wanted."""
    found = await desk.history.find_tar(tar)
    if found is None or (undelete and not found.undelete):
        reason = f"{tar.name} is being imported now; try again when that has ended"
        raise Refused(RefusalKind.INVALID, reason)
    return found.id


def _tools_for_file(desk: RecordingAdmin, under_way: ManualImport) -> Importer:
    def progress(size: int) -> None:
        under_way.unpacked += size

    # Whoever imports by hand sees what is wrong, and tries again.
    return replace(desk.importer, spool=desk.spool.one_file(progress), max_attempts=1)


async def _find_file(desk: RecordingAdmin, path: str) -> SpooledTar:
    if not path.startswith("/") or not path.isprintable():
        reason = f"not the absolute path of a file: {path!a}"
        raise Refused(RefusalKind.INVALID, reason)
    try:
        return await desk.importer.in_thread(partial(desk.spool.find_file, path))
    except FileNotFoundError as error:
        reason = f"no file {path} on the appliance's machine"
        there = await desk.importer.in_thread(
            partial(desk.spool.failed_path, path.rpartition("/")[2])
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
    desk: RecordingAdmin, tools: Importer, tar: SpooledTar, import_id: int, *, outside: bool
) -> None:
    """Import a file to its end. Nobody comes back to a file outside of the spool that waits."""
    try:
        await import_tar(tools, tar)
        found = await desk.history.find_import(import_id) if outside else None
        if found is not None and found.state is ImportState.WAITING and not found.running:
            reason = found.error or "the file was changed or removed meanwhile"
            await tools.journal.give_up(import_id, reason)
    except DatabaseDown as error:
        tools.log.warning("import_by_hand_cut_off", file=tar.name, reason=str(error))
    finally:
        desk.under_way.pop(import_id, None)


# --- again ---------------------------------------------------------------------------------------


async def retry_imports(deps: RecordingDeps, who: str, files: Sequence[str]) -> list[Retried]:
    """Put tars of `failed/` back into the spool with new tries, all of them if none is named.

    Raises Refused, DatabaseDown.
    """
    desk = open_recordings(deps).desk
    try:
        there = await desk.importer.in_thread(desk.spool.list_failed)
    except OSError as error:
        raise _disk(error) from error
    names = list(dict.fromkeys(files)) or [one.tar.name for one in there]
    retried = [Retried(name, await _retry(desk, name)) for name in names]
    done = [one.file for one in retried if one.problem is None]
    if done:
        deps.log.info("imports_retried", by=who, files=done)
    return retried


async def _retry(desk: RecordingAdmin, file: str) -> str | None:
    """Return why a file is not tried again, None if it is."""
    folder, _, name = file.rpartition("/")
    if folder and folder.rpartition("/")[2] != _FAILED.rstrip("/"):
        return "not a file of failed/; `recordings import` imports files from anywhere"
    if "\0" in name:
        return "no such file in failed/"
    try:
        await _restore(desk.importer, name)
    except Refused as refused:
        waiting = {tar.name for tar in await desk.importer.in_thread(desk.spool.scan)}
        if refused.kind is RefusalKind.NOT_FOUND and name in waiting:
            return "it is in the spool already, and tried again by itself"
        return refused.reason
    return None


async def _restore(tools: Importer, name: str) -> None:
    """Move a tar from `failed/` into the spool, with new tries. Raises Refused, DatabaseDown."""
    try:
        if await retry_import(tools, name):
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
