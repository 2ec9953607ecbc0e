"""The admin calls about a takeover from Scalelite.

checkTakeover and healTakeover work in steps: the client repeats the call with `next` of the answer
until it is null.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Audited, Call, Snapshot
from appliance.admin_calls.fields import BadRequest, Fields, Flag, reads, text
from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.takeover.deps import TakeoverDeps
from appliance.takeover.findings import TakeoverFinding, Verdict
from appliance.takeover.healing import heal_step
from appliance.takeover.inspection import Cursor, StepResult, check_step, open_sources

_PARTS = ["pool", "servers", "directories", "database", "recordings", "folders", None]
_MAX_AFTER = 10**18 - 1
_WHOLE = re.compile(r"[0-9]{1,18}").fullmatch


# --- requests ------------------------------------------------------------------------------------


def _read_after(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name, 0)
    if isinstance(value, bool) or not _WHOLE(str(value)):
        raise BadRequest(f"{name} must be a whole number, as `next` of an answer has it")
    return int(value)


class CheckTakeoverRequest(Fields, frozen=True):
    """checkTakeover."""

    part: Annotated[str | None, reads(text, {"enum": _PARTS})] = None
    after: Annotated[
        int,
        Meta(description="Progress within the part, from `next`."),
        reads(_read_after, {"type": ["integer", "string"], "minimum": 0, "maximum": _MAX_AFTER}),
    ] = 0


class HealTakeoverRequest(Fields, frozen=True):
    """healTakeover."""

    part: Annotated[str | None, reads(text, {"enum": ["pool", "recordings", None]})] = None
    after: Annotated[
        int,
        Meta(ge=0, le=_MAX_AFTER, description="Progress within the part, from `next`."),
        reads(_read_after),
    ] = 0
    dry_run: Annotated[Flag, Meta(description="Only report what would be done.")] = False


class PrepareHandbackRequest(Fields, frozen=True):
    """prepareHandback."""

    on: Annotated[Flag, Meta(description="Whether to prepare, or to take that back.")] = False


def _cursor(request: CheckTakeoverRequest | HealTakeoverRequest) -> Cursor:
    return Cursor("pool" if request.part is None else request.part, request.after)


# --- answers -------------------------------------------------------------------------------------

Number = Annotated[int, Meta(ge=0)]


class HandbackJson(Answer, frozen=True):
    """The switch after the call."""

    on: bool


class TakeoverFindingJson(Answer, frozen=True):
    """Items of one kind that were found."""

    verdict: Annotated[
        Verdict,
        Meta(
            description="fine; self: the running appliance corrects it; heal: healTakeover "
            "corrects it; person: a person must decide."
        ),
    ]
    text: Annotated[str, Meta(description="Kind of the items.")]
    count: Annotated[int, Meta(ge=0, description="Number of items.")]
    names: Annotated[list[str], Meta(description="Names of the items, where they have names.")]
    advice: Annotated[str, Meta(description="What to do; may be empty.")]


class NextStepJson(Answer, frozen=True):
    """Parameters of the next call."""

    part: str
    after: Number


class TakeoverStepJson(Answer, frozen=True):
    """The result of a step."""

    findings: list[TakeoverFindingJson]
    checked: Annotated[int, Meta(ge=0, description="Recordings that this step inspected.")]
    total: Annotated[
        int, Meta(ge=0, description="All recordings; 0 if this step has not counted them.")
    ]
    next: Annotated[
        NextStepJson | None,
        Meta(description="Parameters of the next call; null: this was the last."),
    ]


def step_json(result: StepResult) -> TakeoverStepJson:
    """Render the result of a step."""
    following = result.next
    return TakeoverStepJson(
        findings=list(map(_finding_json, result.findings)),
        checked=result.checked,
        total=result.total,
        next=None if following is None else NextStepJson(following.part, following.after),
    )


def _finding_json(one: TakeoverFinding) -> TakeoverFindingJson:
    return TakeoverFindingJson(
        verdict=one.verdict,
        text=one.text,
        count=one.total,
        names=list(one.names),
        advice=one.advice,
    )


# --- handlers ------------------------------------------------------------------------------------


async def _check(deps: TakeoverDeps, call: Call[CheckTakeoverRequest]) -> TakeoverStepJson:
    cursor = _cursor(call.read())
    sources = open_sources(deps)
    with _readable():
        return step_json(await check_step(sources, deps.settings, cursor))


async def _heal(deps: TakeoverDeps, call: Call[HealTakeoverRequest]) -> TakeoverStepJson:
    request = call.read()
    with _readable():
        done = await heal_step(deps, call.who, _cursor(request), dry_run=request.dry_run)
        return step_json(done)


async def _prepare_handback(deps: TakeoverDeps, call: Call[PrepareHandbackRequest]) -> HandbackJson:
    on = call.read().on
    await deps.servers.callbacks.handback.prepare(on)
    deps.log.info("handback_prepared", on=on, by=call.who)
    return HandbackJson(on)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = f"the directories cannot be read: {error.strerror or 'I/O error'}"
        raise Refused(RefusalKind.INVALID, reason) from error


async def _read_healed(deps: TakeoverDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    request = call.read()
    if answer is None or request.dry_run or not answer.findings:
        return {}
    values = {one.text: one.count for one in answer.findings}
    return {"": Snapshot(f"takeover {_cursor(request).part}", values)}


async def _read_handback(
    deps: TakeoverDeps, call: Call[Any], answer: Any
) -> Mapping[str, Snapshot]:
    handback = deps.servers.callbacks.handback
    await handback.refresh()
    return {"": Snapshot("handback", {"on": handback.prepared})}


# --- the table -----------------------------------------------------------------------------------

_FINDING_EXAMPLE = TakeoverFindingJson(
    verdict=Verdict.SELF,
    text="meetings whose server was removed",
    count=1,
    names=["room-9"],
    advice="",
)

TAKEOVER_CALLS: tuple[AdminCall[TakeoverDeps], ...] = (
    AdminCall(
        name="checkTakeover",
        method="GET",
        handler=_check,
        group="takeover",
        summary="Inspects a part of what a Scalelite left in the stores; changes nothing.",
        example=TakeoverStepJson(
            findings=[_FINDING_EXAMPLE], checked=0, total=0, next=NextStepJson("servers", 0)
        ),
        request={"part": "pool", "after": "0"},
        deadline_s=LONG_S,
        role=Role.VIEWER,
    ),
    AdminCall(
        name="healTakeover",
        method="POST",
        handler=_heal,
        group="takeover",
        summary=(
            "Repairs a part of it: stale entries in Redis, and files of recordings in "
            "the wrong place."
        ),
        example=TakeoverStepJson(findings=[_FINDING_EXAMPLE], checked=0, total=0, next=None),
        request={"part": "pool", "dry_run": False},
        logs="takeover_healed",
        deadline_s=LONG_S,
        audited=Audited(_read_healed, unchanged=False),
        role=Role.ADMIN,
    ),
    AdminCall(
        name="prepareHandback",
        method="POST",
        handler=_prepare_handback,
        group="takeover",
        summary=(
            "Has servers get the front-ends' own meetingEndedURL, for a hand-back to Scalelite."
        ),
        example=HandbackJson(on=True),
        request={"on": True},
        logs="handback_prepared",
        audited=Audited(_read_handback),
        role=Role.ADMIN,
    ),
)
