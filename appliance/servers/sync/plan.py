"""The plan of `servers sync`: one step for each server of the file and of the pool.

Pure. Source: Scalelite's README, `servers:sync`, with its three modes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from appliance.bbb.endpoint import url_key
from appliance.model import Server, ServerId, ServerState
from appliance.servers.sync.yaml_list import WantedServer
from appliance.servers.values import ServerChange


class SyncMode(StrEnum):
    """Treatment of servers that the file does not contain."""

    KEEP = "keep"
    CORDON = "cordon"
    """Empty ones are removed, others cordoned; a later sync removes those too."""
    FORCE = "force"
    """Their meetings are ended, and they are removed."""


class StepKind(StrEnum):
    """Kind of change."""

    ADD = "add"
    CHANGE = "change"
    NOTHING = "nothing"
    """The server matches the file already."""
    KEEP = "keep"
    """Not in the file; kept because of the mode."""
    REMOVE = "remove"
    CORDON = "cordon"
    """Not in the file, but it has meetings or owes recordings; to be removed by a later sync."""
    EVICT = "evict"
    """Not in the file: its meetings are ended, then it is removed."""


_NO_CHANGE = ServerChange()


@dataclass(frozen=True, slots=True)
class SyncStep:
    """The change to be made to one server."""

    server_id: ServerId
    kind: StepKind
    change: ServerChange = _NO_CHANGE
    """ADD: all values; CHANGE: those that differ."""
    meetings: int = 0
    """Number of recorded meetings on a server that the file does not contain."""
    owed: int = 0
    """Number of recordings that such a server still has to deliver."""

    @property
    def changes_something(self) -> bool:
        """Whether the step changes the server."""
        if self.kind is StepKind.CORDON:
            return self.change.state is not None
        return self.kind not in (StepKind.NOTHING, StepKind.KEEP)


def plan_sync(
    wanted: Sequence[WantedServer],
    present: Sequence[Server],
    meetings: Mapping[ServerId, int],
    mode: SyncMode,
) -> tuple[SyncStep, ...]:
    """Return a step for each server: those of the file in its order, then the others.

    `meetings` is the number of recorded meetings by server.
    """
    known = {server.id: server for server in present}
    named = {one.id for one in wanted}
    steps = [_step(one, known.get(one.id)) for one in wanted]
    steps += [
        _removal(server, meetings.get(server.id, 0), mode)
        for server in present
        if server.id not in named
    ]
    return tuple(steps)


def _step(wanted: WantedServer, server: Server | None) -> SyncStep:
    if server is None:
        return SyncStep(wanted.id, StepKind.ADD, _all_values(wanted))
    change = _difference(wanted, server)
    kind = StepKind.NOTHING if change == _NO_CHANGE else StepKind.CHANGE
    return SyncStep(wanted.id, kind, change)


def _all_values(wanted: WantedServer) -> ServerChange:
    return ServerChange(
        url=wanted.url,
        secret=wanted.secret,
        load_multiplier=wanted.load_multiplier,
        tag=wanted.tag or None,
        max_meetings=wanted.max_meetings or None,
        max_users=wanted.max_users or None,
        dial_in=wanted.dial_in or None,
        dial_in_port=wanted.dial_in_port or None,
        state=ServerState.ENABLED if wanted.enabled else None,
    )


def _difference(wanted: WantedServer, server: Server) -> ServerChange:
    pairs = {
        "url": (wanted.url, server.url),
        "secret": (wanted.secret, server.secret),
        "load_multiplier": (wanted.load_multiplier, server.load_multiplier),
        "tag": (wanted.tag, server.tag or ""),
        "max_meetings": (wanted.max_meetings, server.max_meetings or 0),
        "max_users": (wanted.max_users, server.max_users or 0),
        "dial_in": (wanted.dial_in, server.dial_in or ""),
        "dial_in_port": (wanted.dial_in_port, server.dial_in_port or 0),
    }
    values = {name: new for name, (new, old) in pairs.items() if new is not None and new != old}
    return ServerChange(**values, state=_wanted_state(wanted, server))  # type: ignore[arg-type]


def _wanted_state(wanted: WantedServer, server: Server) -> ServerState | None:
    """Return the state to set, None to keep it: `enabled: false` cordons an enabled server."""
    enabled = server.state is ServerState.ENABLED
    if wanted.enabled == enabled:
        return None
    return ServerState.ENABLED if wanted.enabled else ServerState.CORDONED


def _removal(server: Server, meetings: int, mode: SyncMode) -> SyncStep:
    if mode is SyncMode.KEEP:
        return SyncStep(server.id, StepKind.KEEP)
    owed = server.recordings_awaited
    if not meetings and not owed:
        return SyncStep(server.id, StepKind.REMOVE)
    if mode is SyncMode.FORCE:
        return SyncStep(server.id, StepKind.EVICT, meetings=meetings, owed=owed)
    return cordoning(server.id, server.state, meetings, owed)


def cordoning(server_id: ServerId, state: ServerState, meetings: int, owed: int) -> SyncStep:
    """Return the step for a server that is not in the file and not empty."""
    enabled = state is ServerState.ENABLED
    change = ServerChange(state=ServerState.CORDONED if enabled else None)
    return SyncStep(server_id, StepKind.CORDON, change, meetings, owed)


def taken_urls(
    wanted: Sequence[WantedServer], present: Sequence[Server]
) -> list[tuple[ServerId, ServerId]]:
    """Return the servers of the file that would get the URL of another one, and which that is.

    It keeps its URL; two that share one already are not meant.
    """
    new_urls = {one.id: url_key(one.url) for one in wanted}
    old_urls = {server.id: url_key(server.url) for server in present}
    owners = {url: one for one, url in old_urls.items() if new_urls.get(one, url) == url}
    return [
        (one, owners[url])
        for one, url in new_urls.items()
        if url in owners and old_urls.get(one) != url
    ]


def named_values(change: ServerChange) -> dict[str, object]:
    """Return the values that a change sets, by field name in the order of the fields."""
    pairs = ((item.name, getattr(change, item.name)) for item in fields(change))
    return {name: value for name, value in pairs if value is not None}


def shared_urls(urls: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the groups of servers that share a URL: one BBB server is in the pool twice.

    `urls` are by server id.
    """
    groups: dict[str, list[str]] = {}
    for server_id, url in urls.items():
        groups.setdefault(url_key(url), []).append(server_id)
    return [tuple(group) for group in groups.values() if len(group) > 1]
