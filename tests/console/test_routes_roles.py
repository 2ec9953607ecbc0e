"""What each role may do in the console: every page and every change, of the pool and of a tenant.

The table is the console's own list of routes, so that a new one is tried, too.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest

from appliance.admin_calls.actors import Role
from appliance.audit.rules import AuditEntry, AuditQuery
from appliance.bbb.signed_request import Caller
from appliance.console.core import Route
from appliance.console.pages import PAGES
from appliance.console.sessions import COOKIE
from appliance.meetings.administration import find_meetings
from appliance.meetings.create import create_meeting
from appliance.model import ServerId, ServerState, Tenant, TenantId
from appliance.tenants.values import TenantChange
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.console import ConsoleClient, OpenConsole, open_console
from tests.doubles.public import Answer

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

SCHOOL, OTHER = TenantId("t1"), TenantId("t2")
SECRET = "bbb-secret-5b1"


@pytest.fixture
async def opened(redis_url: str, redis_namespace: str) -> AsyncIterator[OpenConsole]:
    """Give a console with a server and two tenants."""
    variables = {"MULTITENANCY_ENABLED": "true", "BASE_URL": "127.0.0.1"}
    async with open_console(redis_url, redis_namespace, **variables) as found:
        await found.add_server("bbb1", users=12)
        for tenant, name in ((SCHOOL, "school"), (OTHER, "other")):
            change = TenantChange(name=name, secrets="s" * 40)
            await found.features.tenants.store.add_tenant(tenant, change)
        yield found


async def visit(
    opened: OpenConsole, client: ConsoleClient, route: Route, one: str, **fields: str
) -> Answer:
    """Visit a route as its page would, with the CSRF token of the session."""
    path = "/scalelite" + re.sub("<[^>]*>", one, route.path)
    path += f"?{urlencode({'id': one})}" if "id" in route.params else ""
    if route.method == "GET":
        return await client.ask("GET", path)
    return await client.post(path, csrf=csrf_of(opened, client), **fields)


def csrf_of(opened: OpenConsole, client: ConsoleClient) -> str:
    """Return the CSRF token of a session."""
    now_s = opened.features.now_ms() / 1000
    session = opened.console.signer.read_session(client.cookies[COOKIE], now_s=now_s)
    assert session is not None
    return opened.console.signer.csrf_token(session)


def subject_of(route: Route) -> str:
    """Return an id that the route's page knows."""
    return "bbb1-0" if route.path.startswith("/meetings") else "bbb1"


async def test_route_is_refused_to_lower_roles_and_given_to_its_own(opened: OpenConsole) -> None:
    clients = {role: await opened.log_in(role) for role in Role}
    for route in PAGES:
        for role, client in clients.items():
            if not role.includes(route.role):
                answer = await visit(opened, client, route, subject_of(route))
                assert answer.status == 403, (route.path, role)
    assert await recorded(opened) == []

    for route in PAGES:
        given = {"confirmed": "true", "ids": "1", "typed": "bbb1.example.org"}
        answer = await visit(opened, clients[route.role], route, subject_of(route), **given)
        # What the call behind a route asks for must not be more than the route does.
        assert answer.status not in (401, 403), (route.path, route.role, answer.body)
    assert not [one for one in await recorded(opened) if not one.who.startswith("console token ")]


async def recorded(opened: OpenConsole) -> list[AuditEntry]:
    """Return the audit trail."""
    return await opened.features.audit.search(AuditQuery())


async def test_secret_of_a_server_is_on_no_page_but_where_an_admin_asks_for_it(
    opened: OpenConsole,
) -> None:
    for role in Role:
        client = await opened.log_in(role)
        for route in PAGES:
            if route.method == "GET" and role.includes(route.role):
                answer = await visit(opened, client, route, subject_of(route))
                assert SECRET.encode() not in answer.body, (route.path, role)


async def test_showing_a_secret_is_recorded(opened: OpenConsole) -> None:
    client = await opened.log_in("admin")

    assert SECRET.encode() in (await client.post("/scalelite/servers/bbb1/secret")).body

    (entry,) = await recorded(opened)
    assert entry.who.startswith("console token admin")
    assert entry.object.startswith("server bbb1")
    assert SECRET not in str(entry)


async def test_change_is_recorded_with_the_name_of_the_token(opened: OpenConsole) -> None:
    client = await opened.log_in("operator")

    assert (await client.post("/scalelite/servers/bbb1/cordon")).status == 303

    (entry,) = await recorded(opened)
    assert entry.who.startswith("console token operator")
    assert entry.call == "cordonServer"
    assert (entry.before, entry.after) == ({"state": "enabled"}, {"state": "cordoned"})


# --- tenants -------------------------------------------------------------------------------------


async def test_route_of_the_pool_is_refused_to_the_token_of_a_tenant(opened: OpenConsole) -> None:
    client = await opened.log_in("admin", tenant=SCHOOL)
    for route in PAGES:
        answer = await visit(opened, client, route, subject_of(route))
        if not route.for_tenants:
            assert answer.status == 403, route.path
        else:
            assert answer.status not in (401, 403), (route.path, answer.body)
        assert b"bbb1.example.org" not in answer.body, route.path
    assert [one.result for one in await recorded(opened) if one.result == "done"] == []


async def test_tenants_token_sees_and_ends_its_own_meetings_only(
    opened: OpenConsole, bbbs: list[BbbProcess]
) -> None:
    bbb, features = bbbs[0], opened.features
    await opened.add_server("real", url=bbb.url, secret=bbb.secret)
    await features.servers.store.set_server_state(ServerId("bbb1"), ServerState.CORDONED)
    for tenant, meeting in ((SCHOOL, "own-room"), (OTHER, "foreign-room"), (None, "free-room")):
        found = None if tenant is None else Tenant(tenant, meeting, ("s",))
        await create_meeting(features.meetings, Caller(found), (("meetingID", meeting),))
    client = await opened.log_in("operator", tenant=SCHOOL)

    page = await client.get("/scalelite/meetings")
    assert "own-room" in page
    assert not [name for name in ("foreign-room", "free-room", "bbb1-0") if name in page]
    (end,) = [one for one in PAGES if one.path == "/meetings/one/end"]
    (show,) = [one for one in PAGES if one.path == "/meetings/one"]
    for meeting in ("foreign-room", "free-room"):
        shown = await visit(opened, client, show, meeting)
        assert shown.status == 404, meeting
        ended = await visit(opened, client, end, meeting, confirmed="true")
        assert ended.status == 404, meeting
    assert (await visit(opened, client, show, "own-room")).status == 200
    ended = await visit(opened, client, end, "own-room", confirmed="true")
    assert ended.status == 303

    left = {one.id for one in (await find_meetings(features.meetings)).meetings}
    assert {"foreign-room", "free-room"} <= left
    assert "own-room" not in left
