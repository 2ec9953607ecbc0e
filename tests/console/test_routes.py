"""Who may see the console, and what it takes to change something: over plain HTTP."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
import trio

from appliance.audit.rules import AuditQuery
from appliance.audit.store import AuditTable
from appliance.console.pages.shared import describe_window
from appliance.console.texts import Languages, Texts, local_time
from appliance.model import ServerId, ServerState, TenantId
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import open_postgres_store
from appliance.redaction import is_secret_name
from appliance.servers.maintenance.rules import Phase, Window
from appliance.servers.maintenance.windows import windows_of
from appliance.servers.versions.shares import Share
from appliance.tenants.values import TenantChange
from appliance.tokens.find import MAX_FAILURES
from tests.doubles.console import ConsoleClient, OpenConsole, open_console
from tests.doubles.features import EventBook
from tests.doubles.public import open_public
from tests.doubles.settings import SECRET
from tests.doubles.store_servers import private_redis

CLASSES = "08:00,45,30,6\r\n09:00,45,20,2"
DOWN = "Redis does not answer"
REFUSED = (
    ("viewer", "servers/bbb1/cordon"),
    ("viewer", "servers/bbb1/poll"),
    ("viewer", "undo"),
    ("viewer", "recordings/retry"),
    ("viewer", "callbacks/retry"),
    ("viewer", "meetings/one/end?id=bbb1-0"),
    ("operator", "servers/bbb1/remove"),
    ("operator", "servers/bbb1/edit"),
    ("operator", "servers/bbb1/secret"),
    ("operator", "servers/add"),
    ("operator", "limits"),
    ("operator", "tenants/t1/limits"),
    ("operator", "tenants/t1/settings"),
    ("operator", "tenants/t1/settings/remove"),
)
PAGES = (
    *("", "servers", "servers/bbb1", "meetings", "recordings", "callbacks", "audit", "doctor"),
    *("tenants", "limits", "what-if"),
)


@pytest.fixture
async def opened(redis_url: str, redis_namespace: str) -> AsyncIterator[OpenConsole]:
    """Give a console with one server."""
    async with open_console(redis_url, redis_namespace) as found:
        await found.add_server("bbb1", users=12)
        yield found


async def state_of(opened: OpenConsole) -> ServerState:
    """Return the state of bbb1."""
    found = await opened.features.pool.records.find_server(ServerId("bbb1"))
    assert found is not None
    return found.state


# --- login ---------------------------------------------------------------------------------------


async def test_login_opens_a_session_with_a_token_or_the_secret(opened: OpenConsole) -> None:
    for secret in (await opened.make_token("viewer"), SECRET):
        client = opened.client()

        answer = await client.log_in(secret)

        cookie = answer.headers["set-cookie"]
        assert answer.status == 303
        assert answer.headers["location"] == "/scalelite/"
        for word in ("HttpOnly", "Secure", "SameSite=Strict", "Path=/scalelite/", "Max-Age=43200"):
            assert word in cookie
        assert secret not in cookie
        assert "12 users" in await client.get("/scalelite/")


async def test_overview_shows_seats_and_how_many_servers_are_needed(opened: OpenConsole) -> None:
    client = opened.client()
    await client.log_in(SECRET)

    page = await client.get("/scalelite/")

    assert "Servers needed" in page
    assert "for 12 users" in page
    assert "<b>188</b> <span>of 200</span>" in page


async def test_login_is_refused_with_what_is_no_valid_token(opened: OpenConsole) -> None:
    old = await opened.make_token("admin", expires_ms=opened.features.now_ms() - 1)
    for secret in ("", "sla_unknown", old, "x" * 5000, "\0"):
        answer = await opened.client().log_in(secret)

        assert answer.status == 401
        assert "set-cookie" not in answer.headers
        assert b"wrong, has expired or was revoked" in answer.body


async def test_login_is_throttled_for_an_address(opened: OpenConsole) -> None:
    right = await opened.make_token("viewer")
    client = opened.client()
    for _ in range(MAX_FAILURES):
        assert (await client.log_in("sla_wrong")).status == 401

    throttled = await client.log_in(right)
    other = await client.log_in(right, "X-Forwarded-For: 203.0.113.9")

    assert throttled.status == 429
    assert int(throttled.headers["retry-after"]) > 0
    assert other.status == 303


async def test_login_from_another_site_is_refused(opened: OpenConsole) -> None:
    body = f"token={SECRET}".encode()
    answer = await opened.client().ask(
        "POST", "/scalelite/", "Origin: https://evil.test", body=body
    )

    assert answer.status == 403


async def test_login_goes_on_to_pages_of_the_console_only(opened: OpenConsole) -> None:
    client = opened.client()
    first = await client.ask("GET", "/scalelite/servers?q=bbb1")
    assert first.status == 303
    assert first.headers["location"] == "/scalelite/?next=/scalelite/servers%3Fq%3Dbbb1"

    for wanted, reached in (
        ("/scalelite/servers", "/scalelite/servers"),
        ("https://evil.test/", "/scalelite/"),
        ("//evil.test/scalelite/", "/scalelite/"),
        ("/scalelite/\\evil", "/scalelite/"),
    ):
        answer = await opened.client().post("/scalelite/", csrf="", token=SECRET, next=wanted)
        assert answer.headers["location"] == reached


async def test_session_ends_when_its_token_is_revoked(opened: OpenConsole) -> None:
    client = await opened.log_in("viewer")

    async with client.stream("page=servers") as stream:
        assert (await stream.next())[0] == "parts"
        assert await opened.features.tokens.store.remove("viewer")
        with trio.fail_after(5):
            while (await stream.next())[0] != "ended":
                pass

    assert (await client.ask("GET", "/scalelite/servers")).status == 303
    assert (await client.ask("GET", "/scalelite/stream?page=servers")).status == 401


async def test_session_ends_with_log_out(opened: OpenConsole) -> None:
    client = await opened.log_in("viewer")
    cookies = dict(client.cookies)

    answer = await client.post("/scalelite/logout")

    assert answer.status == 303
    log = opened.features.log
    assert isinstance(log, EventBook)
    assert log.named("console_login") == [{"name": "viewer", "client": "127.0.0.1"}]
    assert log.named("console_logout") == [{"name": "viewer"}]
    assert not is_secret_name("name")  # whose value the log would mask
    assert "scalelite_console=;" in answer.headers["set-cookie"]
    stolen = ConsoleClient(opened.public, cookies)
    assert (await stolen.ask("GET", "/scalelite/servers")).status == 303


async def test_session_of_another_installation_is_none(opened: OpenConsole) -> None:
    client = await opened.log_in("admin")
    value = client.cookies["scalelite_console"]
    body, _, mac = value.partition(".")
    for forged in ("", "x", value[:-2], f"{body}.{mac[::-1]}", f"{body}x.{mac}", "." + mac, "é.é"):
        client.cookies["scalelite_console"] = forged
        assert (await client.ask("GET", "/scalelite/servers")).status == 303


async def test_odd_cookies_of_other_applications_do_not_end_a_session(opened: OpenConsole) -> None:
    client = await opened.log_in("viewer")
    session = client.cookies["scalelite_console"]
    client.cookies = {}
    for odd in ("flag; ", "path=/x; ", 'j={"a":1}; '):
        cookie = f"Cookie: {odd}scalelite_console={session}"
        answer = await client.ask("GET", "/scalelite/servers", cookie)
        assert answer.status == 200, odd


# --- pages ---------------------------------------------------------------------------------------


async def test_pages_keep_others_out(opened: OpenConsole) -> None:
    client = await opened.log_in("viewer")
    for path in PAGES:
        answer = await client.ask("GET", f"/scalelite/{path}")

        policy = answer.headers["content-security-policy"]
        assert answer.status == 200, path
        assert policy.startswith("default-src 'none';")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "nonce" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert b"style=" not in answer.body
        assert b"bbb-secret-5b1" not in answer.body
        assert b" onclick" not in answer.body


async def test_pages_are_refused_over_plain_http_from_elsewhere(opened: OpenConsole) -> None:
    client = await opened.log_in("viewer")
    far = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: http")
    safe = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https")

    assert (await client.ask("GET", "/scalelite/", *far)).status == 403
    assert (await client.ask("POST", "/scalelite/", *far, body=b"token=x")).status == 403
    assert (await client.ask("GET", "/scalelite/", *safe)).status == 200


async def test_unknown_page_is_not_found(opened: OpenConsole) -> None:
    client = await opened.log_in("viewer")
    for path in (
        "nothing",
        "servers/bbb9",
        "meetings/one?id=none",
        "static/none.js",
        "servers/bbb1/edit/x",
    ):
        assert (await client.ask("GET", f"/scalelite/{path}")).status == 404


async def test_search_texts_are_escaped(opened: OpenConsole) -> None:
    client = await opened.log_in("viewer")

    page = await client.get("/scalelite/servers?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&p=-1")

    assert "<script>alert" not in page
    assert "No server is like that" in page


async def test_console_disabled_or_bound_elsewhere_is_not_found(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace) as public:  # without a console
        answer = await public.ask("GET", "/scalelite/")

    assert answer.status == 404


class Missing(dict[str, str]):
    """Messages of a language that remember what was asked for in vain."""

    def __init__(self, known: Mapping[str, str]) -> None:
        super().__init__(known)
        self.missing: set[str] = set()

    def get(self, message: str, default: str = "") -> str:  # type: ignore[override]
        """Return a translation."""
        if message not in self:
            self.missing.add(message)
        return super().get(message, default)


async def test_every_message_is_translated_into_german(opened: OpenConsole) -> None:
    languages = opened.console.languages
    known = Missing(languages.by_name["de"].messages)
    german = Languages("en", {**languages.by_name, "de": Texts("de", known)})
    opened.console.languages = german
    await opened.add_server("bbb2", users=3, state=ServerState.CORDONED, max_users=3)
    await opened.add_server("bbb3", state=ServerState.DISABLED)
    for window in windows_of_each_phase():
        describe_window(german.by_name["de"], window)
        store = windows_of(opened.features.servers)
        assert await store.add(window, await store.read_stored())
    await opened.features.servers.shares.save(Share("3.0.4", 0))
    client = await opened.log_in("admin")

    forms = ("servers/add", "servers/bbb1/edit", "servers/bbb1/plan", "servers/bbb1/plan?window=w6")
    for path in (*PAGES, "servers/bbb2", *forms, "servers/retired", "nothing"):
        answer = await client.ask("GET", f"/scalelite/{path}", "Accept-Language: de")
        assert b'<html lang="de">' in answer.body
    verbs = ("cordon", "enable", "drain", "disable", "panic", "remove", "poll")
    for verb in (*verbs, "maintenance", "plan"):
        for shown in ("w6", "none"):
            await client.post(
                f"/scalelite/servers/bbb1/{verb}", "Accept-Language: de", window=shown
            )
    await client.post("/scalelite/servers/retired/forget", "Accept-Language: de", server="bbb1")
    await opened.client().ask("GET", "/scalelite/", "Accept-Language: de")

    assert not known.missing


# --- maintenance and versions --------------------------------------------------------------------


def windows_of_each_phase() -> list[Window]:
    """Return windows of bbb1: the first one is under way."""
    one = Window("w0", ServerId("bbb1"), 1_764_500_000_000, 1_764_503_600_000, 0, reason="disks")
    return [
        replace(one, phase=Phase.OPEN),
        replace(one, id="w1", until_ms=None, phase=Phase.OPEN),
        replace(one, id="w2", phase=Phase.DRAINING),
        replace(one, id="w3", phase=Phase.ENDING),
        replace(one, id="w4", postponed_ms=1),
        replace(one, id="w5", every="weekly"),
        replace(one, id="w6", until_ms=None),
    ]


async def test_maintenance_is_shown_and_cancelled(opened: OpenConsole) -> None:
    window = replace(windows_of_each_phase()[-2], reason="new <disks>")
    assert await windows_of(opened.features.servers).add(window, [])
    viewer, operator = await opened.log_in("viewer"), await opened.log_in("operator")

    for path in ("", "servers", "servers/bbb1"):
        page = await viewer.get(f"/scalelite/{path}")
        assert "aintenance from 2025-11-30" in page, path
        assert "<disks>" not in page
        assert "/servers/bbb1/maintenance" not in page
    assert "new &lt;disks&gt;" in page
    assert "/servers/bbb1/maintenance" in await operator.get("/scalelite/servers/bbb1")

    path = "/scalelite/servers/bbb1/maintenance"
    assert (await viewer.post(path, window=window.id)).status == 403
    assert (await operator.post(path, window="none")).status == 404
    assert (await operator.post(path, window=window.id)).status == 303
    assert await windows_of(opened.features.servers).read_all() == []
    assert "aintenance from" not in await viewer.get("/scalelite/servers/bbb1")


async def test_maintenance_is_planned_and_changed(opened: OpenConsole) -> None:
    client, store = await opened.log_in("operator"), windows_of(opened.features.servers)
    path, at = "/scalelite/servers/bbb1/plan", local_time(opened.features.now_ms() + 86_400_000)
    begin = at.replace(second=0, microsecond=0)
    typed = begin.strftime("%Y-%m-%dT%H:%M")

    refused = await client.post(path, **{"from": "soon"}, lead="0", reason="new disks")
    assert refused.status == 400
    assert b"from must be a time" in refused.body
    assert b'value="new disks"' in refused.body  # what was typed stays
    planned = await client.post(path, **{"from": typed}, lead="30m", reason="new disks")
    assert planned.status == 303
    (window,) = await store.read_all()
    assert (window.from_ms, window.until_ms) == (round(begin.timestamp() * 1000), None)
    assert (window.lead_ms, window.reason) == (1_800_000, "new disks")

    form = await client.get(f"{path}?window={window.id}")
    assert f'value="{typed}"' in form
    assert 'value="30m"' in form
    until = (begin + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    fields = {"from": typed, "until": until, "every": "weekly", "lead": "0"}
    assert (await client.post(f"{path}?window={window.id}", **fields)).status == 303
    (changed,) = await store.read_all()
    assert (changed.id, changed.every, changed.lead_ms) == (window.id, "weekly", 0)
    assert changed.until_ms == window.from_ms + 3_600_000

    assert (await client.post(f"{path}?window=none", **fields)).status == 400
    refusal, change, first, _ = await opened.features.audit.search(AuditQuery())
    assert refusal.result == "failed: server bbb1 has no maintenance window none"
    assert (first.before, first.result, change.result) == (None, "done", "done")
    assert change.before == {"until": None, "lead_s": 1800, "every": "", "reason": "new disks"}


async def test_removed_servers_and_what_is_owed_are_shown(opened: OpenConsole) -> None:
    await opened.add_server("bbb2")
    await opened.features.servers.store.remove_server(
        ServerId("bbb2"), force=True, now_ms=opened.features.now_ms()
    )
    client, admin = await opened.log_in("viewer"), await opened.log_in("admin")

    page = await client.get("/scalelite/servers/retired")
    assert "bbb2.example.org" in page
    assert "/retired/forget" not in page
    forget = "/scalelite/servers/retired/forget"
    assert b"Forget bbb2?" in (await admin.post(forget, server="bbb2")).body
    assert (await admin.post(forget, server="bbb2", confirmed="true")).status == 303
    assert "bbb2.example.org" not in await client.get("/scalelite/servers/retired")


async def test_form_of_a_server_has_its_dial_in(opened: OpenConsole) -> None:
    client, path = await opened.log_in("admin"), "/scalelite/servers/bbb1/edit"
    url = "https://bbb1.example.org/bigbluebutton/api"
    bridge = "sofia/external/{pin}@{host}:{port}"

    fields = {"url": url, "load_multiplier": "1"}
    bad = await client.post(path, **fields, dial_in="sofia/${x}")
    assert bad.status == 400
    assert (await client.post(path, **fields, dial_in=bridge, dial_in_port="5062")).status == 303
    assert f'value="{bridge}"' in await client.get(path)
    assert "port 5062" in await client.get("/scalelite/servers/bbb1")
    assert (await client.post(path, **fields)).status == 303
    assert "as FSAPI_BRIDGE says" in await client.get("/scalelite/servers/bbb1")


async def test_versions_are_listed_with_their_shares(opened: OpenConsole) -> None:
    shares = opened.features.servers.shares
    await shares.save(Share("4.0.1", 1000))
    await shares.save(Share("4.0.2", 0, stopped_ms=1, reason="3 of 3 <creates>"))
    client = await opened.log_in("viewer")

    page = await client.get("/scalelite/servers")

    versions = page.partition('data-part="versions"')[2]
    assert "4.0.1" in versions
    assert "10.0 %" in versions
    assert "3 of 3 &lt;creates&gt;" in versions
    assert "no limit" in versions


# --- changes -------------------------------------------------------------------------------------


async def test_change_needs_origin_and_csrf_token(opened: OpenConsole) -> None:
    client = await opened.log_in("operator")
    other = await opened.log_in("admin")
    path = "/scalelite/servers/bbb1/cordon"

    for headers, csrf in (
        (("Origin: https://evil.test",), None),
        (("Origin: null",), None),
        ((f"Origin: https://127.0.0.1:{opened.public.port}",), None),
        (("Origin: http://127.0.0.1",), None),
        ((), ""),
        ((), "x"),
        ((), await other.csrf()),
    ):
        answer = await client.post(path, *headers, csrf=csrf)
        assert answer.status == 403, (headers, csrf)
        shown = await client.post(path, *headers, "X-Fragment: 1", csrf=csrf)
        assert shown.status == 403
        assert shown.body.startswith(b'<div id="notice"')
    assert (await opened.client().post(path, csrf="x")).status == 401
    assert (await client.ask("GET", path)).status == 404
    assert await state_of(opened) is ServerState.ENABLED

    token = await client.csrf()
    answer = await client.post(path, f"X-CSRF-Token: {token}", csrf="")
    assert answer.status == 303
    assert await state_of(opened) is ServerState.CORDONED


async def test_change_needs_its_role(opened: OpenConsole) -> None:
    clients = {role: await opened.log_in(role) for role in ("viewer", "operator", "admin")}
    for role, path in REFUSED:
        answer = await clients[role].post(f"/scalelite/{path}")
        assert answer.status == 403, (role, path)
    assert await state_of(opened) is ServerState.ENABLED

    assert (await clients["admin"].post("/scalelite/servers/bbb1/secret")).status == 200
    assert (await clients["operator"].post("/scalelite/servers/bbb1/drain")).status == 303
    assert await state_of(opened) is ServerState.CORDONED


async def test_buttons_are_those_of_the_role(opened: OpenConsole) -> None:
    viewer, operator = await opened.log_in("viewer"), await opened.log_in("operator")

    assert "formaction" not in await viewer.get("/scalelite/servers")
    page = await operator.get("/scalelite/servers/bbb1")
    assert "/cordon" in page
    assert "/remove" not in page


async def test_pool_without_tenants_has_its_limits_on_a_page(opened: OpenConsole) -> None:
    viewer, admin = await opened.log_in("viewer"), await opened.log_in("admin")

    assert 'name="max_users"' not in await viewer.get("/scalelite/limits")
    assert (
        (await viewer.ask("GET", "/scalelite/tenants/default"))
        .headers["location"]
        .endswith("/scalelite/limits")
    )
    changed = await admin.post("/scalelite/limits", max_users="50", max_recordings_gb="0.00001")
    assert changed.headers["location"].endswith("/scalelite/limits")
    page = await admin.get("/scalelite/limits")
    assert 'name="max_users" inputmode="decimal" value="50"' in page
    assert 'name="max_recordings_gb" inputmode="decimal" value="0.00001"' in page
    refused = await admin.post("/scalelite/limits", max_users="80", max_meetings="many")
    assert refused.status == 400
    for name, typed in (("max_users", "80"), ("max_meetings", "many")):  # what was typed stays
        assert f'name="{name}" inputmode="decimal" value="{typed}"' in refused.body.decode()
    assert b'<p class="problem">' in refused.body
    assert "/scalelite/limits" in (await viewer.get("/scalelite/meetings"))


async def test_tenants_token_sees_no_page_of_the_pool(redis_url: str, redis_namespace: str) -> None:
    async with open_console(
        redis_url, redis_namespace, MULTITENANCY_ENABLED="true", BASE_URL="127.0.0.1"
    ) as opened:
        await opened.add_server("bbb1", users=3)
        school = TenantChange(name="school", secrets="s" * 40)
        await opened.features.tenants.store.add_tenant(TenantId("t1"), school)
        client = await opened.log_in("admin", tenant="t1")

        for path in ("servers", "servers/bbb1", "callbacks", "doctor", "stream?page=servers"):
            assert (await client.ask("GET", f"/scalelite/{path}")).status == 403, path
        for path in ("servers/bbb1/cordon", "tenants/t1/limits", "tenants/t1/settings"):
            assert (await client.post(f"/scalelite/{path}")).status == 403, path
        start = await client.ask("GET", "/scalelite/")
        assert start.headers["location"] == "/scalelite/meetings"
        assert "No meeting is running" in await client.get("/scalelite/meetings")


async def test_disable_asks_for_the_name_while_the_server_is_in_use(opened: OpenConsole) -> None:
    client = await opened.log_in("operator")
    path = "/scalelite/servers/bbb1/disable"

    asked = await client.post(path)
    wrong = await client.post(path, confirmed="true", typed="bbb2.example.org")

    assert asked.status == 200
    assert b"It has 1 meeting with 12 users now." in asked.body
    assert not await opened.features.audit.search(AuditQuery())
    assert wrong.status == 400
    assert await state_of(opened) is ServerState.ENABLED
    assert (await client.post(path, confirmed="true", typed="bbb1.example.org")).status == 303
    assert await state_of(opened) is ServerState.DISABLED


async def test_secret_is_shown_to_admins_alone(opened: OpenConsole) -> None:
    client = await opened.log_in("admin")

    answer = await client.post("/scalelite/servers/bbb1/secret")

    assert b"bbb-secret-5b1" in answer.body
    assert answer.headers["cache-control"] == "no-store"


async def test_bad_forms_are_refused(opened: OpenConsole) -> None:
    client = await opened.log_in("operator")
    origin = f"Origin: {client.origin}"

    huge = await client.ask("POST", "/scalelite/undo", origin, body=b"x" * 300_000)
    many = await client.ask("POST", "/scalelite/undo", origin, body=b"a=1&" * 6000)

    assert huge.status == 413
    assert many.status == 400


# --- streams -------------------------------------------------------------------------------------


async def test_stream_sends_everything_and_then_what_changes(opened: OpenConsole) -> None:
    await opened.add_server("bbb2")
    client = await opened.log_in("viewer")
    async with client.stream("page=servers") as stream:
        name, parts = await stream.next()
        assert name == "parts"
        assert 'data-part="server:bbb1"' in parts["servers"]

        await opened.features.servers.store.set_server_state(ServerId("bbb2"), ServerState.CORDONED)
        with trio.fail_after(3):
            _, changed = await stream.next()

        assert set(changed) == {"server:bbb2"}
        assert "cordoned" in changed["server:bbb2"]


async def test_stream_of_a_client_that_left_is_given_up(opened: OpenConsole) -> None:
    client = await opened.log_in("viewer")
    live = opened.console.live
    async with client.stream("page=overview") as stream:
        await stream.next()
        assert live.streams == 1

    with trio.fail_after(20):
        while live.streams:
            await trio.sleep(0.02)


async def test_streams_end_when_the_appliance_stops(opened: OpenConsole) -> None:
    client = await opened.log_in("viewer")
    async with client.stream("page=overview") as stream:
        await stream.next()
        opened.console.live.stopping.set()

        with trio.fail_after(2), pytest.raises(EOFError):
            await stream.next()


async def test_store_that_is_away_is_said_and_recovered_from(redis_namespace: str) -> None:
    with private_redis() as redis:
        async with open_console(redis.url, redis_namespace) as opened:
            await opened.add_server("bbb1", users=3)
            token, secret = await opened.log_in("viewer"), opened.client()
            assert (await secret.log_in(SECRET)).status == 303
            async with token.stream("page=overview") as stream:
                await stream.next()
                redis.process.send_signal(signal.SIGSTOP)
                try:
                    with trio.fail_after(15):
                        while DOWN not in (await stream.next())[1].get("banner", ""):
                            pass
                    assert (await token.ask("GET", "/scalelite/servers")).status == 503
                    page = await secret.get("/scalelite/what-if")
                    assert DOWN in page.partition('data-part="stores"')[2].partition("<h1>")[0]
                    failed = await secret.ask("GET", "/scalelite/meetings")
                    assert (failed.status, failed.headers["refresh"]) == (503, "5")
                    assert f"<h1>{DOWN}" in failed.body.decode()
                    assert "Log out" in failed.body.decode()  # the other pages are a click away
                    path = "/scalelite/servers/bbb1/cordon"
                    change = await token.post(path, "X-Fragment: 1", csrf="x")
                    assert change.status == 503
                    assert change.body.startswith(b'<div id="notice"')  # not a page that reloads
                    assert DOWN in change.body.decode()
                finally:
                    redis.process.send_signal(signal.SIGCONT)
                with trio.fail_after(15):
                    while DOWN in (await stream.next())[1].get("banner", DOWN):
                        pass
            assert "3 users" in await token.get("/scalelite/")


async def test_audit_page_shows_what_waits_while_the_database_is_away_and_goes_on(
    opened: OpenConsole,
) -> None:
    client = await opened.log_in("operator")
    await client.post("/scalelite/servers/bbb1/cordon")
    nowhere = "postgresql://127.0.0.1:1/nothing"
    async with (
        open_asyncio_loop(tuned=True),
        open_postgres_store(nowhere, prepared_statements=True, log=EventBook()) as away,
    ):
        opened.features.audit.table = AuditTable(away)
        page = await client.get("/scalelite/audit", "Accept-Language: de")
        async with client.stream("page=audit") as stream:
            _, parts = await stream.next()
            opened.features.audit.table = None
            with trio.fail_after(10):
                _, later = await stream.next()

    assert "PostgreSQL antwortet nicht (" in page
    assert "cordonServer" in page
    assert "PostgreSQL does not answer" in parts["audit"]
    assert "PostgreSQL" not in later["audit"]
    assert "cordonServer" in later["audit"]


async def test_server_shows_what_happened_to_it_in_the_language_of_the_viewer(
    opened: OpenConsole,
) -> None:
    journal = opened.features.events
    for name in ("bbb1", "bbb2"):
        fields = {"server": name, "state": "cordoned", "before": "enabled", "by": "token anna"}
        journal.take({"event": "server_state_set", "level": "info", **fields})
    client = await opened.log_in("viewer")

    page = await client.get("/scalelite/servers/bbb1", "Accept-Language: de")

    assert "bbb1.example.org wurde auf cordoned gesetzt, vorher enabled (durch token anna)" in page
    assert "bbb2 wurde" not in page


# --- what if -------------------------------------------------------------------------------------


async def test_what_if_simulates_given_classes_on_the_servers_that_are_left(
    opened: OpenConsole,
) -> None:
    await opened.add_server("bbb2")
    client = await opened.log_in("viewer")

    empty = await client.post("/scalelite/what-if", lost="0", capacity="100", classes="")
    none_left = await client.post("/scalelite/what-if", lost="2", capacity="100", classes="")
    wrong = await client.post("/scalelite/what-if", lost="0", capacity="9", classes="noon,1,2,3")
    answer = await client.post("/scalelite/what-if", lost="1", capacity="100", classes=CLASSES)

    assert (empty.status, none_left.status, wrong.status) == (400, 400, 400)
    assert b"start must be HH:MM" in wrong.body
    assert answer.status == 200
    assert b"With 1 servers" in answer.body
    assert b"They are not enough." in answer.body
    assert b"data:image/svg+xml;base64," in answer.body
    assert b"Scalelite&#39;s formula" not in answer.body
    weights = {"per_video": "4", "cameras": "50"}
    asked = {"lost": "1", "capacity": "100", "classes": CLASSES}
    weighted = await client.post("/scalelite/what-if", **asked, **weights)
    assert weighted.status == 200
    assert b"Scalelite&#39;s formula" in weighted.body
    for bad in ({"per_user": "-1"}, {"per_voice": "nan"}, {"cameras": "101"}):
        assert (await client.post("/scalelite/what-if", **asked, **bad)).status == 400
