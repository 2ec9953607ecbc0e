"""The admin call that looks at everything the appliance stands on. Knows no rule and no store."""

from __future__ import annotations

from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.doctor import admin_schema as about
from appliance.doctor.deps import DoctorDeps
from appliance.doctor.doctor import examine
from appliance.doctor.findings import Level


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
    AdminCall("doctor", "POST", _doctor, about=about.DOCTOR),
)
