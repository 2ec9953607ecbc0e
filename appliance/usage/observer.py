"""Adds the findings of polls to the usage of their servers.

The state of a server is written together with its poll, if it was not written since
it was read: so any number of appliances can poll a server, and nothing counts twice. The rules are
in tally.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from appliance.model import ServerId
from appliance.redis.store import Argument
from appliance.usage.deps import UsageDeps
from appliance.usage.model import Finished, ServerUsage
from appliance.usage.store import usage_arguments
from appliance.usage.tally import Poll, observe

_ATTEMPTS = 4
"""How often a state is read again if others write it at the same time. The next poll makes up for
what could not be written."""


@dataclass(frozen=True, slots=True)
class PreparedUsage:
    """A poll that was added up, and is to be written."""

    poll: Poll
    version: int
    state: ServerUsage
    arguments: Sequence[Argument]
    """Of save_usage in lib.lua."""


async def prepare_usage(deps: UsageDeps, poll: Poll, version: int) -> PreparedUsage:
    """Add a poll to the state of its server, which has this version. Raises StoreDown."""
    server_id = ServerId(poll.server)
    # Removed, as it is of no use if it cannot be written.
    known, state = deps.states.pop(server_id, (-1, ServerUsage()))
    if known != version:
        version, state = await deps.store.read(server_id)
    finished = observe(state, poll)
    return PreparedUsage(poll, version, state, usage_arguments(version, state, finished))


async def confirm_usage(deps: UsageDeps, prepared: PreparedUsage, *, saved: bool) -> None:
    """Keep a state that was written; repeat the work if it was not. Raises StoreDown."""
    server_id = ServerId(prepared.poll.server)
    if saved:
        deps.states[server_id] = prepared.version + 1, prepared.state
    else:
        await change_usage(deps, server_id, lambda state: observe(state, prepared.poll))


async def change_usage(
    deps: UsageDeps,
    server_id: ServerId,
    change: Callable[[ServerUsage], Finished | None],
    *,
    remove: bool = False,
) -> bool:
    """Change the state of a server, or remove it; False: others kept writing.

    `change` returns None to leave it as it is. Raises StoreDown.
    """
    deps.states.pop(server_id, None)
    for _ in range(_ATTEMPTS):
        version, state = await deps.store.read(server_id)
        finished = change(state)
        if finished is None:
            return True
        arguments = usage_arguments(version, None if remove else state, finished)
        if await deps.store.save(server_id, arguments):
            return True
    deps.faults.note("usage_not_written", server_id, reason="others wrote at the same time")
    return False
