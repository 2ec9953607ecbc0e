"""The admin call that erases traces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import LONG_S, AdminCall, Answer, Audited, Call, Snapshot
from appliance.admin_calls.fields import BadRequest, Fields, Flag, OptionalText
from appliance.privacy.deps import PrivacyDeps
from appliance.privacy.erase import erase
from appliance.privacy.store import Subject, TraceKind
from appliance.tenants.administration import match_tenant
from appliance.usage.writer import name_tenants


class EraseRequest(Fields, frozen=True):
    """erase."""

    meeting: Annotated[OptionalText, Meta(description="A meetingID, of every tenant.")] = None
    user: Annotated[OptionalText, Meta(description="Name or id of a user.")] = None
    tenant: Annotated[OptionalText, Meta(description="Id or name of a tenant.")] = None
    dry_run: Annotated[Flag, Meta(description="Only count.")] = False


class ErasedJson(Answer, frozen=True):
    """erase."""

    runs: Annotated[int, Meta(description="Records of meeting runs.")]
    analytics: Annotated[int, Meta(description="Reports, deleted or without the user.")]
    recordings: Annotated[int, Meta(description="Recordings whose metadata were removed.")]
    callbacks: Annotated[int, Meta(description="Calls to front-ends, sent and waiting.")]
    dry_run: bool


async def _erase(deps: PrivacyDeps, call: Call[EraseRequest]) -> ErasedJson:
    request = call.read()
    named = [
        Subject(kind, value)
        for kind in TraceKind
        if (value := getattr(request, kind.value)) is not None and value.strip()
    ]
    if len(named) != 1:
        raise BadRequest("give one of meeting, user and tenant")
    subject, tenant_name = named[0], ""
    if subject.kind is TraceKind.TENANT:
        tenant_id, tenant_name = await _find_tenant(deps, subject.value)
        subject = Subject(TraceKind.TENANT, tenant_id)
    elif subject.kind is TraceKind.MEETING:
        subject = replace(subject, tenant_ids=tuple(await _read_tenants(deps)))
    found = await erase(deps, call.who, subject, tenant_name, dry_run=request.dry_run)
    return ErasedJson(
        found.runs, found.analytics, found.recordings, found.callbacks, request.dry_run
    )


async def _find_tenant(deps: PrivacyDeps, given: str) -> tuple[str, str]:
    """Return id and name, also of a tenant that was removed. Raises Refused."""
    names = await _read_tenants(deps)
    tenant_id = match_tenant(names, given)
    return tenant_id, names[tenant_id]


async def _read_tenants(deps: PrivacyDeps) -> dict[str, str]:
    """Return the names of all tenants by id, also of those that were removed."""
    if deps.usage is None:
        return await deps.recordings.tenants.store.read_names()
    return await name_tenants(deps.usage)


async def _read_subject(deps: PrivacyDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    if answer is None or answer.dry_run:
        return {}
    kinds = [kind.value for kind in TraceKind if call.fields.get(kind.value)]
    return {kind: Snapshot(f"traces of a {kind}", {}) for kind in kinds}


PRIVACY_CALLS: tuple[AdminCall[PrivacyDeps], ...] = (
    AdminCall(
        name="erase",
        method="POST",
        handler=_erase,
        group="privacy",
        summary="Erases the traces of a meeting, a user or a tenant, except in logs and backups.",
        example=ErasedJson(3, 3, 1, 4, False),
        role=Role.ADMIN,
        request={"meeting": "room-7"},
        refusals={404: "There is no such tenant."},
        logs="traces_erased",
        # The trail must not keep what was erased.
        audited=Audited(_read_subject, unchanged=False, shows_fields=False),
        deadline_s=LONG_S,
    ),
)
