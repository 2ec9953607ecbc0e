"""Apply server lists to the pool (`servers sync`, `servers add-all`), and export the pool as one.

A list is validated completely before anything changes. Then each server is changed in one atomic
step; if the store fails in between, the result shows which steps were done.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial

import trio

from appliance.admin_calls.refusal import Refused
from appliance.bbb.endpoint import url_key
from appliance.faults import StoreDown
from appliance.model import Server, ServerId, ServerState
from appliance.pool.ending import EndResult
from appliance.servers.administration import add_server, list_servers, logged_change
from appliance.servers.clearing import panic_server
from appliance.servers.deps import ServerDeps
from appliance.servers.model import RemovalResult
from appliance.servers.sync.plan import (
    StepKind,
    SyncMode,
    SyncStep,
    cordoning,
    plan_sync,
    shared_urls,
    taken_urls,
)
from appliance.servers.sync.yaml_entry import ServerListProblem
from appliance.servers.sync.yaml_limits import (
    changed_limits,
    match_limits,
    parse_tenant_limits,
)
from appliance.servers.sync.yaml_list import (
    BadServerList,
    parse_new_servers,
    parse_server_list,
    read_document,
    render_server_list,
)
from appliance.servers.sync.yaml_nodes import Node
from appliance.servers.values import NewServer
from appliance.system.threads import run_counted
from appliance.tenants.limit_administration import change_limits, tenant_ids
from appliance.tenants.limits import DEFAULT_TENANT

APPLY_S = 570.0
"""Less than the deadline of the admin call, so that the answer can report the progress."""


class StepOutcome(StrEnum):
    """Result of one step."""

    PLANNED = "planned"
    """A dry run: nothing was changed."""
    DONE = "done"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    """The store failed during the step, which may be done."""
    NOT_REACHED = "not_reached"


@dataclass(frozen=True, slots=True)
class SyncedServer:
    """One step and its result."""

    step: SyncStep
    outcome: StepOutcome
    reason: str = ""
    ended: tuple[EndResult, ...] = ()


@dataclass(frozen=True, slots=True)
class SyncResult:
    """Result of a sync, or of its dry run."""

    servers: tuple[SyncedServer, ...]
    notes: tuple[str, ...] = ()
    """Warnings for the operator."""
    failure: str = ""
    """Why it ended early; empty: it was completed."""


async def sync_servers(
    deps: ServerDeps,
    actor: str,
    text: str,
    *,
    mode: SyncMode = SyncMode.CORDON,
    dry_run: bool = False,
    apply_s: float = APPLY_S,
) -> SyncResult:
    """Add, change and remove servers until the pool matches the file.

    `apply_s` limits the time for the changes. Raises BadServerList: nothing was changed.
    """
    present = await list_servers(deps)
    known = {server.id for server in present}
    # In a thread: libyaml takes milliseconds, but PyYAML in pure Python may take long.
    document = await trio.to_thread.run_sync(read_document, text)
    wanted = await trio.to_thread.run_sync(parse_server_list, document, known)
    if taken := await run_counted(len(wanted) + len(present), lambda: taken_urls(wanted, present)):
        raise BadServerList([_taken_url(*pair) for pair in taken])
    limits = await _find_limits(deps, document)
    del document  # a tree of objects that the garbage collector would walk during the sync
    held = Counter(meeting.server_id for meeting in await deps.pool.records.list_meetings())
    count = len(wanted) + len(present)
    steps = await run_counted(count, partial(plan_sync, wanted, present, held, mode))
    shared = await run_counted(count, lambda: _notes({one.id: one.url for one in wanted}))
    notes = (*shared, *map(str, limits))
    if dry_run:
        planned = tuple(SyncedServer(step, StepOutcome.PLANNED) for step in steps)
        return SyncResult(planned, notes)
    sync = _Sync(deps, actor, mode, await deps.pool.retired.ids_by_url(now_ms=deps.now_ms()))
    await sync.apply(steps, apply_s)
    if not sync.failure:
        await sync.set_limits(limits)
    return SyncResult(sync.results(steps), notes, sync.failure)


@dataclass(frozen=True, slots=True)
class _NewLimits:
    """The limits of a tenant that a file changes; an empty value removes one."""

    tenant_id: str
    name: str
    """As in the file."""
    values: Mapping[str, str]

    def __str__(self) -> str:
        shown = [f"{limit}={value}" for limit, value in self.values.items()]
        return f"limits of {self.name}: {' '.join(shown)}"


async def _find_limits(deps: ServerDeps, document: Node) -> tuple[_NewLimits, ...]:
    """Return the limits that a file changes. Raises BadServerList."""
    found, problems = parse_tenant_limits(document)
    tenants = deps.callbacks.tenants
    names = match_limits(found, await tenant_ids(tenants), problems) if found else {}
    if problems:
        raise BadServerList(problems)
    present = await tenants.limits.read_all(now_ms=deps.now_ms()) if found else {}
    by_id = {one_id or DEFAULT_TENANT: limits for one_id, limits in present.items()}
    changes = [
        _NewLimits(tenant_id, name, changed_limits(found[name], by_id.get(tenant_id)))
        for tenant_id, name in names.items()
    ]
    return tuple(change for change in changes if change.values)


def _taken_url(server_id: ServerId, owner: ServerId) -> ServerListProblem:
    reason = (
        f"server {owner} has this url already, and a server cannot be renamed: keep the id {owner}"
        f" in the file, or remove it first (`ctl servers remove {owner}`)"
    )
    return ServerListProblem(0, server_id, reason)


def _notes(urls: dict[ServerId, str]) -> tuple[str, ...]:
    groups = shared_urls({str(server_id): url for server_id, url in urls.items()})
    return tuple(f"servers with the same url: {', '.join(group)}" for group in groups)


class _Sync:
    """Applies the steps, one after the other."""

    def __init__(
        self,
        deps: ServerDeps,
        actor: str,
        mode: SyncMode,
        retired: dict[str, list[ServerId]],
    ) -> None:
        self._deps = deps
        self._actor = actor
        self._mode = mode
        self._retired = retired
        """Ids by `url_key`."""
        self._done: list[SyncedServer] = []
        self.failure = ""

    async def apply(self, steps: Sequence[SyncStep], deadline_s: float) -> None:
        """Apply steps until all are done, the store fails or the deadline has passed."""
        with trio.move_on_after(deadline_s) as scope:
            for step in steps:
                try:
                    self._done.append(await self._apply(step))
                except StoreDown:
                    self.failure = "the meeting store (Redis) was lost on the way"
                    break
        if scope.cancelled_caught:
            self.failure = f"not done within {deadline_s:g} seconds"

    async def set_limits(self, limits: Sequence[_NewLimits]) -> None:
        """Set the limits of tenants."""
        tenants = self._deps.callbacks.tenants
        try:
            for one in limits:
                await change_limits(tenants, self._actor, one.tenant_id, one.values)
        except StoreDown:
            self.failure = "the meeting store (Redis) was lost on the way"
        except Refused as error:  # the tenant was removed by another call
            self.failure = str(error)

    def results(self, steps: Sequence[SyncStep]) -> tuple[SyncedServer, ...]:
        """Return the result of each step; an interrupted one is uncertain."""
        rest = [SyncedServer(step, StepOutcome.NOT_REACHED) for step in steps[len(self._done) :]]
        if rest and rest[0].step.changes_something:
            rest[0] = replace(rest[0], outcome=StepOutcome.UNCERTAIN)
        return (*self._done, *rest)

    async def _apply(self, step: SyncStep) -> SyncedServer:
        match step.kind:
            case StepKind.ADD:
                return await self._add(step)
            case StepKind.CHANGE | StepKind.CORDON if step.changes_something:
                return await self._change(step)
            case StepKind.REMOVE:
                return await self._remove(step)
            case StepKind.EVICT:
                return await self._evict(step)
        return SyncedServer(step, StepOutcome.DONE)

    async def _add(self, step: SyncStep) -> SyncedServer:
        retired = self._retired.pop(url_key(step.change.url or ""), ())
        if not await self._deps.store.add_server(step.server_id, step.change, retired):
            return SyncedServer(step, StepOutcome.FAILED, "another server got this id meanwhile")
        state = step.change.state or ServerState.DISABLED
        self._log("server_added", step, url=step.change.url, state=state.value)
        return self._changed(step)

    async def _change(self, step: SyncStep) -> SyncedServer:
        if not await self._deps.store.update_server(step.server_id, step.change):
            return SyncedServer(step, StepOutcome.FAILED, "it was removed meanwhile")
        self._log("server_changed", step, **logged_change(step.change))
        return self._changed(step)

    def _changed(self, step: SyncStep) -> SyncedServer:
        if step.change.state is ServerState.ENABLED:
            self._deps.poll_soon(step.server_id)
        return SyncedServer(step, StepOutcome.DONE)

    async def _remove(self, step: SyncStep) -> SyncedServer:
        result = await self._take_out(step, force=False)
        if result.meetings or result.owed:  # a meeting was placed there, or has ended, meanwhile
            held = replace(step, meetings=result.meetings, owed=result.owed)
            return await self._remove_occupied(held)
        if result.done:
            self._log("server_removed", step, forced=False)
        return SyncedServer(step, StepOutcome.DONE)

    async def _remove_occupied(self, step: SyncStep) -> SyncedServer:
        if self._mode is SyncMode.FORCE:
            return await self._evict(replace(step, kind=StepKind.EVICT))
        server = await self._deps.pool.records.find_server(step.server_id)
        state = ServerState.DISABLED if server is None else server.state
        return await self._apply(cordoning(step.server_id, state, step.meetings, step.owed))

    async def _evict(self, step: SyncStep) -> SyncedServer:
        try:
            cleared = await panic_server(self._deps, self._actor, step.server_id)
        except Refused:  # removed by another call
            return SyncedServer(step, StepOutcome.DONE)
        await self._take_out(step, force=True)
        self._log("server_removed", step, forced=True)
        return SyncedServer(step, StepOutcome.DONE, ended=cleared.meetings)

    async def _take_out(self, step: SyncStep, *, force: bool) -> RemovalResult:
        now_ms = self._deps.now_ms()
        return await self._deps.store.remove_server(
            step.server_id, force=force, now_ms=now_ms, may_owe=self._deps.usage is not None
        )

    def _log(self, event: str, step: SyncStep, **more: object) -> None:
        self._deps.log.info(event, server=step.server_id, **more, by=self._actor)


async def export_servers(deps: ServerDeps, *, verbose: bool) -> str:
    """Return the pool as a file for `sync_servers`; it contains the servers' secrets."""
    tenants = deps.callbacks.tenants
    found = await tenants.limits.read_all(now_ms=deps.now_ms())
    names = {one_id: name for name, one_id in (await tenant_ids(tenants)).items()} if found else {}
    limits = {
        names[key]: one
        for one_id, one in found.items()
        if (key := one_id or DEFAULT_TENANT) in names
    }
    servers = await list_servers(deps)
    render = partial(render_server_list, servers, limits, verbose=verbose)
    return await run_counted(len(servers), render)


# --- add-all -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AddedServer:
    """One server of a file for add-all, and its result."""

    new: NewServer
    server: Server | None
    """None: not reached."""
    outcome: StepOutcome
    reason: str = ""
    was_there: bool = False
    """A server with this URL is in the pool already, and was not changed."""


async def add_all_servers(
    deps: ServerDeps, actor: str, text: str, *, new_id: Callable[[], object] = uuid.uuid4
) -> tuple[AddedServer, ...]:
    """Add every server of a file, disabled; servers whose URL is in the pool are not changed.

    So a file that was applied partly can be applied again. Raises BadServerList: nothing was
    changed.
    """
    present = await list_servers(deps)
    by_url = {url_key(server.url): server for server in present}
    taken = {str(server.id): server.url for server in present}
    wanted = await trio.to_thread.run_sync(parse_new_servers, text, taken)
    retired = await deps.pool.retired.ids_by_url(now_ms=deps.now_ms())
    results: list[AddedServer] = []
    lost = False
    for new in wanted:
        if lost:
            results.append(AddedServer(new, None, StepOutcome.NOT_REACHED))
            continue
        if (there := by_url.get(url_key(new.url))) is not None:
            results.append(AddedServer(new, there, StepOutcome.DONE, was_there=True))
            continue
        try:
            known = retired.pop(url_key(new.url), ())
            server = await add_server(
                deps, actor, new, new_id=new_id, retired=known, url_is_new=True
            )
        except Refused as refused:
            results.append(AddedServer(new, None, StepOutcome.FAILED, refused.reason))
        except StoreDown:
            lost = True
            results.append(AddedServer(new, None, StepOutcome.UNCERTAIN))
        else:
            by_url[url_key(server.url)] = server
            results.append(AddedServer(new, server, StepOutcome.DONE))
    return tuple(results)
