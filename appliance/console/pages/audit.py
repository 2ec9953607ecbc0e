"""The audit trail: who changed what, and what came of it."""

from __future__ import annotations

import time
from datetime import datetime

from quart import Response

from appliance.console.core import ChangeFailed, Console, LivePage, Route, View, Visit
from appliance.console.live import Parts
from appliance.console.snapshot import PoolSnapshot

_LIMIT = 200
PARAMS = ("object", "who", "since")


async def show(console: Console, visit: Visit) -> Response:
    """Show the newest changes, or those that a search finds."""
    return await console.live_page(visit, LIVE, zone="/".join(dict.fromkeys(time.tzname)))


async def parts(console: Console, view: View, seen: PoolSnapshot) -> Parts:
    """Render the entries; while a store is unreachable, those of the others and the reason."""
    fields = {name: view.param(name) for name in PARAMS}
    fields["since"] = _with_zone(fields["since"])
    problem = ""
    try:
        entries = await console.call(view, "audit", **fields, limit=str(_LIMIT))
    except ChangeFailed as error:
        entries, problem = list(getattr(error.document, "entries", ())), str(error)

    def render() -> str:
        shown = {"entries": entries, "problem": problem, "filtered": any(fields.values())}
        return console.part("audit", view, limit=_LIMIT, **shown)

    return Parts({"audit": console.cached(view.key, (entries, problem), render)})


def _with_zone(text: str) -> str:
    """Return a time of the page, which is in the time zone of the host, with that zone."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo is not None else found.astimezone()).isoformat()
    except (ValueError, OverflowError):
        return text  # the call says what is wrong


LIVE = LivePage("audit", parts, 1.5, PARAMS)
ROUTES = (Route("/audit", show, page="audit", params=PARAMS),)
