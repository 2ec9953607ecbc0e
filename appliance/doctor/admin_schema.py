"""What the admin call `doctor` answers (admin_doctor_calls.py). Pure."""

from __future__ import annotations

from appliance.admin_calls.schema import TEXT, TRUTH, About, fields, list_of, one_of, record, told

DOCTOR = About(
    "pool",
    "Looks at stores, directories, clocks, secrets and servers, for 10 s at most.",
    record(
        healthy=told("Whether nothing fails.", TRUTH),
        findings=list_of(
            record(
                check=TEXT,
                level=one_of("ok", "warn", "fail"),
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
                "text": "it refuses our calls: the secret is wrong",
                "advice": "`ctl servers update bbb1 --secret S`, with S of `bbb-conf --secret`"
                " there",
            }
        ],
    },
    body=fields(),
    body_example={},
)
