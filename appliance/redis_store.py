"""The meeting store: servers, meetings, leases and tenants in Redis.

Translates between the model and the Lua scripts, one round trip a method unless its docstring
says otherwise. Every method raises StoreDown when Redis cannot be used. Holds no rule: those
that must be atomic are the scripts themselves. Truth: docs/stores.md (layout of the keys).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from appliance.callbacks.ended_rules import TELL_AFTER_END_MS, TELL_AFTER_LOSS_MS, Run
from appliance.dialin.dialplan import WRONG_PINS_WINDOW_MS, PinLookup, PinOutcome
from appliance.faults import StoreDown
from appliance.model import (
    FailureResult,
    Meeting,
    MeetingId,
    Observation,
    ObservationResult,
    Placement,
    PlacementOutcome,
    PlacementRequest,
    PlacementRules,
    PollStart,
    Server,
    ServerChange,
    ServerId,
    ServerState,
    Tenant,
    TenantId,
)
from appliance.redis.client import (
    RedisAddress,
    RedisClient,
    RedisDown,
    RedisError,
    Script,
    open_redis_client,
)
from appliance.redis_arguments import (
    change_arguments,
    observation_arguments,
    placement_arguments,
)
from appliance.redis_replies import (
    parse_failure,
    parse_meeting,
    parse_observation,
    parse_server,
    parse_state,
    parse_tenant,
)
from appliance.redis_scripts import Scripts, load_scripts
from appliance.system.instruments import Histogram
from appliance.tenants.scoped_id import scoped_id

_SCAN_CHUNK = 500


@dataclass(frozen=True, slots=True)
class RedisStore:
    """The meeting store of the whole pool, shared by every appliance on the same Redis."""

    client: RedisClient
    """For API calls: short commands only."""
    bulk: RedisClient
    """For polls, sweeps and administration, so that a long script delays no API call."""
    namespace: str
    rules: PlacementRules
    scripts: Scripts

    # Meetings: the hot path

    async def find_meeting(self, meeting_id: MeetingId, *, now_ms: int) -> Meeting | None:
        """Return the record kept under an id, None if there is none (or its server is gone)."""
        reply = await self._hot(self.scripts.find_meeting, meeting_id, now_ms)
        return None if reply is None else parse_meeting(reply)

    async def find_meeting_of(
        self, tenant_id: TenantId | None, meeting_id: MeetingId, *, now_ms: int
    ) -> Meeting | None:
        """Return the record of a tenant's meeting by its front-end's id; see lib.lua, find_record.

        None: the tenant has no such meeting. Without tenants it is a meeting of none.
        """
        tenant = _tenant_arguments(tenant_id, meeting_id)
        reply = await self._hot(self.scripts.find_meeting, meeting_id, now_ms, *tenant)
        return None if reply is None else parse_meeting(reply)

    async def join_meeting(
        self, meeting_id: MeetingId, tenant_id: TenantId | None, *, now_ms: int
    ) -> Meeting | None:
        """Count one user into a tenant's meeting and return its record, as `find_meeting_of`."""
        reply = await self._hot(
            self.scripts.join_meeting,
            meeting_id,
            *_tenant_arguments(tenant_id, meeting_id),
            now_ms,
            self.rules.join_buffer_ms,
        )
        return None if reply is None else parse_meeting(reply)

    async def place_meeting(self, request: PlacementRequest) -> Placement:
        """Find the meeting or choose a server for it; see place_meeting.lua."""
        reply = await self._hot(
            self.scripts.place_meeting, placement_arguments(request, self.rules)
        )
        outcome = PlacementOutcome(reply[0])
        meeting = parse_meeting(reply[2:]) if len(reply) > 2 else None
        return Placement(outcome, meeting, ServerId(reply[1]) if reply[1] else None)

    async def confirm_meeting(
        self,
        meeting: Meeting,
        *,
        now_ms: int,
        run: Run | None = None,
        began: bool = True,
        created: str | None = None,
    ) -> bool:
        """Record that the server created the meeting; False: the record is another one now.

        `began`: this create began the `run`; else the server had the meeting already, as it had if
        its createTime, `created`, is that of the run that is known.
        """
        run_ms = run.began_ms if run and began else ""
        ended_url = (run.ended_url if run else None) or ""
        reply = await self._hot(
            self.scripts.confirm_meeting,
            *(*_identity(meeting), now_ms, self.rules.ttl_s),
            *(run_ms, ended_url, created or ""),
        )
        return bool(reply)

    async def extend_creating(self, meeting: Meeting, *, until_ms: int) -> bool:
        """Keep the record safe while the body of its create is still on its way."""
        return bool(await self._hot(self.scripts.extend_creating, *_identity(meeting), until_ms))

    async def abandon_meeting(self, meeting: Meeting, *, now_ms: int, may_exist: bool) -> bool:
        """Undo an unconfirmed placement; False: another request changed or confirmed it.

        `may_exist`: the server may have created the meeting, so it is ended there when it shows
        up, and a create of the same id within `avoid_ms` prefers another server.
        """
        reply = await self._hot(
            self.scripts.abandon_meeting,
            *_identity(meeting),
            now_ms,
            int(may_exist),
            self.rules.avoid_ms,
        )
        return bool(reply)

    async def forget_meeting(
        self, meeting: Meeting, *, now_ms: int, even_if_creating: bool = False
    ) -> bool:
        """Forget a meeting that its server does not have; False: it is another one by now.

        `meeting` is the record from before the server was asked.
        """
        tell_after_ms = TELL_AFTER_END_MS if even_if_creating else TELL_AFTER_LOSS_MS
        reply = await self._hot(
            self.scripts.forget_meeting,
            *(*_identity(meeting), meeting.run_ms or ""),
            *(now_ms, int(even_if_creating), tell_after_ms),
        )
        return bool(reply)

    async def find_tenant(self, label: str) -> Tenant | None:
        """Return the tenant of a host label (any case), with its settings."""
        return parse_tenant(await self._hot(self.scripts.find_tenant, label.lower()))

    async def find_voice_bridge(
        self, pin: str, parent: str | None, *, caller: str, most_wrong: int, now_ms: int
    ) -> PinLookup:
        """Return the meeting of a pin, or of its parent's; see find_voice_bridge.lua."""
        reply = await self._hot(
            self.scripts.find_voice_bridge,
            *(pin, parent or "", caller, most_wrong, WRONG_PINS_WINDOW_MS, now_ms),
        )
        meeting = parse_meeting(reply[2:]) if len(reply) > 2 else None
        return PinLookup(PinOutcome(reply[0]), int(reply[1]), meeting)

    async def suspect_server(self, server_id: ServerId, *, silent: bool = False) -> bool:
        """Note that a call to the server failed, `silent`: got no answer; False: that is known."""
        arguments = (server_id, self.rules.suspect_ms, int(silent))
        return bool(await self._hot(self.scripts.suspect_server, *arguments))

    async def ping(self) -> None:
        """Ask for a sign of life."""
        try:
            await self.client.command("PING")
        except RedisDown as error:
            raise StoreDown(str(error)) from error

    # Servers

    async def list_servers(self, *, in_background: bool = False) -> list[Server]:
        """Return all servers, by id."""
        ask = self._bulk if in_background else self._hot
        return [parse_server(item) for item in await ask(self.scripts.list_servers)]

    async def find_server(self, server_id: ServerId) -> Server | None:
        """Return one server, None if there is no such."""
        found = await self._bulk(self.scripts.list_servers, server_id)
        return parse_server(found[0]) if found else None

    async def add_server(self, server_id: ServerId, change: ServerChange) -> bool:
        """Add a server, disabled and offline; False: the id is taken."""
        fields = {"online": "false", "state": ServerState.DISABLED.value}
        request = change_arguments(server_id, change, new=True, fields=fields)
        return bool(await self._bulk(self.scripts.save_server, request))

    async def update_server(self, server_id: ServerId, change: ServerChange) -> bool:
        """Change what `change` names; False: there is no such server."""
        request = change_arguments(server_id, change, new=False, fields={})
        return bool(await self._bulk(self.scripts.save_server, request))

    async def set_server_state(self, server_id: ServerId, state: ServerState) -> ServerState | None:
        """Set the state and return the one before, None if there is no such server."""
        before = await self._bulk(self.scripts.set_server_state, server_id, state.value)
        return None if before is None else parse_state(before)

    async def remove_server(self, server_id: ServerId, *, force: bool) -> int | None:
        """Remove a server; None: done; n > 0: refused, it has n meetings; -1: no such server."""
        reply = await self._bulk(self.scripts.remove_server, server_id, int(force))
        return None if reply[0] == 0 else int(reply[0])

    async def clear_server(
        self, server_id: ServerId, *, now_ms: int, to_be_ended: bool
    ) -> list[tuple[MeetingId, str]] | None:
        """Forget a server's meetings; return (id, moderator password) of each, None: no server.

        `to_be_ended`: should one still run there at a later poll, it is ended.
        """
        reply = await self._bulk(
            self.scripts.clear_server, server_id, now_ms, int(to_be_ended), TELL_AFTER_END_MS
        )
        return None if reply is None else [(MeetingId(item), pw) for item, pw in reply]

    async def list_meetings(self) -> list[Meeting]:
        """Return all records, by id. In chunks: two round trips for every 500 meetings."""
        found: dict[str, Meeting] = {}  # SSCAN may name one twice
        now_ms = 0  # `creating` is of no interest to a list
        async for ids in self._scan("SSCAN", f"{self.namespace}:meetings"):
            for reply in await self._bulk(self.scripts.list_meetings, now_ms, *ids):
                meeting = parse_meeting(reply)
                found[meeting.id] = meeting
        return [found[meeting_id] for meeting_id in sorted(found)]

    # Polling

    async def lease_servers(
        self, instance: str, server_ids: Sequence[ServerId], *, now_ms: int, lease_ms: int
    ) -> list[ServerId]:
        """Claim and renew the right to poll; return the servers this appliance polls."""
        reply = await self._bulk(
            self.scripts.lease_servers, instance, now_ms, lease_ms, *server_ids
        )
        return [ServerId(item) for item in reply]

    async def release_leases(self, instance: str, server_ids: Sequence[ServerId]) -> None:
        """Give back what this appliance polls, so that another takes over at once."""
        await self._bulk(self.scripts.release_leases, instance, *server_ids)

    async def begin_poll(self, server_id: ServerId) -> PollStart | None:
        """Return what a poll needs to know before it asks; None: the server is gone."""
        reply = await self._bulk(self.scripts.begin_poll, server_id)
        if reply is None:
            return None
        return PollStart(parse_state(reply[0]), float(reply[1] or 0))

    async def expected_sizes(self, meeting_ids: Sequence[str]) -> dict[str, int]:
        """Return the reserved size of those meetings that have a reservation."""
        prefix = f"{self.namespace}:appliance:meeting:"
        commands = [["HGET", prefix + meeting_id, "expected"] for meeting_id in meeting_ids]
        replies = await self._pipeline(commands) if commands else []
        pairs = zip(meeting_ids, replies, strict=True)
        return {meeting_id: int(float(reply)) for meeting_id, reply in pairs if reply is not None}

    async def observe_server(
        self, seen: Observation, *, healthy_threshold: int
    ) -> ObservationResult:
        """Record a successful poll; see observe_server.lua."""
        request = observation_arguments(seen, self.rules, healthy_threshold=healthy_threshold)
        return parse_observation(await self._bulk(self.scripts.observe_server, request))

    async def fail_server(
        self, server_id: ServerId, *, now_ms: int, unhealthy_threshold: int, disabled: bool = False
    ) -> FailureResult:
        """Record a failed poll; see fail_server.lua."""
        arguments = (server_id, now_ms, unhealthy_threshold, int(disabled))
        return parse_failure(await self._bulk(self.scripts.fail_server, *arguments))

    async def reach_server(self, server_id: ServerId, *, healthy_threshold: int) -> bool:
        """Record that a disabled server answered; see reach_server.lua."""
        return bool(await self._bulk(self.scripts.reach_server, server_id, healthy_threshold))

    async def record_version(self, server_id: ServerId, bbb_version: str) -> None:
        """Store the BBB version that a server reported (of a disabled server too)."""
        fields = {"bbb_version": bbb_version}
        request = change_arguments(server_id, ServerChange(), new=False, fields=fields)
        await self._bulk(self.scripts.save_server, request)

    async def claim_sweep(self, instance: str, *, lease_ms: int) -> bool:
        """Claim the right to sweep for `lease_ms`: one appliance does it for all."""
        key = f"{self.namespace}:appliance:lease-sweep"
        try:
            reply = await self.bulk.command("SET", key, instance, "NX", "PX", lease_ms)
        except RedisDown as error:
            raise StoreDown(str(error)) from error
        return reply is not None

    async def sweep(self, *, now_ms: int, grace_ms: int) -> int:
        """Remove what was found without its hash twice, `grace_ms` apart; return how much.

        In chunks of 500 entries, a round trip each.
        """
        removed = int(await self._bulk(self.scripts.sweep_servers))
        removed += int(await self._bulk(self.scripts.sweep_hooks))
        removed += int(await self._bulk(self.scripts.sweep_setting_calls))
        async for ids in self._scan("SSCAN", f"{self.namespace}:meetings"):
            removed += await self._bulk(self.scripts.sweep_meetings, now_ms, grace_ms, *ids)
        async for pairs in self._scan("HSCAN", f"{self.namespace}:voice_bridges"):
            numbers = pairs[::2]
            removed += await self._bulk(
                self.scripts.sweep_voice_bridges, now_ms, grace_ms, *numbers
            )
        return removed

    # Plumbing

    async def _hot(self, script: Script, *args: str | int | float) -> Any:
        return await self._run(self.client, script, args)

    async def _bulk(self, script: Script, *args: str | int | float) -> Any:
        return await self._run(self.bulk, script, args)

    async def _run(
        self, client: RedisClient, script: Script, args: Sequence[str | int | float]
    ) -> Any:
        try:
            return await client.run_script(script, [f"{self.namespace}:"], args)
        except RedisDown as error:
            raise StoreDown(str(error)) from error

    async def _pipeline(self, commands: Sequence[Sequence[str | int | float]]) -> list[Any]:
        try:
            return await self.bulk.pipeline(commands)
        except RedisDown as error:
            raise StoreDown(str(error)) from error

    async def _scan(self, command: str, key: str) -> AsyncIterator[list[str]]:
        cursor = "0"
        while True:
            try:
                cursor, chunk = await self.bulk.command(command, key, cursor, "COUNT", _SCAN_CHUNK)
            except RedisDown as error:
                raise StoreDown(str(error)) from error
            if chunk:
                yield chunk
            if cursor == "0":
                return


def _tenant_arguments(tenant_id: TenantId | None, meeting_id: MeetingId) -> tuple[str, str]:
    """Return scoped id and tenant id, as the scripts want them."""
    return (scoped_id(meeting_id, tenant_id), tenant_id) if tenant_id else ("", "")


def _identity(meeting: Meeting) -> tuple[str, str, int]:
    return meeting.id, meeting.server_id, meeting.placement


@asynccontextmanager
async def open_redis_store(
    address: RedisAddress,
    *,
    namespace: str,
    rules: PlacementRules,
    log: Any,
    latency: Histogram | None = None,
) -> AsyncIterator[RedisStore]:
    """Open the two connections to Redis; they connect and reconnect by themselves.

    Does not wait for Redis: `client.wait_connected` does. `latency` is told of round trips.
    """
    scripts = load_scripts()
    opened = partial(open_redis_client, address, scripts=scripts.all, log=log, latency=latency)
    slow = partial(opened, name="background", deadline_s=10.0)
    async with opened(name="calls") as client, slow() as bulk:
        yield RedisStore(client, bulk, namespace, rules, scripts)


__all__ = ["RedisError", "RedisStore", "open_redis_store"]
