"""The audit trail: who changed what, and what came of it."""

from __future__ import annotations

from quart import Response

from appliance.console.core import Console, Route, Visit

_LIMIT = 200


async def show(console: Console, visit: Visit) -> Response:
    """Show the newest changes, or those that a search finds."""
    view = visit.view
    fields = {name: view.param(name) for name in ("object", "who", "since")}
    entries, problem = await console.try_call(visit, "audit", **fields, limit=str(_LIMIT))
    return await console.page(
        visit, "audit.html", entries=entries or [], problem=problem, limit=_LIMIT
    )


ROUTES = (Route("/audit", show, page="audit", params=("object", "who", "since")),)
