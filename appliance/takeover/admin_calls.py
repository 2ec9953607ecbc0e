"""The admin calls about a takeover from Scalelite.

Both work in steps: the client repeats the call with `next` of the answer until it is null.
"""

from __future__ import annotations

import re
from dataclasses import asdict

from appliance.admin_calls import forms as form
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Call
from appliance.admin_calls.forms import BadRequest, Json
from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.takeover import admin_schema as about
from appliance.takeover.deps import TakeoverDeps
from appliance.takeover.findings import TakeoverFinding
from appliance.takeover.healing import heal_step
from appliance.takeover.inspection import Cursor, StepResult, check_step, open_sources

_WHOLE = re.compile(r"[0-9]{1,18}").fullmatch


def step_json(result: StepResult) -> Json:
    """Render the result of a step."""
    return {
        "findings": [_finding_json(one) for one in result.findings],
        "checked": result.checked,
        "total": result.total,
        "next": None if result.next is None else asdict(result.next),
    }


def _finding_json(one: TakeoverFinding) -> Json:
    return {
        "verdict": one.verdict.value,
        "text": one.text,
        "count": one.total,
        "names": list(one.names),
        "advice": one.advice,
    }


def _cursor(call: Call) -> Cursor:
    part, after = form.text(call.fields, "part"), call.fields.get("after", 0)
    if isinstance(after, bool) or not _WHOLE(str(after)):
        raise BadRequest("after must be a whole number, as `next` of an answer has it")
    return Cursor("pool" if part is None else part, int(after))


async def _check(deps: TakeoverDeps, call: Call) -> Answer:
    cursor = _cursor(call)
    sources = open_sources(deps)
    try:
        return step_json(await check_step(sources, deps.settings, cursor)), 200
    except OSError as error:
        raise _unreadable(error) from error


async def _heal(deps: TakeoverDeps, call: Call) -> Answer:
    cursor, dry_run = _cursor(call), form.flag(call.fields, "dry_run")
    try:
        return step_json(await heal_step(deps, call.who, cursor, dry_run=dry_run)), 200
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> Refused:
    reason = f"the directories cannot be read: {error.strerror or 'I/O error'}"
    return Refused(RefusalKind.INVALID, reason)


TAKEOVER_CALLS: tuple[AdminCall[TakeoverDeps], ...] = (
    AdminCall("checkTakeover", "GET", _check, LONG_S, about=about.CHECK),
    AdminCall("healTakeover", "POST", _heal, LONG_S, about=about.HEAL),
)
