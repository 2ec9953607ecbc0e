"""The admin call `doctor` and its description."""

from __future__ import annotations

from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.schema import TEXT, TRUTH, About, fields, list_of, one_of, record, told
from appliance.doctor.deps import DoctorDeps
from appliance.doctor.doctor import examine
from appliance.doctor.findings import Level

_ABOUT = About(
    "pool",
    "Inspects stores, directories, clocks, secrets and servers, within 10 s.",
    record(
        healthy=told("Whether no check fails.", TRUTH),
        findings=list_of(
            record(
                check=TEXT,
                level=one_of(*(level.value for level in Level)),
                text=TEXT,
                advice=told("What to do next.", TEXT),
            )
        ),
    ),
    {
        "healthy": False,
        "findings": [
            {
                "check": "server bbb1",
                "level": "fail",
                "text": "it rejects calls: the secret is wrong",
                "advice": "`ctl servers update bbb1 --secret S`, with S of `bbb-conf --secret`"
                " there",
            }
        ],
    },
    body=fields(),
    body_example={},
)


async def _doctor(deps: DoctorDeps, call: Call) -> Answer:
    findings = await examine(deps)
    return {
        "healthy": all(finding.level is not Level.FAIL for finding in findings),
        "findings": [
            {
                "check": finding.check,
                "level": finding.level.value,
                "text": finding.text,
                "advice": finding.advice,
            }
            for finding in findings
        ],
    }, 200


DOCTOR_CALLS: tuple[AdminCall[DoctorDeps], ...] = (
    AdminCall("doctor", "POST", _doctor, about=_ABOUT),
)
