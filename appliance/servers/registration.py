"""Servers that come and go by themselves: self-registration, and what is known of retired ones.

A BBB server, or the program that started it, registers the server; it is enabled after some good
polls in a row, and not before: it may still be booting. Source: docs/fleet.md.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

import trio

from appliance.admin_calls.fields import natural_key
from appliance.admin_calls.refusal import RefusalKind, Refused
from appliance.bbb.endpoint import (
    UnacceptableValue,
    check_secret,
    check_url,
    complete_api_url,
    host_of,
    url_key,
)
from appliance.faults import BbbError
from appliance.model import Server, Target
from appliance.pool.retired import RetiredServer
from appliance.servers.administration import add_server, find_server, update_server
from appliance.servers.deps import ServerDeps
from appliance.servers.sync.plan import named_values
from appliance.servers.values import NewServer, ServerChange, check_change
from appliance.usage.debts import with_debts

PROOF_S = 10.0
"""How long a server may take to show that it accepts the secret that was given for it."""


@dataclass(frozen=True, slots=True)
class Registered:
    """A server that registered itself."""

    server: Server
    new: bool
    """It was not in the pool."""


async def register_server(
    deps: ServerDeps, actor: str, new: NewServer, change: ServerChange
) -> Registered:
    """Add a server, or bring a known one to these values; its URL says which it is.

    `change` has the values that were given. A known server keeps its state, and takes another
    secret only if it answers to it. Raises Refused: a value is invalid, or another server has
    the id.
    """
    try:
        url = check_url(complete_api_url(new.url))
        new = replace(new, url=url, secret=check_secret(new.secret))
        check_change(change)
    except UnacceptableValue as error:
        raise Refused(RefusalKind.INVALID, str(error)) from error
    known = await find_by_url(deps, new.url)
    if known is None:
        try:
            server = await add_server(deps, actor, new, new_id=_id_for(new.url), registering=True)
            return Registered(server, new=True)
        except Refused:
            known = await find_by_url(deps, new.url)
    if known is None:
        # Either a value cannot be accepted, or a server that had this URL before has the id.
        return Registered(await add_server(deps, actor, new, registering=True), new=True)
    # Or it was registered by another call just now.
    return Registered(await _bring_up_to_date(deps, actor, known, change), new=False)


async def find_by_url(deps: ServerDeps, url: str) -> Server | None:
    """Return the server with an API endpoint, also if it is given as `bbb-conf --secret` does."""
    keys = {url_key(url), url_key(complete_api_url(url))}
    servers = await deps.pool.records.list_servers()
    return next((one for one in servers if url_key(one.url) in keys), None)


def _id_for(url: str) -> Callable[[], object]:
    """Return what makes the id of a URL, the same for two calls at once."""
    return lambda: uuid.uuid5(uuid.NAMESPACE_URL, str(url_key(url)))


async def _bring_up_to_date(
    deps: ServerDeps, actor: str, known: Server, change: ServerChange
) -> Server:
    different = {
        name: value
        for name, value in named_values(change).items()
        if value != getattr(known, name) and (value or getattr(known, name))
    }
    if not different:
        return await find_server(deps, known.id)
    if "secret" in different:
        await _require_proof(deps, known, change.secret or "")
    kept = {name: None for name in named_values(change) if name not in different}
    return await update_server(deps, actor, known.id, replace(change, **kept))


async def _require_proof(deps: ServerDeps, known: Server, secret: str) -> None:
    """Refuse a secret to which the server does not answer: it would be lost for the pool."""
    reason = "the server answered FAILED"
    try:
        with trio.fail_after(PROOF_S):
            if (await deps.pool.bbb.list_meetings(Target(known.id, known.url, secret))).succeeded:
                return
    except BbbError as error:
        reason = error.reason
    except trio.TooSlowError:
        reason = f"no answer within {PROOF_S:g} s"
    raise Refused(
        RefusalKind.INVALID,
        f"server {known.id} is known with another secret, and does not accept this one: {reason}",
    )


# --- retired servers -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Retirement:
    """A retired server with what it owes."""

    retired: RetiredServer
    recordings_owed: int
    recordings_awaited: int


async def list_retired(deps: ServerDeps) -> list[Retirement]:
    """Return the retired servers in natural order of their host names. Raises StoreDown."""
    found = await deps.pool.retired.read_all(now_ms=deps.now_ms())
    servers = await with_debts(deps.usage, [one.server for one in found])
    pairs = zip(found, servers, strict=True)
    each = [Retirement(one, by.recordings_owed, by.recordings_awaited) for one, by in pairs]
    return sorted(each, key=lambda one: _order_of(one.retired.server))


def _order_of(server: Server) -> tuple[object, ...]:
    return natural_key(host_of(server.url)), server.id


async def forget_retired(deps: ServerDeps, actor: str, server_id: str) -> None:
    """Forget a retired server: nothing is accepted from it any more. Raises Refused: none is."""
    if not await deps.pool.retired.forget(server_id):
        raise Refused(RefusalKind.NOT_FOUND, f"there is no retired server with id={server_id}")
    deps.log.info("server_forgotten", server=server_id, by=actor)
