"""The pages of the console, each a module with the routes of the page and of its changes.

A module has `ROUTES`, and `LIVE` where parts of its page change by themselves.
"""

from __future__ import annotations

from quart import Response

from appliance.console.core import Console, LivePage, PageFailed, Route, View, Visit
from appliance.console.live import Parts
from appliance.console.pages import (
    audit,
    callbacks,
    debts,
    doctor,
    maintenance,
    meetings,
    overview,
    recordings,
    server,
    servers,
    tenants,
    undo,
    what_if,
)
from appliance.console.snapshot import PoolSnapshot

_MODULES = (
    overview,
    servers,
    debts,
    server,
    undo,
    maintenance,
    meetings,
    recordings,
    tenants,
    callbacks,
    audit,
    doctor,
    what_if,
)

PAGES: tuple[Route, ...] = tuple(route for module in _MODULES for route in module.ROUTES)


async def _no_parts(console: Console, view: View, seen: PoolSnapshot) -> Parts:
    return Parts()


_STILL = LivePage("still", _no_parts, for_tenants=True)
"""All other pages: they say that a store is away."""
LIVE_PAGES: dict[str, LivePage] = {
    page.name: page
    for page in (_STILL, *(module.LIVE for module in _MODULES if hasattr(module, "LIVE")))
}


async def _nothing(console: Console, visit: Visit) -> Response:
    raise PageFailed(404, "There is no such page")


NOTHING = Route("/<path:rest>", _nothing, for_tenants=True)
