"""The admin calls `doctor` and `inspectServer`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.fields import NoFields
from appliance.doctor.deps import DoctorDeps
from appliance.doctor.doctor import examine, inspect_server
from appliance.doctor.findings import Finding, Level
from appliance.servers.admin_calls import NO_SERVER
from appliance.servers.admin_requests import ServerIdRequest
from appliance.servers.admin_types import SERVER_ID


class FindingJson(Answer, frozen=True):
    """The result of a check."""

    check: str
    level: Level
    text: str
    advice: Annotated[str, Meta(description="What to do next.")]


class DoctorJson(Answer, frozen=True):
    """doctor."""

    healthy: Annotated[bool, Meta(description="Whether no check fails.")]
    findings: list[FindingJson]


class InspectedServerJson(Answer, frozen=True):
    """inspectServer."""

    finding: FindingJson
    answers: bool
    secret_right: bool
    bbb_version: Annotated[str, Meta(description="Empty: not known.")]
    clock_skew_s: Annotated[
        float | None,
        Meta(description="How far its clock is ahead of the appliance's; null: not known."),
    ]


async def _doctor(deps: DoctorDeps, call: Call[NoFields]) -> DoctorJson:
    findings = await examine(deps)
    return DoctorJson(
        healthy=all(finding.level is not Level.FAIL for finding in findings),
        findings=[_finding_json(one) for one in findings],
    )


def _finding_json(one: Finding) -> FindingJson:
    return FindingJson(check=one.check, level=one.level, text=one.text, advice=one.advice)


async def _inspect_server(deps: DoctorDeps, call: Call[ServerIdRequest]) -> InspectedServerJson:
    finding, facts = await inspect_server(deps, call.read().id)
    return InspectedServerJson(
        finding=_finding_json(finding),
        answers=not facts.failure,
        secret_right=not facts.failure and not facts.secret_refused,
        bbb_version=facts.version or "",
        clock_skew_s=facts.skew_s,
    )


DOCTOR_CALLS: tuple[AdminCall[DoctorDeps], ...] = (
    AdminCall(
        name="doctor",
        method="POST",
        handler=_doctor,
        group="pool",
        summary="Inspects stores, directories, clocks, secrets and servers, within 10 s.",
        example=DoctorJson(
            healthy=False,
            findings=[
                FindingJson(
                    check="server bbb1",
                    level=Level.FAIL,
                    text="it rejects calls: the secret is wrong",
                    advice="`ctl servers update bbb1 --secret S`, with S of `bbb-conf --secret` "
                    "there",
                )
            ],
        ),
        role=Role.VIEWER,
    ),
    AdminCall(
        name="inspectServer",
        method="GET",
        handler=_inspect_server,
        group="servers",
        summary="Asks a server for its version and clock, and tries its secret; changes nothing.",
        example=InspectedServerJson(
            finding=FindingJson(
                check=f"server {SERVER_ID}",
                level=Level.OK,
                text="enabled, answers, secret and clock are right, BigBlueButton 3.0.4",
                advice="",
            ),
            answers=True,
            secret_right=True,
            bbb_version="3.0.4",
            clock_skew_s=0.2,
        ),
        request={"id": SERVER_ID},
        refusals=NO_SERVER,
        role=Role.VIEWER,
    ),
)
