"""The admin calls about moving recordings between the disk and the bucket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Audited, Call, Snapshot
from appliance.admin_calls.fields import Fields, Flag, limit, one_of
from appliance.recordings.admin_types import RECORD_ID, After, Number, StoredTexts
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.objects import moving
from appliance.recordings.objects.move_model import Move

_SHOWN = 1000
PLACES = ("s3", "disk")


class MoveRecordingsRequest(Fields, frozen=True):
    """moveRecordings."""

    to: Annotated[
        str,
        Meta(description="`s3` or `disk`."),
        one_of(*PLACES, refusal="to must be s3 or disk"),
    ] = "s3"
    ids: Annotated[StoredTexts, Meta(description="Only these recordIDs; default: all.")] = ()
    dry_run: Flag = False
    concurrency: Annotated[int, limit(2, moving.MAX_CONCURRENCY)] = 2


class MoveRequest(Fields, frozen=True):
    """getMove."""

    after: After = 0
    dry_run: Annotated[Flag, Meta(description="The newest dry run instead.")] = False


class MovedJson(Answer, frozen=True):
    """A recording of a move."""

    record_id: Annotated[str, Meta(description="Empty: the move itself ended early.")]
    problem: Annotated[str | None, Meta(description="Why it was not moved; null: it was.")]


class MoveJson(Answer, frozen=True):
    """The newest move of this appliance."""

    running: bool
    total: Annotated[Number, Meta(description="Recordings to be moved, as far as known.")]
    done: Number
    bytes: Annotated[Number, Meta(description="Bytes copied so far.")]
    results: Annotated[list[MovedJson], Meta(description="From `after` on, at most 1,000.")]
    next_after: Annotated[Number, Meta(description="`after` of the next call.")]


def _move_json(move: Move | None, after: int) -> MoveJson:
    if move is None:
        return MoveJson(running=False, total=0, done=0, bytes=0, results=[], next_after=0)
    results = move.results[after : after + _SHOWN]
    return MoveJson(
        running=move.running or len(move.results) > after + len(results),
        total=max(0, move.total),
        done=len(move.results),
        bytes=max(0, move.transfer.done_bytes),
        results=[MovedJson(one.record_id, one.problem) for one in results],
        next_after=after + len(results),
    )


async def _start(deps: RecordingDeps, call: Call[MoveRecordingsRequest]) -> MoveJson:
    request = call.read()
    move = Move(request.to == "s3", request.dry_run, request.concurrency)
    return _move_json(await moving.start_move(deps, call.who, request.ids, move), 0)


async def _read_move(deps: RecordingDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    if answer is None:
        return {}
    request = call.read()
    values = {"to": request.to, "ids": list(request.ids) or "all", "dry_run": request.dry_run}
    return {"": Snapshot("recordings", values)}


async def _get(deps: RecordingDeps, call: Call[MoveRequest]) -> MoveJson:
    request = call.read()
    return _move_json(moving.read_move(deps, dry_run=request.dry_run), request.after)


_EXAMPLE = MoveJson(
    running=False,
    total=1,
    done=1,
    bytes=84_912_773,
    results=[MovedJson(RECORD_ID, None)],
    next_after=1,
)

MOVE_CALLS: tuple[AdminCall[RecordingDeps], ...] = (
    AdminCall(
        name="moveRecordings",
        method="POST",
        handler=_start,
        group="recordings",
        summary=(
            "Begins to move recordings to the bucket or to the disk; getMove reports the progress."
        ),
        example=MoveJson(running=True, total=0, done=0, bytes=0, results=[], next_after=0),
        status=202,
        role=Role.ADMIN,
        request={"to": "disk", "dry_run": True},
        logs="recordings_moving",
        audited=Audited(_read_move),
        deadline_s=LONG_S,
    ),
    AdminCall(
        name="getMove",
        method="GET",
        handler=_get,
        group="recordings",
        summary=(
            "The newest move of this appliance: ask again with `next_after` while it is running."
        ),
        example=_EXAMPLE,
        role=Role.VIEWER,
        request={"after": "0", "dry_run": "false"},
    ),
)
