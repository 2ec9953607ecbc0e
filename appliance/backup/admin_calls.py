"""The admin calls `writeBackup` and `restoreBackup`, for ctl on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.fields import BadRequest, Fields, Flag, one_of
from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.backup.plan import Count, Mode
from appliance.backup.transfer import (
    HOLD_S,
    BackupDeps,
    Conflicts,
    Counts,
    Part,
    TransferError,
    restore_backup,
    write_backup,
)
from appliance.postgres.errors import DatabaseRefused

_PARTS = tuple(part.value for part in Part)
_MODES = tuple(mode.value for mode in Mode)


class BackupRequest(Fields, frozen=True):
    """writeBackup."""

    part: Annotated[
        str | None, one_of(*_PARTS, refusal=f"part must be one of {', '.join(_PARTS)}")
    ] = None


class RestoreRequest(Fields, frozen=True):
    """restoreBackup."""

    mode: Annotated[
        str | None, one_of(*_MODES, refusal=f"mode must be one of {', '.join(_MODES)}")
    ] = None
    dry_run: Annotated[Flag, Meta(description="Only count.")] = False


class CountJson(Answer, frozen=True):
    """How many objects of one kind a restore adds, keeps and replaces."""

    total: Annotated[int, Meta(description="In the backup.")]
    added: int = 0
    kept: Annotated[int, Meta(description="The stores have them already.")] = 0
    replaced: int = 0


class BackupJson(Answer, frozen=True):
    """writeBackup and restoreBackup."""

    objects: Annotated[dict[str, CountJson], Meta(description="By kind.")]
    failure: Annotated[
        str, Meta(description="Why the database got nothing, although Redis was restored.")
    ] = ""


def counts_json(counts: Counts) -> dict[str, CountJson]:
    """Return counts as the calls answer them."""
    return {name: _count_json(count) for name, count in counts.items()}


def _count_json(count: Count) -> CountJson:
    return CountJson(count.total, count.added, count.kept, count.replaced)


async def _write(deps: BackupDeps, call: Call[BackupRequest]) -> BackupJson:
    part = Part(call.read().part or Part.ALL)
    try:
        counts = await write_backup(deps, _pipe_of(call.file), part=part)
    except (TransferError, DatabaseRefused) as error:
        raise Refused(RefusalKind.INVALID, str(error)) from None
    deps.log.info("backup_written", by=call.who, **_totals(counts))
    return BackupJson(counts_json(counts))


async def _restore(deps: BackupDeps, call: Call[RestoreRequest]) -> BackupJson:
    request = call.read()
    mode = Mode(request.mode or Mode.EMPTY)
    try:
        done = await restore_backup(deps, _pipe_of(call.file), mode, dry_run=request.dry_run)
    except Conflicts as error:
        raise Refused(RefusalKind.CONFIRMATION_NEEDED, str(error)) from None
    except (TransferError, DatabaseRefused) as error:
        raise Refused(RefusalKind.INVALID, str(error)) from None
    if not request.dry_run:
        deps.log.info("backup_restored", by=call.who, mode=str(mode), **_totals(done.counts))
    return BackupJson(counts_json(done.counts), done.failure)


def _pipe_of(file: int | None) -> int:
    if file is None:
        raise BadRequest("a pipe must be passed with the request, as ctl does")
    return file


def _totals(counts: Counts) -> Mapping[str, int]:
    return {name.replace(" ", "_"): count.total for name, count in counts.items() if count.total}


_EXAMPLE = {"servers": CountJson(3, 3), "recordings": CountJson(1204, 1200, 4)}

BACKUP_CALLS: tuple[AdminCall[BackupDeps], ...] = (
    AdminCall(
        name="writeBackup",
        method="POST",
        handler=_write,
        group="backup",
        summary="Writes the pool, secrets included, into a pipe that is passed with the request.",
        example=BackupJson({"servers": CountJson(3), "recordings": CountJson(1204)}),
        role=Role.ADMIN,
        request={"part": "all"},
        logs="backup_written",
        local=True,
        deadline_s=HOLD_S,
    ),
    AdminCall(
        name="restoreBackup",
        method="POST",
        handler=_restore,
        group="backup",
        summary="Restores a pool from a pipe that is passed with the request.",
        example=BackupJson(_EXAMPLE),
        role=Role.ADMIN,
        request={"mode": "empty", "dry_run": False},
        refusals={409: "The stores have something else than the backup."},
        logs="backup_restored",
        local=True,
        deadline_s=HOLD_S,
    ),
)
