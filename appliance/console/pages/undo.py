"""Undo: a change of states is taken back, for ten seconds and where no other one has followed it.

What to take back is kept in Redis: for many servers it is too long for a cookie.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable

from appliance.admin_calls.actors import Role
from appliance.console.core import ChangeFailed, Console, Done, Notice, PageFailed, Route, Visit
from appliance.model import ServerState

_KEPT_S = 12
"""The button is there for ten seconds."""
_CALLS = {
    ServerState.ENABLED: "enableServer",
    ServerState.CORDONED: "cordonServer",
    ServerState.DISABLED: "disableServer",
}


async def keep_undo(
    console: Console, changed: Iterable[tuple[str, ServerState, ServerState]], to: str
) -> str:
    """Keep the ids of servers with their states before and after a change.

    Returns the name that an Undo button sends; empty: nothing was changed. to: the page to go on
    with.
    """
    states = [(one, old.value, new.value) for one, old, new in changed if old is not new]
    if not states:
        return ""
    name, redis = secrets.token_urlsafe(18), console.features.redis.background
    key = redis.own_key(f"console_undo:{name}")
    await redis.command("SET", key, json.dumps([to, states]), "EX", _KEPT_S)
    return name


async def undo(console: Console, visit: Visit) -> Done:
    """Take back a change of states, but for servers whose state has been changed since."""
    redis = console.features.redis.background
    kept = await redis.command("GETDEL", redis.own_key(f"console_undo:{visit.field('undo')}"))
    if kept is None:
        raise PageFailed(409, "It is too late to undo this")
    to, states = json.loads(kept)
    console.live.forget()
    rows = (await console.live.snapshot()).by_id
    left: list[str] = []
    for server_id, old, new in states:
        row = rows.get(server_id)
        if row is None or row.server.state.value != new:
            text = "{server} was changed since, and stays as it is"
            left.append(visit.texts.t(text, server=row.label if row else server_id))
            continue
        try:
            await console.call(visit, _CALLS[ServerState(old)], id=server_id)
        except ChangeFailed as error:
            left.append(str(error))
    if not left:
        return Done(Notice(visit.texts.t("Undone")), to)
    text = visit.texts.n(
        len(left), "One server could not be changed back", "{n} servers could not be changed back"
    )
    return Done(Notice(text, "failed", details=tuple(left)), to)


ROUTES = (Route("/undo", undo, "POST", "servers", Role.OPERATOR),)
