"""What each token may do: every call, every role, tokens of tenants, and what is hidden from whom.

The tables go through all calls, so that a new call fails here until it is decided what it is.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import trio

from appliance.admin.routes import CALLS, make_admin_calls
from appliance.admin_calls.actors import Actor, Role
from appliance.admin_calls.call import AdminCall
from appliance.audit.rules import AuditQuery
from appliance.audit.trail import RECORD_S
from appliance.bbb.signed_request import Caller
from appliance.callbacks.rules import recording_ready
from appliance.faults import StoreDown
from appliance.model import Tenant, TenantId
from appliance.tenants import administration as tenant_admin
from appliance.tenants.params import TENANT_KEY
from appliance.tenants.values import TenantChange, TenantSetting
from appliance.tokens.rules import Token, digest_of
from tests.doubles.admin_examples import (
    BASE,
    MEETING_ID,
    RECORD_ID,
    SERVER_ID,
    TENANT_ID,
    Place,
    RecordingRoom,
    open_place,
)
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import open_features
from tests.doubles.public import Answer, open_public
from tests.doubles.recording_admin_bench import add_with_files
from tests.doubles.recordings import make_recording
from tests.doubles.redis_processes import redis_process
from tests.doubles.settings import SECRET
from tests.doubles.signing import sign_url

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

EMPTY = "servers: {}"
PUBLIC = [call for call in CALLS if not call.local]
OTHER_ID = TenantId("0e9c1f6a-1b7d-4e0e-8d3c-5a2b6f4d9c11")
RECORDS = {TENANT_ID: f"{'a' * 40}-1700000000001", OTHER_ID: f"{'b' * 40}-1700000000002"}
NOBODYS_RECORD = f"{'c' * 40}-1700000000003"


@dataclass(frozen=True, slots=True)
class Bearer:
    """A client with a token."""

    place: Place
    secret: str

    async def ask(
        self, name: str, method: str = "GET", body: Any = None, **query: str
    ) -> tuple[int, Any]:
        """Make a call; return status and JSON."""
        answer = await self.send(name, method, body, **query)
        return answer.status, json.loads(answer.body)

    async def send(self, name: str, method: str = "GET", body: Any = None, **query: str) -> Answer:
        """Make a call. body: bytes are sent as they are."""
        target = f"{BASE}/{name}" + (f"?{urlencode(query)}" if query else "")
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        headers = [f"Authorization: Bearer {self.secret}", "Content-Type: application/json"]
        data = data if method != "GET" else b""
        return await self.place.public.ask(method, target, headers=headers, body=data)


async def bearer_of(place: Place, role: Role, tenant_id: TenantId | None = None) -> Bearer:
    """Add a token and return a client that has it."""
    secret = f"sla_{role}{tenant_id or ''}"
    token = Token(f"{role}-{tenant_id or 'pool'}", role, tenant_id, 0, None)
    assert await place.pool.res.tokens.store.add(token, digest_of(secret))
    return Bearer(place, secret)


# --- roles ---------------------------------------------------------------------------------------

ROLES = {
    Role.VIEWER: {
        *(
            "getServers",
            "clusterProxy",
            "getServerInfo",
            "getServerMeetings",
            "inspectServer",
            "getStatus",
        ),
        *("getRetiredServers", "getRefusedUploads", "getOwedRecordings"),
        *("doctor", "listMeetings", "getMeetingInfo", "listCallbacks", "listAnalytics"),
        *("listRecordings", "getRecordingInfo", "getExpiredRecordings", "getImports", "getImport"),
        *("checkTakeover", "getTenants", "getTenantInfo", "getTenantSettings", "audit"),
        *("getMove", "getEvents", "followEvents", "getActivity", "usage", "usageTimetable"),
        *(
            "getTenantLimits",
            "showTenant",
            "capacity",
            "autoscalePlan",
            "listMaintenance",
            "getVersions",
        ),
        *("getTenantLimits", "showTenant", "capacity", "autoscalePlan", "getPlayer"),
    },
    Role.OPERATOR: {
        *("updateServer", "enableServer", "cordonServer", "disableServer", "panicServer", "poll"),
        *("endMeetings", "retryImports", "retryCallbacks", "updateRecordings"),
        *("addMaintenance", "cancelMaintenance", "shareVersion", "servers/self", "retireServer"),
    },
    Role.ADMIN: {
        *("deleteRecordings", "forgetServer", "dismissRecordings"),
        *("addServer", "addServers", "deleteServer", "syncServers", "exportServers"),
        *("acceptEmpty", "addTenant", "updateTenant", "deleteTenant", "addTenantSetting"),
        *("deleteTenantSetting", "dropCallbacks", "getAnalytics", "repairRecordings"),
        *("addRecordingsToTenant", "pruneRecordings", "importRecording", "healTakeover"),
        *(
            "moveRecordings",
            "installPlayer",
            "prepareHandback",
            "erase",
            "listTokens",
            "addToken",
            "revokeToken",
            "setTenantLimits",
            "writeBackup",
            "restoreBackup",
        ),
    },
}


def test_role_of_each_call_was_decided() -> None:
    found = {role: {call.name for call in CALLS if call.role is role} for role in Role}

    assert found == ROLES


async def test_call_is_refused_to_lower_roles_before_its_fields_are_read(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_place(redis_url, redis_namespace, bbbs) as place:
        for role in Role:
            bearer = await bearer_of(place, role)
            for call in PUBLIC:
                body = b"{" if call.method != "GET" else None
                status, document = await bearer.ask(call.name, call.method, body)

                about = (call.name, role, document)
                if not role.includes(call.role):
                    assert status == 403, about
                    assert f"needs the role {call.role}" in document["error"]
                elif call.method != "GET":
                    assert (status, document["error"]) == (400, "the body is not valid JSON"), about
                else:
                    assert status not in (401, 403), about
        assert not place.public.log.errors


async def test_operator_changes_a_server_but_not_its_secret_nor_url(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_place(redis_url, redis_namespace, bbbs) as place:
        bearer = await bearer_of(place, Role.OPERATOR)
        values: tuple[dict[str, Any], ...] = (
            {"server": {"secret": "new"}},
            {"server": {"url": "https://evil.example/bigbluebutton/api", "tag": "a"}},
            {"secret": "new", "load_multiplier": "nonsense"},
        )
        for fields in values:
            status, _ = await bearer.ask("updateServer", "POST", {"id": SERVER_ID, **fields})
            assert status == 403

        body = {"id": SERVER_ID, "server": {"state": "cordon", "tag": "a", "secret": ""}}
        status, changed = await bearer.ask("updateServer", "POST", body)

        assert (status, changed["state"], changed["tag"]) == (200, "cordoned", "a")
        assert changed["secret"] == "***"
        server = await place.pool.server(SERVER_ID)
        assert (server.url, server.secret) == (bbbs[0].url, bbbs[0].secret)
        events = place.public.log.named("server_changed")
        assert events[-1]["by"] == "token operator-pool 127.0.0.1"


# --- secrets -------------------------------------------------------------------------------------

HIDDEN = "hidden-word"
LEFT_OUT = {"disableServer", "panicServer", "endMeetings", "doctor", "inspectServer", "poll"}
"""Calls that would take away what others show, or take long; their answers have no secrets."""


async def test_only_admins_see_secrets(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    database_url: str,
    tmp_path: Path,
) -> None:
    room = RecordingRoom(database_url, tmp_path)
    async with open_place(redis_url, redis_namespace, bbbs, room) as place:
        await have_secrets(place)
        secrets = [HIDDEN.encode(), *(bbb.secret.encode() for bbb in bbbs)]
        shown: dict[Role, set[str]] = {role: set() for role in Role}
        for role in Role:
            bearer = await bearer_of(place, role)
            for call in PUBLIC:
                if call.role is not Role.ADMIN and call.name not in LEFT_OUT:
                    answer = await ask_example(place, bearer, call)
                    if any(secret in answer.body for secret in secrets):
                        shown[role].add(call.name)

        assert shown[Role.VIEWER] == shown[Role.OPERATOR] == set()
        assert shown[Role.ADMIN] == {
            *("getServers", "getServerInfo", "updateServer", "getTenants", "getTenantInfo"),
            *("getTenantSettings", "listCallbacks", "getRecordingInfo", "getMeetingInfo"),
            "showTenant",
            "updateRecordings",
        }
        assert not place.public.log.errors


async def have_secrets(place: Place) -> None:
    """Have a secret wherever there can be one."""
    res = place.pool.res
    change = TenantChange(
        secrets=HIDDEN,
        lrs_endpoint="https://lrs.example.org",
        lrs_password=HIDDEN,
        kc_client_secret=HIDDEN,
        kc_password=HIDDEN,
    )
    await tenant_admin.update_tenant(res.tenants, "test", TENANT_ID, change)
    setting = TenantSetting("", TENANT_ID, "moderatorPW", HIDDEN, True, "create")
    await tenant_admin.add_setting(res.tenants, "test", setting)
    assert place.recordings is not None
    metadata = (("callback", f"https://a.example/?token={HIDDEN}"), ("api-key", HIDDEN))
    made = make_recording(RECORD_ID, metadata=metadata, meeting_id="math-101")
    await add_with_files(place.recordings, made)
    await place.pool.create(MEETING_ID, **{"meta_x-secret": HIDDEN})
    url = f"https://lms.example.org/ready/{HIDDEN}"
    callback = recording_ready(url, meeting_id="m", record_id="r")
    assert await res.callbacks.queue.enqueue(callback, dedup_key="example")


async def ask_example(place: Place, bearer: Bearer, call: AdminCall[Any]) -> Answer:
    """Ask a call as its example does."""
    if call.method == "GET":
        return await bearer.send(call.name, **dict(call.request))
    return await bearer.send(call.name, call.method, place.body_of(call))


# --- tenants -------------------------------------------------------------------------------------


async def see_meetings(bearer: Bearer) -> None:
    """listMeetings: all are its own, and others are unknown."""
    _, every = await bearer.ask("listMeetings", "POST")
    _, some = await bearer.ask("listMeetings", "POST", {"ids": ["own", "foreign", "nobodys"]})

    assert [one["id"] for one in every["meetings"]] == ["own"]
    assert [one["id"] for one in some["meetings"]] == ["own"]
    assert some["unknown"] == ["foreign", "nobodys"]


async def see_a_meeting(bearer: Bearer) -> None:
    """getMeetingInfo: of its own."""
    status, own = await bearer.ask("getMeetingInfo", id="own")
    assert (status, own["id"]) == (200, "own")
    for meeting_id in ("foreign", "nobodys"):
        status, document = await bearer.ask("getMeetingInfo", id=meeting_id)
        assert (status, document["error"]) == (404, f"no meeting with id {meeting_id}")


async def end_meetings(bearer: Bearer) -> None:
    """endMeetings: its own; `all` means all of its own."""
    _, some = await bearer.ask("endMeetings", "POST", {"ids": ["foreign", "nobodys"]})
    assert some == {"meetings": [], "unknown": ["foreign", "nobodys"]}
    _, every = await bearer.ask("endMeetings", "POST", {"all": True})
    assert [one["id"] for one in every["meetings"]] == ["own"]
    meetings = await bearer.place.pool.res.pool.records.list_meetings()
    assert sorted(one.id for one in meetings) == ["foreign", "nobodys"]


async def see_recordings(bearer: Bearer) -> None:
    """listRecordings: its own, whatever tenant is asked for."""
    for query in ({}, {"tenant_id": TENANT_ID}):
        _, own = await bearer.ask("listRecordings", **query)
        assert [one["record_id"] for one in own["recordings"]] == [RECORDS[TENANT_ID]]
        assert own["count"] == 1
    _, others = await bearer.ask("listRecordings", tenant_id=OTHER_ID)
    assert others == {"recordings": [], "count": 0}


async def see_a_recording(bearer: Bearer) -> None:
    """getRecordingInfo: of its own, without the imports, which may have other tenants' ids."""
    status, own = await bearer.ask("getRecordingInfo", id=RECORDS[TENANT_ID])
    assert (status, own["record_id"], own["imports"]) == (200, RECORDS[TENANT_ID], [])
    for record_id in (RECORDS[OTHER_ID], NOBODYS_RECORD):
        status, document = await bearer.ask("getRecordingInfo", id=record_id)
        assert (status, document["error"]) == (404, f"no recording with id {record_id}")


async def change_recordings(bearer: Bearer) -> None:
    """updateRecordings: its own, and none if others are among them; the tenant stays."""
    own = RECORDS[TENANT_ID]
    for ids in ([RECORDS[OTHER_ID]], [own, NOBODYS_RECORD]):
        body = {"ids": ids, "publish": False}
        assert (await bearer.ask("updateRecordings", "POST", body))[0] == 404
    body = {"ids": [own], "metadata": {TENANT_KEY: OTHER_ID}}
    assert (await bearer.ask("updateRecordings", "POST", body))[0] == 400
    _, changed = await bearer.ask("updateRecordings", "POST", {"ids": [own], "publish": False})
    assert [(one["record_id"], one["published"]) for one in changed] == [(own, False)]


async def see_settings(bearer: Bearer) -> None:
    """getTenantSettings: its own."""
    for query in ({}, {"tenant_id": TENANT_ID}, {"tenant_id": "School"}):
        _, own = await bearer.ask("getTenantSettings", **query)
        assert [one["tenant_id"] for one in own] == [TENANT_ID]
    for query in ({"tenant_id": OTHER_ID}, {"tenant_id": "other"}, {"tenant_id": "none"}):
        assert (await bearer.ask("getTenantSettings", **query))[0] == 404


async def see_limits(bearer: Bearer) -> None:
    """getTenantLimits, showTenant: its own."""
    for call in ("getTenantLimits", "showTenant"):
        for query in ({}, {"id": TENANT_ID}, {"id": "School"}):
            _, own = await bearer.ask(call, **query)
            assert own["id"] == TENANT_ID
        for foreign in (OTHER_ID, "other", "unknown"):
            assert (await bearer.ask(call, id=foreign))[0] == 404


async def see_usage(bearer: Bearer) -> None:
    """usage: its own, and without the servers; tests/usage/ has the figures."""
    assert (await bearer.ask("usage"))[0] == 200
    assert (await bearer.ask("usage", tenant=TENANT_ID))[0] == 200
    assert (await bearer.ask("usage", tenant=OTHER_ID))[0] == 404
    assert (await bearer.ask("usage", tenant="other"))[0] == 404
    assert (await bearer.ask("usage", by="server"))[0] == 400


OF_TENANTS: dict[str, Callable[[Bearer], Awaitable[None]]] = {
    "listMeetings": see_meetings,
    "getMeetingInfo": see_a_meeting,
    "listRecordings": see_recordings,
    "getRecordingInfo": see_a_recording,
    "getTenantSettings": see_settings,
    "getTenantLimits": see_limits,
    "showTenant": see_limits,
    "usage": see_usage,
    "updateRecordings": change_recordings,
    "endMeetings": end_meetings,
}
"""The calls that a tenant's token may make, and the test that each keeps to the tenant."""


def test_every_call_of_tenants_has_its_test() -> None:
    assert {call.name for call in CALLS if call.of_tenants} == set(OF_TENANTS)


async def test_token_of_a_tenant_reaches_only_what_is_the_tenants(
    redis_url: str,
    redis_namespace: str,
    bbbs: list[BbbProcess],
    database_url: str,
    tmp_path: Path,
) -> None:
    room = RecordingRoom(database_url, tmp_path)
    async with open_place(redis_url, redis_namespace, bbbs, room) as place:
        await have_two_tenants(place)
        viewer = await bearer_of(place, Role.VIEWER, TENANT_ID)
        admin = await bearer_of(place, Role.ADMIN, TENANT_ID)
        for call in PUBLIC:
            if not call.of_tenants:
                answer = await ask_example(place, admin, call)
                assert answer.status == 403, call.name
                assert b"is not for the token of a tenant" in answer.body
        for name, check in OF_TENANTS.items():
            (call,) = [one for one in CALLS if one.name == name]
            if call.role is Role.VIEWER:
                await check(viewer)
            else:
                assert (await ask_example(place, viewer, call)).status == 403
            await check(admin)
        assert not place.public.log.errors


async def have_two_tenants(place: Place) -> None:
    """Have a meeting, a recording and a setting of each of two tenants, and of none."""
    res = place.pool.res
    new = TenantChange(name="other", secrets="s")
    await tenant_admin.add_tenant(res.tenants, "test", new, new_id=lambda: OTHER_ID)
    assert place.recordings is not None
    for meeting_id, tenant_id in (("own", TENANT_ID), ("foreign", OTHER_ID), ("nobodys", None)):
        tenant = None if tenant_id is None else Tenant(tenant_id, meeting_id, ("s",))
        await place.pool.create(meeting_id, caller=Caller(tenant))
        record_id, metadata = NOBODYS_RECORD, tuple[tuple[str, str], ...]()
        if tenant_id is not None:
            setting = TenantSetting("", tenant_id, "welcome", "Hello", True, "create")
            await tenant_admin.add_setting(res.tenants, "test", setting)
            record_id, metadata = RECORDS[tenant_id], ((TENANT_KEY, tenant_id),)
        await add_with_files(place.recordings, make_recording(record_id, metadata=metadata))


# --- the audit trail -----------------------------------------------------------------------------


async def test_call_that_is_refused_is_recorded_with_the_reason(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_place(redis_url, redis_namespace, bbbs) as place:
        operator = await bearer_of(place, Role.OPERATOR)
        bbbs[0].create_meeting("room")
        await place.pool.poll(SERVER_ID)
        assert (await operator.ask("cordonServer", "POST", {"id": "none"}))[0] == 404
        assert (await operator.ask("disableServer", "POST", {"id": SERVER_ID}))[0] == 409

        disabled, unknown = await place.public.res.audit.search(AuditQuery())

        assert unknown.object == "servers none"
        assert unknown.result == "failed: Couldn't find server with id=none"
        assert disabled.who == "token operator-pool 127.0.0.1"
        assert (disabled.before, disabled.after) == ({}, {})
        assert disabled.result.startswith("failed: ")
        assert "in use" in disabled.result


async def test_meetings_that_were_not_ended_are_named_in_the_trail(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_place(redis_url, redis_namespace, bbbs) as place:
        operator = await bearer_of(place, Role.OPERATOR)
        await place.pool.create("room")
        _, answer = await operator.ask("endMeetings", "POST", {"ids": ["room", "no", "none"]})

        (entry,) = await place.public.res.audit.search(AuditQuery())

        assert (set(answer), answer["unknown"]) == ({"meetings", "unknown"}, ["no", "none"])
        assert (entry.object, entry.result) == ("meeting room", "failed: unknown: no, none")


async def test_call_that_was_not_understood_or_not_allowed_is_not_recorded(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> None:
    async with open_place(redis_url, redis_namespace, bbbs) as place:
        viewer = await bearer_of(place, Role.VIEWER)
        admin = await bearer_of(place, Role.ADMIN)

        assert (await viewer.ask("cordonServer", "POST", {"id": SERVER_ID}))[0] == 403
        assert (await admin.ask("addServer", "POST", {"server": {}}))[0] == 400
        assert (await admin.ask("syncServers", "POST", {"yaml": EMPTY, "dry_run": True}))[0] == 200

        assert await place.public.res.audit.search(AuditQuery()) == []


async def test_trail_that_hangs_does_not_hold_up_a_change(
    redis_url: str, redis_namespace: str
) -> None:
    with redis_process() as audit_redis:
        async with (
            open_features(redis_url, redis_namespace) as res,
            open_features(audit_redis.unix_url, redis_namespace) as elsewhere,
        ):
            calls = make_admin_calls(replace(res, audit=elsewhere.audit))
            fields = {"url": "https://a.example/bigbluebutton/api", "secret": "s", "id": "one"}
            audit_redis.signal(signal.SIGSTOP)
            with trio.fail_after(RECORD_S + 5):
                added = await calls.make("addServer", Actor("me"), fields)
            audit_redis.signal(signal.SIGCONT)

            assert added.id == "one"
            await elsewhere.audit.flush()
            assert [one.who for one in await elsewhere.audit.search(AuditQuery())] == ["me"]


async def test_change_of_a_store_that_hangs_is_unknown_in_the_trail_and_one_not_sent_failed(
    redis_url: str, redis_namespace: str
) -> None:
    with redis_process() as pool_redis:
        async with (
            open_features(pool_redis.unix_url, redis_namespace) as res,
            open_features(redis_url, redis_namespace) as elsewhere,
        ):
            calls = make_admin_calls(replace(res, audit=elsewhere.audit))
            fields = {"url": "https://a.example/bigbluebutton/api", "secret": "s", "id": "one"}
            pool_redis.signal(signal.SIGSTOP)
            for _ in range(2):  # the second is not sent: there is no connection any more
                with pytest.raises(StoreDown):
                    await calls.make("addServer", Actor("me"), fields)
            pool_redis.signal(signal.SIGCONT)

            not_sent, sent = await elsewhere.audit.search(AuditQuery())
            assert sent.result.startswith("unknown: ")
            assert not_sent.result.startswith("failed: not connected")


# --- tokens that are not good --------------------------------------------------------------------


async def test_token_that_is_not_good_is_refused_in_json(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        store = public.res.tokens.store
        expired = Token("expired", Role.ADMIN, None, 0, 1)
        assert await store.add(expired, digest_of("sla_expired"))
        assert await store.add(
            replace(expired, name="gone", expires_ms=None), digest_of("sla_gone")
        )
        target = f"{BASE}/getStatus"
        good = await public.ask("GET", target, headers=["Authorization: Bearer sla_gone"])
        await store.remove("gone")

        for secret in ("sla_expired", "sla_gone", "sla_unknown", "", SECRET, "x" * 5000):
            for asked in (target, sign_url(BASE, "getStatus", "", SECRET)):
                answer = await public.ask("GET", asked, headers=[f"Authorization: Bearer {secret}"])
                assert answer.status == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.headers["cache-control"] == "no-store"
                assert set(json.loads(answer.body)) == {"error"}

        assert good.status == 200
        (warning,) = public.log.named("admin_token_refused")[:1]
        assert warning["subject"] == "127.0.0.1"
        assert "sla_" not in str(public.log.events)


async def test_other_authorization_leaves_the_checksum_in_force(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        headers = ["Authorization: Basic dXNlcjpwdw=="]
        target = sign_url(BASE, "getStatus", "", SECRET)

        assert (await public.ask("GET", target, headers=headers)).status == 200


async def test_body_of_another_type_is_refused_to_a_token_in_json(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:
        token = Token("one", Role.ADMIN, None, 0, None)
        assert await public.res.tokens.store.add(token, digest_of("sla_one"))
        headers = ["Authorization: Bearer sla_one", "Content-Type: text/plain"]

        answer = await public.ask("POST", f"{BASE}/addServer", headers=headers, body=b"{}")

        assert (answer.status, json.loads(answer.body)) == (
            415,
            {"error": "the body must be application/json"},
        )
