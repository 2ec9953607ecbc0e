"""Tenants: what each uses now and used this month; its limits and settings, which admins change.

A pool without tenants has a page with its limits instead.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from quart import Response

from appliance.admin_calls.actors import Role
from appliance.console.charts import draw_columns
from appliance.console.core import ChangeFailed, Console, Done, Notice, PageFailed, Route, Visit
from appliance.console.pages.meetings import describe_meetings
from appliance.console.pages.shared import redirect_to
from appliance.settings.param_rules import MODES
from appliance.tenants.limits import DEFAULT_TENANT, LIMITS


async def show(console: Console, visit: Visit) -> Response:
    """Show all tenants; a tenant's token sees its own."""
    if visit.view.tenant_id is not None:
        return redirect_to(_path(visit.view.tenant_id))
    if not console.settings.api.multitenancy:
        return await console.page(visit, "tenants.html", tenants=[], problem="")
    found = await console.call(visit, "getTenants")
    tenants = found if isinstance(found, list) else []
    lines, problem = await console.try_call(visit, "usage", by="tenant")
    used = {one.tenant: one for one in lines.usage} if lines else {}
    limits = {
        one.id: await console.try_call(visit, "getTenantLimits", id=one.id) for one in tenants
    }
    now = await _count_now(console, visit)
    shown = [(one, used.get(one.name), limits[one.id][0], now[one.id]) for one in tenants]
    return await console.page(
        visit, "tenants.html", tenants=shown, problem=problem, incomplete=bool(problem)
    )


async def _count_now(console: Console, visit: Visit) -> Mapping[str, Sequence[int]]:
    """Return how many meetings and users each tenant has, by id, as of the last polls."""
    seen = await console.live.snapshot()
    answer = await console.call(visit, "listMeetings")
    now: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    meetings = await describe_meetings(console, answer.meetings, seen)
    for record, one in zip(answer.meetings, meetings, strict=True):
        now[record.tenant_id][0] += 1
        now[record.tenant_id][1] += one.users
    return now


async def show_one(console: Console, visit: Visit, refused: str = "") -> Response:
    """Show a tenant: its limits, its days of this month, what its calls look like.

    refused: why the limits that were typed were not set.
    """
    if not console.settings.api.multitenancy:
        return redirect_to("/scalelite/limits")
    try:
        one = await console.call(visit, "showTenant", id=visit.view.param("id"))
    except ChangeFailed as error:
        if error.status != 404:
            raise
        raise PageFailed(404, "There is no such tenant") from error
    tenant_id = one.id  # its name may have been given
    usage, problem = await console.try_call(visit, "usage", by="day", tenant=tenant_id)
    now = (await _count_now(console, visit))[tenant_id]
    days = _by_day(console, usage.usage if usage else ())
    charts = [
        (title, draw_columns([getattr(day, name, 0) or 0 for day in days], visit.texts.t(title)))
        for title, name in (("User-minutes per day", "user_minutes"), ("Most users", "peak_users"))
    ]
    return await console.page(
        visit,
        "tenant.html",
        400 if refused else 200,
        one=one,
        id=tenant_id,
        refused=refused,
        typed=_typed_limits(visit),
        usage=usage,
        charts=charts,
        problem=problem,
        incomplete=bool(problem),
        now=now,
        limit_names=LIMITS,
        modes=MODES,
        plain=_plain,
    )


async def show_pool(console: Console, visit: Visit, refused: str = "") -> Response:
    """Show the limits of a pool without tenants; `refused` as in show_one."""
    if console.settings.api.multitenancy:
        return redirect_to("/scalelite/tenants")
    one = await console.call(visit, "getTenantLimits", id=DEFAULT_TENANT)
    return await console.page(
        visit,
        "tenant.html",
        400 if refused else 200,
        one=one,
        id="",
        refused=refused,
        typed=_typed_limits(visit),
        limit_names=LIMITS,
        plain=_plain,
    )


def _plain(number: float) -> str:
    """Return a limit as it is typed: `50`, `0.5`, `0.000001`."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def _by_day(console: Console, lines: Any) -> list[Any]:
    """Return the line of each day of this month until today, None where nothing was used."""
    now = datetime.fromtimestamp(console.features.now_ms() / 1000, UTC)
    known = {line.period: line for line in lines}
    return [known.get(f"{now:%Y-%m}-{day:02}") for day in range(1, now.day + 1)]


async def show_csv(console: Console, visit: Visit) -> Response:
    """Send the usage of this month by day as CSV."""
    fields = {"by": "day", "tenant": visit.view.param("id")}
    answer = await console.call(visit, "usage", **fields)
    declaration = console.calls.find("usage")
    assert declaration is not None
    assert declaration.csv is not None
    response = Response(declaration.csv(answer, fields), content_type="text/csv; charset=utf-8")
    response.headers["content-disposition"] = 'attachment; filename="usage.csv"'
    return response


# --- changes -------------------------------------------------------------------------------------


async def set_limits(console: Console, visit: Visit) -> Response | Done:
    """Set the limits as the form has them; an empty field is no limit."""
    if refused := await _set_limits(console, visit, visit.view.param("id")):
        return await show_one(console, visit, refused)
    return _changed(visit, "The limits were changed")


async def set_pool_limits(console: Console, visit: Visit) -> Response | Done:
    """Set the limits of a pool without tenants."""
    if refused := await _set_limits(console, visit, DEFAULT_TENANT):
        return await show_pool(console, visit, refused)
    return Done(Notice(visit.texts.t("The limits were changed")), "/scalelite/limits")


async def _set_limits(console: Console, visit: Visit, tenant: str) -> str:
    """Set limits; return what is wrong with them. Raises ChangeFailed."""
    try:
        await console.call(visit, "setTenantLimits", id=tenant, limits=_typed_limits(visit))
    except ChangeFailed as error:
        if error.status != 400:
            raise
        return str(error)
    return ""


def _typed_limits(visit: Visit) -> dict[str, str]:
    return {name: visit.field(name) for name in LIMITS if name in visit.form}


async def add_setting(console: Console, visit: Visit) -> Done:
    """Add a parameter, or a rule for one, that the calls of the tenant get."""
    names = ("param", "value", "mode", "call", "version")
    setting = {name: visit.field(name) for name in names}
    setting["tenant_id"] = visit.view.param("id")
    await console.call(visit, "addTenantSetting", tenant_setting=setting)
    return _changed(visit, "{param} was set", param=setting["param"])


async def remove_setting(console: Console, visit: Visit) -> Done:
    """Remove a setting."""
    await console.call(visit, "deleteTenantSetting", id=visit.field("setting"))
    return _changed(visit, "The setting was removed")


def _changed(visit: Visit, text: str, **values: Any) -> Done:
    return Done(Notice(visit.texts.t(text, **values)), _path(visit.view.param("id")))


def _path(tenant_id: str) -> str:
    return f"/scalelite/tenants/{quote(tenant_id, safe='')}"


_ONE = "/tenants/<id>"
ROUTES = (
    Route("/tenants", show, page="tenants", for_tenants=True),
    Route(_ONE, show_one, page="tenants", for_tenants=True),
    Route("/limits", show_pool, page="limits"),
    Route("/limits", set_pool_limits, "POST", "limits", Role.ADMIN),
    Route(f"{_ONE}/usage.csv", show_csv, page="tenants", for_tenants=True),
    Route(f"{_ONE}/limits", set_limits, "POST", "tenants", Role.ADMIN),
    Route(f"{_ONE}/settings", add_setting, "POST", "tenants", Role.ADMIN),
    Route(f"{_ONE}/settings/remove", remove_setting, "POST", "tenants", Role.ADMIN),
)
