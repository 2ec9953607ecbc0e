"""Each admin call, asked as its description shows it: the answer, and the line that a change logs.

A call whose example cannot be done, or whose change is not logged with who made it, fails here.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import trio
from openapi_schema_validator import OAS31Validator

from appliance.admin.openapi import make_document
from appliance.admin.routes import CALLS
from appliance.admin_calls.call import AdminCall
from appliance.audit.rules import AuditEntry, AuditQuery
from tests.doubles.admin_examples import (
    OF_RECORDINGS,
    PREPARED,
    RECORD_ID,
    SERVER_ID,
    SETTING_ID,
    TENANT_ID,
    RecordingRoom,
    open_place,
)
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.settings import SECRET

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

PAGE = Path(__file__).resolve().parents[2] / "docs" / "admin-api.md"
DOCUMENT = json.loads(json.dumps(make_document(CALLS)))
PUBLIC = [call for call in CALLS if not call.local]
CHANGES = [call for call in CALLS if call.logs and call.group != "backup"]
"""Those of backups take a pipe: tests/end_to_end/test_backup.py."""


NEW_SERVER = {"secret": "***", "load_multiplier": 1.0, "tag": ""}
STATE = {"state": "enabled"}
AUDITED: dict[str, tuple[str, dict[str, Any] | None, dict[str, Any] | None]] = {
    "addServer": ("server ", None, {**NEW_SERVER, "state": "disabled"}),
    "servers/self": ("server ", None, {**NEW_SERVER, "state": "disabled"}),
    "forgetServer": (f"retired server {SERVER_ID} (", {}, None),
    "updateServer": (f"server {SERVER_ID} (", {"tag": ""}, {"tag": "lectures"}),
    "deleteServer": (f"server {SERVER_ID} (", {**NEW_SERVER, **STATE}, None),
    "panicServer": (f"server {SERVER_ID} (", STATE, {"state": "disabled"}),
    "enableServer": (f"server {SERVER_ID} (", {}, {}),
    "cordonServer": (f"server {SERVER_ID} (", STATE, {"state": "cordoned"}),
    "disableServer": (f"server {SERVER_ID} (", STATE, {"state": "disabled"}),
    "shareVersion": (
        "share of version 3.0.12",
        {"percent": "no limit"},
        {"percent": 10.0},
    ),
    "addMaintenance": (
        "maintenance window ",
        None,
        {"lead_s": 5400, "reason": "upgrade to 3.0.12", "cancelled": False},
    ),
    "cancelMaintenance": (
        f"maintenance window 8f3a1c07 of server {SERVER_ID}",
        {"lead_s": 0, "cancelled": False},
        None,
    ),
    "syncServers": ("server bbb9.example.com", None, {**NEW_SERVER, **STATE}),
    "addServers": ("server bbb9 (bbb9.example.com)", None, {**NEW_SERVER, "state": "disabled"}),
    "endMeetings": ("meeting room-7", {"tenant_id": None}, None),
    "erase": ("traces of a meeting", None, {}),
    "retryCallbacks": ("callback ", None, {"state": "pending"}),
    "dropCallbacks": ("callback ", None, {"state": "dropped"}),
    "updateRecordings": (
        f"recording {RECORD_ID}",
        {"metadata": {"draft": "yes"}},
        {"metadata": {"course": "Physics"}},
    ),
    "deleteRecordings": (f"recording {RECORD_ID}", {}, {}),
    "repairRecordings": (f"recording {RECORD_ID}/presentation", None, {"moved": True}),
    "addRecordingsToTenant": (
        "recordings without tenant",
        None,
        {"count": 1, "tenant_id": TENANT_ID},
    ),
    "moveRecordings": ("recordings", None, {"to": "disk", "ids": "all", "dry_run": True}),
    "installPlayer": ("player", None, {"version": "5.1.3", "source": SERVER_ID}),
    "pruneRecordings": (f"recording {RECORD_ID}", None, {"state": "deleted"}),
    "retireServer": (f"server {SERVER_ID}", {"state": "disabled"}, None),
    "dismissRecordings": (
        f"recordings owed by server {SERVER_ID}",
        {"owed": [RECORD_ID]},
        {"owed": []},
    ),
    "retryImports": (f"import {RECORD_ID}.tar", None, {"problem": None}),
    "healTakeover": ("takeover pool", None, {"meetings whose server was removed": 1}),
    "prepareHandback": ("handback", {"on": False}, {"on": True}),
    "addTenant": ("tenant ", None, {"name": "academy", "secrets": "***"}),
    "updateTenant": (f"tenant {TENANT_ID}", {"secrets": "***"}, {"secrets": "*** (changed)"}),
    "setTenantLimits": (
        f"limits of tenant {TENANT_ID} (school)",
        {"max_meetings": None},
        {"max_meetings": 20},
    ),
    "deleteTenant": (f"tenant {TENANT_ID} (school)", {"secrets": "***"}, None),
    "addTenantSetting": ("tenant-setting ", None, {"value": "Hello", "override": True}),
    "deleteTenantSetting": (f"tenant-setting {SETTING_ID} (welcome", {"value": "Hello"}, None),
    "addToken": ("token monitoring", None, {"role": "viewer"}),
    "revokeToken": ("token monitoring", {"role": "viewer"}, None),
}
"""What the audit trail says of the example of each change: object, values before and after."""


@pytest.fixture
def room(request: pytest.FixtureRequest, call: AdminCall[Any]) -> RecordingRoom | None:
    """Give a place for recordings to the calls that need one."""
    if call.name not in OF_RECORDINGS:
        return None
    directory = request.getfixturevalue("tmp_path")
    has_bucket = call.name == "moveRecordings"
    return RecordingRoom(request.getfixturevalue("database_url"), directory, has_bucket)


@pytest.mark.parametrize("call", PUBLIC, ids=lambda call: call.name)
async def test_example_is_answered_as_described_and_a_change_is_logged_once(
    call: AdminCall[Any],
    room: RecordingRoom | None,
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
) -> None:
    async with open_place(redis_url, redis_namespace, bbbs, room) as place:
        if call.name in PREPARED:
            await PREPARED[call.name](place)
        before = len(place.public.log.events)

        status, document = await place.ask(call)

        operation = DOCUMENT["paths"][f"/scalelite/api/{call.name}"][call.method.lower()]
        answers = operation["responses"][str(call.status)]["content"]
        schema = {**answers["application/json"]["schema"], "components": DOCUMENT["components"]}
        assert status == call.status, document
        OAS31Validator(schema).validate(document)
        events = place.public.log.events[before:]
        changes = [
            event
            for level, event, fields in events
            if (level, fields.get("by")) == ("info", "checksum 127.0.0.1")
        ]
        assert changes.count(call.logs) == (1 if call.logs else 0), events
        assert call.logs or not changes, f"{call.name} changes something: name it in `logs`"
        assert "SECRET" not in str(events)
        entries = await place.public.res.audit.search(AuditQuery())
        assert len(entries) == (1 if call.logs else 0)
        if call.logs:
            check_entry(entries[0], call.name)


def check_entry(entry: AuditEntry, name: str) -> None:
    """Check what the audit trail says of the example of a call."""
    assert (entry.call, entry.who, entry.result) == (name, "checksum 127.0.0.1", "done")
    assert "SECRET" not in str(entry)
    kind, before, after = AUDITED[name]
    assert entry.object.startswith(kind)
    for expected, values in ((before, entry.before), (after, entry.after)):
        assert (values is None) == (expected is None)
        assert (expected or {}).items() <= (values or {}).items()


@pytest.mark.parametrize(
    "call", [call for call in CHANGES if call.method == "POST"], ids=lambda call: call.name
)
async def test_change_over_the_socket_is_logged_with_uid_and_name(
    call: AdminCall[Any],
    room: RecordingRoom | None,
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
) -> None:
    async with open_place(redis_url, redis_namespace, bbbs, room) as place:
        if call.name in PREPARED:
            await PREPARED[call.name](place)
        before = len(place.public.log.events)

        await place.control.post(call.name, place.body_of(call))

        events = place.public.log.events[before:]
        (by,) = [fields["by"] for _, event, fields in events if event == call.logs]
        assert by.startswith(f"uid={os.getuid()} (")


async def test_python_of_the_documentation_signs_calls_that_are_done(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    text = PAGE.read_text().partition("With Python:\n")[2].partition("\n## ")[0]
    code = textwrap.dedent(text).replace('"ID"', f'"{SERVER_ID}"')
    async with open_place(redis_url, redis_namespace, bbbs) as place:
        code = code.replace("https://bbb.example.org", f"http://127.0.0.1:{place.public.port}")
        done = await trio.run_process(
            [sys.executable, "-c", code],
            env={**os.environ, "ADMIN_SECRET": SECRET, "no_proxy": "*"},
            capture_stdout=True,
        )

        shown, changed = done.stdout.decode().splitlines()
        assert "'state': 'enabled'" in shown
        assert "'state': 'cordoned'" in changed
