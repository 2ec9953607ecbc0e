"""Recordings that servers owe, and the servers that were removed and are still listened to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from quart import Response

from appliance.admin_calls.actors import Role
from appliance.console.core import Console, Done, Notice, Route, Visit
from appliance.console.pages.server import path_of
from appliance.model import ServerId
from appliance.servers.registration_calls import RetiredServerJson
from appliance.usage.debt_calls import OwedRecordingJson

_RUNS = 20


@dataclass(frozen=True, slots=True)
class Debtor:
    """A server that owes recordings."""

    label: str
    href: str
    """Empty: it was removed from the pool."""
    owed: Sequence[OwedRecordingJson]
    """The oldest ones first."""

    @property
    def awaited(self) -> int:
        """Return how many are younger than RECORDING_OWED_HOURS."""
        return sum(one.awaited for one in self.owed)


async def show(console: Console, visit: Visit) -> Response:
    """Show both."""
    seen = await console.live.snapshot()
    retired: list[RetiredServerJson] = await console.call(visit, "getRetiredServers")
    owed: defaultdict[str, list[OwedRecordingJson]] = defaultdict(list)
    for one in await console.call(visit, "getOwedRecordings"):
        owed[one.server].append(one)
    places = {row.server.id: (row.label, path_of(row.server.id)) for row in seen.rows}
    places |= {ServerId(one.id): (one.hostname, "") for one in retired}
    found = [Debtor(*place, owed[id]) for id, place in places.items() if id in owed]
    found.sort(key=lambda one: -len(one.owed))
    hours = round(console.settings.registry.recording_owed_ms / 3_600_000)
    return await console.page(
        visit, "debts.html", debtors=found, retired=retired, hours=hours, shown=_RUNS
    )


async def forget(console: Console, visit: Visit) -> Response | Done:
    """Forget a removed server; asks first."""
    texts, server_id = visit.texts, visit.field("server")
    if not visit.field("confirmed"):
        line = "Recordings and ends of meetings that it still sends are refused from then on."
        return await console.page(
            visit,
            "confirm.html",
            title=texts.t("Forget {server}?", server=server_id),
            lines=[texts.t(line)],
            action="/scalelite/servers/retired/forget",
            fields=(("server", server_id),),
            typed="",
            button=texts.t("Forget {server}", server=server_id),
            back="/scalelite/servers/retired",
        )
    await console.call(visit, "forgetServer", id=server_id)
    text = texts.t("{server} was forgotten", server=server_id)
    return Done(Notice(text), "/scalelite/servers/retired")


ROUTES = (
    Route("/servers/retired", show, page="servers"),
    Route("/servers/retired/forget", forget, "POST", "servers", Role.ADMIN),
)
