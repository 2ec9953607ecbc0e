"""Recordings that servers owe, and the servers that were removed and are still listened to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quart import Response

from appliance.admin_calls.actors import Role
from appliance.console.core import Console, Done, Notice, Route, Visit
from appliance.model import Server, ServerId
from appliance.servers.registration_calls import RetiredServerJson

_RUNS = 20


@dataclass(frozen=True, slots=True)
class Debtor:
    """A server that owes recordings."""

    label: str
    href: str
    """Empty: it was removed from the pool."""
    owed: int
    awaited: int
    """Those that are younger than RECORDING_OWED_HOURS."""
    runs: Sequence[tuple[str, int]]
    """The oldest ones: internal id of the meeting, when it ended."""


async def show(console: Console, visit: Visit) -> Response:
    """Show both."""
    seen = await console.live.snapshot()
    retired: list[RetiredServerJson] = await console.call(visit, "getRetiredServers")
    usage = console.features.usage
    debts = {} if usage is None else await usage.store.read_debts()

    def debtor(server_id: str, label: str, href: str, one: Server | RetiredServerJson) -> Debtor:
        runs = sorted(debts.get(ServerId(server_id), {}).items(), key=lambda run: run[1])[:_RUNS]
        return Debtor(label, href, one.recordings_owed, one.recordings_awaited, runs)

    each = [
        debtor(row.server.id, row.label, f"/scalelite/servers/{row.server.id}", row.server)
        for row in seen.rows
    ]
    each += [debtor(one.id, one.hostname, "", one) for one in retired]
    found = [one for one in each if one.owed]
    found.sort(key=lambda one: -one.owed)
    hours = round(console.settings.registry.recording_owed_ms / 3_600_000)
    return await console.page(visit, "debts.html", debtors=found, retired=retired, hours=hours)


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
