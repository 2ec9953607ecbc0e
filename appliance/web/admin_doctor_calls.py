"""The admin call that looks at everything the appliance stands on. Knows no rule and no store."""

from __future__ import annotations

from appliance.core.findings import Level
from appliance.operations.doctor import examine
from appliance.operations.resources import Resources
from appliance.web import admin_doctor_schema as about
from appliance.web.admin_call import AdminCall, Answer, Call


async def _doctor(res: Resources, call: Call) -> Answer:
    findings = await examine(res)
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


DOCTOR_CALLS: tuple[AdminCall, ...] = (AdminCall("doctor", "POST", _doctor, about=about.DOCTOR),)
