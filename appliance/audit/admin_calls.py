"""The admin call `audit`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Call, time_json
from appliance.admin_calls.fields import BadRequest, Fields, Text, limit, reads, text
from appliance.admin_calls.refusal import ErrorAnswer, ErrorJson
from appliance.audit.rules import DONE, AuditEntry, AuditQuery, cut
from appliance.audit.trail import AuditTrail, TrailIncomplete

DEFAULT_LIMIT, MAX_LIMIT = 100, 10_000


def _read_since(fields: Mapping[str, Any], name: str) -> int | None:
    word = text(fields, name)
    if not word:
        return None
    try:
        found = datetime.fromisoformat(word)
        known = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        return round(known.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise BadRequest(f"{name} must be an ISO date or time, as 2026-11-25T10:40:07Z") from None


class AuditRequest(Fields, frozen=True):
    """audit."""

    since: Annotated[
        int | None,
        Meta(description="An ISO date or time; without a zone it is UTC."),
        reads(_read_since, {"type": ["string", "null"]}),
    ] = None
    object: Annotated[Text, Meta(description="A part of the object, in any case.")] = ""
    who: Annotated[Text, Meta(description="A part of who it was, in any case.")] = ""
    limit: Annotated[int, limit(DEFAULT_LIMIT, MAX_LIMIT)] = DEFAULT_LIMIT


Values = Annotated[
    dict[str, Any] | None,
    Meta(description="The values that were changed, without secrets; null: it did not exist."),
]


class AuditEntryJson(Answer, frozen=True):
    """A change."""

    time: Annotated[str, Meta(description="In UTC, as 2026-11-25T10:40:07Z.")]
    who: Annotated[
        str,
        Meta(description="As `uid=0 (root)`, `token NAME ADDRESS`, `checksum ADDRESS`."),
    ]
    call: str
    object: str
    before: Values
    after: Values
    result: Annotated[
        str, Meta(description=f"`{DONE}`, or why it was not; `unknown: …`: it may have been.")
    ]


class AuditIncompleteJson(ErrorJson, frozen=True):
    """The answer while a store is unreachable: the reason, and the entries of the other stores."""

    entries: tuple[AuditEntryJson, ...] = ()


def entry_json(entry: AuditEntry) -> AuditEntryJson:
    """Render an entry."""
    return AuditEntryJson(
        time=time_json(entry.time_ms) or "",
        who=entry.who,
        call=entry.call,
        object=entry.object,
        before=entry.before,
        after=entry.after,
        result=entry.result,
    )


async def _audit(trail: AuditTrail, call: Call[AuditRequest]) -> list[AuditEntryJson]:
    request = call.read()
    query = AuditQuery(request.since, cut(request.object), cut(request.who), request.limit)
    try:
        return list(map(entry_json, await trail.search(query)))
    except TrailIncomplete as error:
        document = AuditIncompleteJson(str(error), entries=tuple(map(entry_json, error.entries)))
        raise ErrorAnswer(503, document) from error


AUDIT_CALLS: tuple[AdminCall[AuditTrail], ...] = (
    AdminCall(
        name="audit",
        method="GET",
        handler=_audit,
        group="audit",
        summary=(
            "The audit trail: all changes that people, programs and the appliance made, "
            "newest first."
        ),
        example=[
            AuditEntryJson(
                time="2026-11-25T10:40:07Z",
                who="token helpdesk 203.0.113.5",
                call="cordonServer",
                object="server 3b6c1f5e-54c9-4a44-9d0c-6a4f7c3d2a10 (bbb1.example.com)",
                before={"state": "enabled"},
                after={"state": "cordoned"},
                result=DONE,
            )
        ],
        request={"since": "2026-11-25", "object": "bbb1", "who": "", "limit": "100"},
        refusals={503: "A store does not answer. `entries` are those that were found elsewhere."},
        role=Role.VIEWER,
        deadline_s=LONG_S,
    ),
)
