"""The admin call `doctor`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.fields import NoFields
from appliance.doctor.deps import DoctorDeps
from appliance.doctor.doctor import examine
from appliance.doctor.findings import Level


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


async def _doctor(deps: DoctorDeps, call: Call[NoFields]) -> DoctorJson:
    findings = await examine(deps)
    return DoctorJson(
        healthy=all(finding.level is not Level.FAIL for finding in findings),
        findings=[
            FindingJson(check=one.check, level=one.level, text=one.text, advice=one.advice)
            for one in findings
        ],
    )


DOCTOR_CALLS: tuple[AdminCall[DoctorDeps], ...] = (
    AdminCall(
        *("doctor", "POST", _doctor, "pool"),
        "Inspects stores, directories, clocks, secrets and servers, within 10 s.",
        DoctorJson(
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
    ),
)
