"""Changes to the servers of the pool in Redis: registry, leases, polls, the sweep.

Converts between the model and the Lua scripts, which contain the rules. Each method is one round
trip unless its docstring says otherwise, and raises StoreDown when Redis cannot be used.
Source: docs/stores.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from appliance.model import ListedRecord, MeetingId, PlacementRules, ServerId, ServerState
from appliance.pool.records import NOTIFY_AFTER_END_MS, parse_state
from appliance.redis.store import Argument, RedisStores, to_script_json
from appliance.servers.load import observation_arguments, parse_observation
from appliance.servers.model import (
    DoubleMeeting,
    FailureResult,
    FoundDouble,
    Observation,
    ObservationResult,
    PollStart,
    PoolMarks,
    RemovalResult,
)
from appliance.servers.values import ServerChange
from appliance.settings.model import RegistrySettings
from appliance.system.threads import in_chunks

CHUNK = 500
"""Meetings of a list per round trip. More would make the commands of other tasks wait."""


@dataclass(frozen=True)
class ServerStore:
    """Changes the servers of the pool for operators and polls."""

    redis: RedisStores
    rules: PlacementRules
    registry: RegistrySettings = field(default_factory=RegistrySettings)

    async def add_server(
        self,
        server_id: ServerId,
        change: ServerChange,
        retired: Sequence[ServerId] = (),
        *,
        registering: bool = False,
        unique_url: bool = False,
    ) -> bool:
        """Add a server, disabled and offline; False: the id exists.

        `retired`: the ids under which a server with this URL was in the pool before. `registering`:
        it has registered itself, and enough good polls enable it (count_good_poll). `unique_url`:
        also False if another server has the URL.
        """
        fields = {"online": "false", "state": ServerState.DISABLED.value}
        more = {"retired": list(retired), "registering": registering, "unique": unique_url}
        request = change_arguments(server_id, change, new=True, fields=fields, more=more)
        return bool(await self.redis.background.run("save_server", request))

    async def update_server(
        self, server_id: ServerId, change: ServerChange, *, unique_url: bool = False
    ) -> bool:
        """Apply `change`; False: the server does not exist.

        unique_url: also False if another server has the URL.
        """
        more = {"unique": unique_url}
        request = change_arguments(server_id, change, new=False, fields={}, more=more)
        return bool(await self.redis.background.run("save_server", request))

    async def set_server_state(self, server_id: ServerId, state: ServerState) -> ServerState | None:
        """Set the state and return the previous one; None: the server does not exist."""
        before = await self.redis.background.run("set_server_state", server_id, state.value)
        return None if before is None else parse_state(before)

    async def remove_server(
        self,
        server_id: ServerId,
        *,
        force: bool,
        now_ms: int,
        only_disabled: bool = False,
        may_owe: bool = True,
    ) -> RemovalResult:
        """Remove a server, without `force` only if it is empty and owes no recent recording.

        It is known as retired from now on. only_disabled: refused in any other state. may_owe:
        False without a database, where no recording arrives.
        """
        since_ms = max(0, now_ms - self.registry.recording_owed_ms)
        owed_since = since_ms if may_owe else "+inf"
        arguments = server_id, int(force), now_ms, owed_since, int(self.registry.retired_ms > 0)
        meetings, owed = await self.redis.background.run(
            "remove_server", *arguments, int(only_disabled)
        )
        return RemovalResult(meetings != -1, max(meetings, 0), owed, in_service=meetings == -2)

    async def have_vanished(self) -> bool:
        """Return whether there are no servers, and no operator caused or accepted that."""
        return bool(await self.redis.background.run("servers_vanished"))

    async def accept_empty(self) -> None:
        """Mark the empty pool as intended, for every appliance on this Redis."""
        redis = self.redis.background
        await redis.command("SET", redis.own_key("emptied"), "1")

    async def clear_server(
        self, server_id: ServerId, *, now_ms: int, to_be_ended: bool
    ) -> list[tuple[MeetingId, str]] | None:
        """Forget a server's meetings; return (id, moderator password) of each, None: no server.

        `to_be_ended`: later polls end those that still run there.
        """
        reply = await self.redis.background.run(
            "clear_server", server_id, now_ms, int(to_be_ended), NOTIFY_AFTER_END_MS
        )
        return None if reply is None else [(MeetingId(item), pw) for item, pw in reply]

    async def watch_pool(
        self, instance: str, server_ids: Sequence[ServerId] = (), *, lease_ms: int
    ) -> PoolMarks:
        """Renew this appliance's part in polling; return marks of what it may have to read.

        One of each of these servers is among them.
        """
        reply = await self.redis.background.run("watch_pool", instance, lease_ms, *server_ids)
        servers, leases, tenants, hooks, handback, shares, each = reply
        found = servers, leases, tenants, hooks, bool(handback), bool(shares)
        return PoolMarks(*found, tuple(each))

    async def lease_servers(
        self, instance: str, server_ids: Sequence[ServerId], *, lease_ms: int
    ) -> tuple[str, list[ServerId]]:
        """Claim the right to poll; return the mark of the leases, and those of this appliance.

        They are kept for as long as watch_pool is called.
        """
        reply = await self.redis.background.run("lease_servers", instance, lease_ms, *server_ids)
        mark, held = reply
        return mark, [ServerId(item) for item in held]

    async def release_leases(self, instance: str, server_ids: Sequence[ServerId]) -> None:
        """Release the leases of this process, so that another one takes over immediately."""
        await self.redis.background.run("release_leases", instance, *server_ids)

    async def begin_polls(self, asked: Mapping[ServerId, bool]) -> list[PollStart | None]:
        """Return the states of servers before their polls; None: the server was removed.

        `asked`: whether its mark is wanted.
        """
        arguments: list[Argument] = []
        for server_id, marked in asked.items():
            arguments += server_id, int(marked)
        return [
            None if one is None else _parse_start(*one)
            for one in await self.redis.background.run("begin_poll", *arguments)
        ]

    async def begin_poll(self, server_id: ServerId) -> PollStart | None:
        """Return the state of one server before a poll; None: the server was removed."""
        return (await self.begin_polls({server_id: True}))[0]

    async def count_good_poll(self, server_id: ServerId, *, good: bool) -> bool:
        """Count a poll of such a server; return whether it was enabled."""
        needed = self.registry.self_register_polls
        arguments = server_id, int(good), needed
        return int(await self.redis.background.run("count_good_poll", *arguments)) == 1

    async def listed_records(self, meeting_ids: Sequence[str]) -> dict[str, ListedRecord]:
        """Return what the records of these meetings say that have one of the appliance.

        In chunks of CHUNK meetings, a round trip each.
        """
        prefix = self.redis.background.own_key("meeting:")
        fields = ("moved_from", "run_ms", "created")
        replies = await self._ask_each(meeting_ids, lambda id: [("HMGET", prefix + id, *fields)])
        pairs = zip(meeting_ids, replies, strict=True)
        return {meeting_id: _parse_listed(one) for meeting_id, (one,) in pairs if any(one)}

    async def known_meetings(
        self, server_id: ServerId, meeting_ids: Sequence[str]
    ) -> frozenset[str]:
        """Return the meetings that have a record, or were detached from the server.

        observe_server.lua needs no others: a record that is made later is newer than the poll.
        In chunks of CHUNK meetings, a round trip each.
        """
        redis = self.redis.background
        prefix, detached = redis.key("meeting:"), redis.own_key(f"detached:{server_id}")
        replies = await self._ask_each(
            meeting_ids, lambda id: [("EXISTS", prefix + id), ("HEXISTS", detached, id)]
        )
        pairs = zip(meeting_ids, replies, strict=True)
        return frozenset(meeting_id for meeting_id, found in pairs if any(found))

    async def _ask_each(
        self, meeting_ids: Sequence[str], commands: Callable[[str], list[tuple[str, ...]]]
    ) -> list[list[Any]]:
        """Return the replies to the commands about each meeting."""
        replies: list[list[Any]] = []
        for some in in_chunks(meeting_ids, CHUNK):
            asked = [commands(meeting_id) for meeting_id in some]
            left = iter(await self.redis.background.pipeline(list(chain.from_iterable(asked))))
            replies.extend([next(left) for _ in one] for one in asked)
        return replies

    async def observe_server(
        self, seen: Observation, *, healthy_threshold: int, usage: Sequence[Argument] = ()
    ) -> ObservationResult:
        """Record a successful poll, and what was added up of it; see observe_server.lua."""
        request = observation_arguments(seen, self.rules, healthy_threshold=healthy_threshold)
        reply = await self.redis.background.run("observe_server", request, *usage)
        return parse_observation(reply)

    async def move_meeting(
        self,
        double: DoubleMeeting,
        *,
        to: ServerId,
        moderator_pw: str,
        voice_bridge: str,
        now_ms: int,
    ) -> bool:
        """Move the record of a meeting to another server that has it; see move_meeting.lua."""
        reply = await self.redis.background.run(
            "move_meeting",
            *(double.id, double.server_id, double.placement, double.joins),
            *(to, moderator_pw, voice_bridge, now_ms),
        )
        return bool(reply)

    async def list_doubles(self, server_ids: Sequence[ServerId]) -> list[FoundDouble]:
        """Return the meetings that run on two servers as of the last polls."""
        prefix = self.redis.background.own_key("doubles:")
        commands = [["HGETALL", prefix + server_id] for server_id in server_ids]
        replies = await self.redis.background.pipeline(commands) if commands else []
        return [
            FoundDouble(meeting_id, found["server"], server_id, found.get("same_run", False))
            for server_id, reply in zip(server_ids, replies, strict=True)
            for meeting_id, found in zip(reply[::2], map(json.loads, reply[1::2]), strict=True)
        ]

    async def fail_server(
        self, server_id: ServerId, *, now_ms: int, unhealthy_threshold: int, disabled: bool = False
    ) -> FailureResult:
        """Record a failed poll; see fail_server.lua."""
        arguments = (server_id, now_ms, unhealthy_threshold, int(disabled))
        return parse_failure(await self.redis.background.run("fail_server", *arguments))

    async def reach_server(self, server_id: ServerId, *, healthy_threshold: int) -> bool:
        """Record that a disabled server answered; see reach_server.lua."""
        return bool(await self.redis.background.run("reach_server", server_id, healthy_threshold))

    async def record_version(self, server_id: ServerId, bbb_version: str) -> None:
        """Store the BBB version that a server, even a disabled one, reported."""
        fields = {"bbb_version": bbb_version}
        request = change_arguments(server_id, ServerChange(), new=False, fields=fields)
        await self.redis.background.run("save_server", request)

    async def claim_sweep(self, instance: str, *, lease_ms: int) -> bool:
        """Claim the right to sweep for `lease_ms`; one appliance sweeps for all."""
        redis = self.redis.background
        key = redis.own_key("lease-sweep")
        return await redis.command("SET", key, instance, "NX", "PX", lease_ms) is not None

    async def sweep(self, *, now_ms: int, grace_ms: int) -> int:
        """Remove entries that had no hash in two sweeps, `grace_ms` apart; return their number.

        Takes one round trip for every 500 entries.
        """
        redis = self.redis.background
        removed = 0
        for script in ("sweep_servers", "sweep_hooks", "sweep_setting_calls"):
            removed += int(await redis.run(script))
        async for ids in redis.scan("SSCAN", redis.key("meetings")):
            removed += await redis.run("sweep_meetings", now_ms, grace_ms, *ids)
        async for pairs in redis.scan("HSCAN", redis.key("voice_bridges")):
            removed += await redis.run("sweep_voice_bridges", now_ms, grace_ms, *pairs[::2])
        return removed


def _parse_listed(found: Sequence[str | None]) -> ListedRecord:
    moved_from, run_ms, created = found
    return ListedRecord(
        moved_from or "",
        int(run_ms or 0),
        # A server wrote it.
        int(created) if created and created.isdecimal() else 0,
    )


def _parse_start(
    state: str, joins: str, version: str, registering: str, hooks: int, mark: str
) -> PollStart:
    return PollStart(
        *(parse_state(state), float(joins or 0), int(version or 0), bool(registering), bool(hooks)),
        mark=mark,
    )


def change_arguments(
    server_id: ServerId,
    change: ServerChange,
    *,
    new: bool,
    fields: Mapping[str, str],
    more: Mapping[str, object] | None = None,
) -> str:
    """Return the argument of save_server.lua; `fields` are set in addition to the change."""
    given = {
        "url": change.url,
        "secret": change.secret,
        "load_multiplier": change.load_multiplier,
        "tag": change.tag or None,
    }
    # Fields of the appliance; 0 or an empty text removes one.
    own: dict[str, str | int | None] = {
        "max_meetings": change.max_meetings,
        "max_users": change.max_users,
        "dial_in": change.dial_in,
        "dial_in_port": change.dial_in_port,
    }
    return to_script_json(
        {
            "id": server_id,
            "new": new,
            "fields": {**fields, **{k: str(v) for k, v in given.items() if v is not None}},
            "removed": ["tag"] if change.tag == "" else [],
            "own": {name: str(value) for name, value in own.items() if value},
            "removed_own": [name for name, value in own.items() if value in (0, "")],
            "state": change.state,
            **(more or {}),
        }
    )


def parse_failure(reply: Sequence[int] | None) -> FailureResult:
    """Parse the reply of fail_server.lua."""
    if reply is None:
        return FailureResult(known=False)
    unhealthy, went_offline, detached = reply
    return FailureResult(True, unhealthy, bool(went_offline), detached)
