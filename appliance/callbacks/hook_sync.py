"""Synchronises the registrations of web hooks on servers, after each poll and when hooks change.

A failure, for example on a server without bbb-webhooks, is only logged and repeated after the next
poll; it does not affect the server's health. hook_rules.py decides which hook belongs where.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import trio

from appliance.bbb.xml import MalformedAnswer, ServerAnswer
from appliance.callbacks.deps import CallbackDeps
from appliance.callbacks.hook_rules import (
    Hook,
    HookChanges,
    Registration,
    ServerHooks,
    creation_params,
    parse_hook_id,
    parse_hook_list,
    plan_hooks,
)
from appliance.faults import BbbError, StoreDown
from appliance.model import Meeting, Server, ServerState, Target

MAX_CHANGES = 200
"""Maximum number of registrations that are changed on a server at a time; the next poll
continues."""
MEETING_HOOKS_DEADLINE_S = 2.0
"""Maximum time that a create waits for the hooks of its meeting; it has a deadline of its own."""
_SERVERS_AT_ONCE = 16
_MISSING = "destroyMissingHook"


async def sync_server_hooks(deps: CallbackDeps, server: Server, *, verify: bool) -> None:
    """Synchronise the registrations on a server; `verify`: ask it for its list first.

    A server that is not polled gets no new registrations. Raises StoreDown.
    """
    state = await _read(deps, server.target)
    if not _is_polled(server):
        known = {one.hook_id for one in state.registered}
        state = replace(state, hooks=tuple(one for one in state.hooks if one.id in known))
    if state.hooks or state.registered:
        await _ServerHookSync(deps, server.target, state).run(verify=verify)


async def sync_meeting_hooks(deps: CallbackDeps, meeting: Meeting) -> None:
    """Register the hooks of a meeting, if any, on its server before the meeting is created.

    Takes MEETING_HOOKS_DEADLINE_S at most; failures are only logged.
    """
    target = meeting.server
    if target is None or not deps.hook_cache.concerns(meeting.id, meeting.tenant_id):
        return
    with trio.move_on_after(MEETING_HOOKS_DEADLINE_S) as deadline:
        try:
            sync = _ServerHookSync(deps, target, await _read(deps, target))
            await sync.run(verify=False, only=lambda one: one.meeting_id == meeting.id)
        except StoreDown as error:
            deps.faults.note("hooks_not_placed", target.id, reason=str(error))
    if deadline.cancelled_caught:
        deps.faults.note(
            "hooks_not_placed", target.id, reason=f"not done within {MEETING_HOOKS_DEADLINE_S:g} s"
        )


async def sync_all_hooks(deps: CallbackDeps, *, disabled_too: bool) -> None:
    """Synchronise the registrations on all servers, for RESPONSE_TIMEOUT at most.

    Raises StoreDown.
    """
    limiter = trio.CapacityLimiter(_SERVERS_AT_ONCE)
    down: list[StoreDown] = []

    async def keep(server: Server) -> None:
        async with limiter:
            try:
                await sync_server_hooks(deps, server, verify=False)
            except StoreDown as error:
                down.append(error)  # the nursery would wrap it in a group

    servers = await deps.pool.records.list_servers()
    with trio.move_on_after(deps.settings.servers.response_timeout_s):
        async with trio.open_nursery() as nursery:
            for server in servers:
                if _is_polled(server) or disabled_too:
                    nursery.start_soon(keep, server)
    if down:
        raise down[0]


async def remove_server_hooks(
    deps: CallbackDeps, target: Target, registered: tuple[Registration, ...]
) -> None:
    """Remove the registrations from a server that was removed from the pool. Best effort."""
    await _ServerHookSync(deps, target, ServerHooks((), registered, ())).run(verify=False)


def _is_polled(server: Server) -> bool:
    return server.online and server.state is not ServerState.DISABLED


async def _read(deps: CallbackDeps, target: Target) -> ServerHooks:
    state = await deps.hooks.read(target.id)
    return replace(state, hooks=tuple(deps.hook_cache.active(state.hooks)))


@dataclass(frozen=True, slots=True)
class _ServerHookSync:
    """Changes the registrations on one server."""

    deps: CallbackDeps
    target: Target
    state: ServerHooks

    async def run(
        self, *, verify: bool, only: Callable[[Registration], bool] = lambda _: True
    ) -> None:
        try:
            actual = await self._list() if verify else None
            changes = plan_hooks(self.state, actual=actual)
            await self._change(changes, actual, only)
        except (BbbError, MalformedAnswer) as error:
            reason = error.reason if isinstance(error, BbbError) else str(error)
            self.deps.faults.note("hooks_not_kept", self.target.id, reason=reason)

    async def _change(
        self,
        changes: HookChanges,
        actual: dict[str, str] | None,
        only: Callable[[Registration], bool],
    ) -> None:
        for one in [one for one in changes.surplus if only(one)][:MAX_CHANGES]:
            # The server may have reused ids: destroy only what is known to be the appliance's.
            if actual is None or actual.get(one.url) == one.server_hook_id:
                await self._destroy(one)
            else:
                await self.deps.hooks.forget(self.target.id, one)
        hooks = {hook.id: hook for hook in self.state.hooks}
        for one in [one for one in changes.missing if only(one)][:MAX_CHANGES]:
            await self._create(hooks[one.hook_id], one)

    async def _list(self) -> dict[str, str] | None:
        """Return the hooks that the server lists; None: it answered FAILED."""
        answer = await self._call("hooks/list", ())
        if answer.succeeded:
            return parse_hook_list(answer.body)
        self._note_refusal("hooks/list", answer)
        return None

    async def _create(self, hook: Hook, one: Registration) -> None:
        answer = await self._call("hooks/create", creation_params(hook, one))
        hook_id = parse_hook_id(answer.body) if answer.succeeded else None
        if hook_id is None:
            self._note_refusal("hooks/create", answer)
            return
        await self.deps.hooks.record(self.target.id, replace(one, server_hook_id=hook_id))
        self.deps.log.debug("hook_placed", hook=hook.id, server=self.target.id)

    async def _destroy(self, one: Registration) -> None:
        answer = await self._call("hooks/destroy", (("hookID", one.server_hook_id),))
        if answer.succeeded or answer.message_key == _MISSING:
            await self.deps.hooks.forget(self.target.id, one)
        else:
            self._note_refusal("hooks/destroy", answer)

    async def _call(self, call: str, params: tuple[tuple[str, str], ...]) -> ServerAnswer:
        limit_s = self.deps.settings.servers.response_timeout_s
        return await self.deps.pool.bbb.call(self.target, call, params, deadline_s=limit_s)

    def _note_refusal(self, call: str, answer: ServerAnswer) -> None:
        self.deps.faults.note(
            "server_refused_call", self.target.id, call=call, key=answer.message_key
        )
