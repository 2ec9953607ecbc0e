"""Capacity: how many servers the pool needs, which it can do without, which may be stopped.

Pure. Source: docs/fleet.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from appliance.model import Server, ServerId, ServerState
from appliance.settings import FleetSettings

UNTAGGED = "none"
"""The tag of servers without a tag, as in `meta_server-tag`."""


@dataclass(frozen=True, slots=True)
class FleetNote:
    """Facts about a server that its record does not have."""

    pending_users: int = 0
    """Users that are expected in meetings that were created, and have not been seen yet."""
    polled: bool = False
    """It took part in the pool once; a server that was only added did not."""
    maintained: bool = False
    """It is under maintenance, and comes back."""


@dataclass(frozen=True, slots=True)
class Demand:
    """The users for whom there must be servers."""

    users: int
    """At the last polls, without those of disabled servers, which are not polled any more."""
    created: int
    """Users, and those who are expected in the meetings that were created."""
    history: int | None
    """Users of the next hour, by the last weeks; None: the database does not answer."""

    @property
    def forecast(self) -> int:
        """Return the users of the next hour."""
        return max(self.created, self.history or 0)

    @property
    def most(self) -> int:
        """Return the users that count."""
        return max(self.users, self.forecast)


@dataclass(frozen=True, slots=True)
class Capacity:
    """The capacity of the pool, and how much it needs."""

    demand: Demand
    meetings: int
    seats: int
    """Of the servers that take meetings."""
    free_seats: int
    available: int
    """Number of servers that take meetings."""
    desired_servers: int
    drainable: tuple[ServerId, ...] = ()
    """Servers that the pool can do without, those first that will be empty first."""
    safe_to_stop: tuple[ServerId, ...] = ()
    needed: Mapping[str, int] = field(default_factory=dict)
    """Number of servers by tag."""


def plan_capacity(
    servers: Sequence[Server],
    notes: Mapping[ServerId, FleetNote],
    history: int | None,
    settings: FleetSettings,
) -> Capacity:
    """Return what the pool has and needs. `history`: see Demand."""
    polled = [server for server in servers if server.state is not ServerState.DISABLED]
    users = sum(server.users for server in polled)
    pending = sum(_note(notes, server).pending_users for server in polled)
    demand = Demand(users, users + pending, history)
    available = [server for server in servers if server.takes_meetings]
    free = sum(max(0, seats_of(server, settings) - server.users) for server in available)
    desired = count_servers(demand.most, settings)
    needed = _needed_by_tag(servers, notes, demand.most, desired, settings)
    return Capacity(
        demand=demand,
        meetings=sum(server.meetings for server in polled),
        seats=sum(seats_of(server, settings) for server in available),
        free_seats=free,
        available=len(available),
        desired_servers=desired,
        drainable=_find_drainable(available, notes, demand.most, needed, settings),
        safe_to_stop=tuple(
            server.id for server in servers if is_safe_to_stop(server, _note(notes, server))
        ),
        needed=needed,
    )


def _note(notes: Mapping[ServerId, FleetNote], server: Server) -> FleetNote:
    return notes.get(server.id) or FleetNote()


def seats_of(server: Server, settings: FleetSettings) -> int:
    """Return how many users a server carries."""
    return server.max_users or settings.seats_per_server


def count_servers(users: int, settings: FleetSettings) -> int:
    """Return how many servers carry these users with the headroom, within the pool's limits."""
    found = max(_carry(users, settings), settings.min_servers)
    return found if settings.max_servers is None else min(found, settings.max_servers)


def _carry(users: int, settings: FleetSettings, share: int = 1, whole: int = 1) -> int:
    """Return how many servers carry a share of these users; in whole numbers, so it is exact."""
    wanted = users * share * (100 + settings.headroom_percent)
    return -(-wanted // (100 * settings.seats_per_server * whole))


def is_safe_to_stop(server: Server, note: FleetNote) -> bool:
    """Return whether nothing is lost if a server is stopped and deleted."""
    return (
        server.state is ServerState.DISABLED
        and note.polled
        and not note.maintained
        and not (server.meetings or server.users or note.pending_users)
        and not server.recordings_awaited
    )


def _needed_by_tag(
    servers: Sequence[Server],
    notes: Mapping[ServerId, FleetNote],
    users: int,
    desired: int,
    settings: FleetSettings,
) -> dict[str, int]:
    """Return the number of servers by tag: each tag gets the share that it has of the users now.

    Without users it is its share of the seats. Every tag that servers have keeps one of them, since
    creates may require it.
    """
    seats: Counter[str] = Counter()
    expected: Counter[str] = Counter()
    for server in servers:
        tag = server.tag or UNTAGGED
        seats[tag] += seats_of(server, settings)
        if server.state is not ServerState.DISABLED:
            expected[tag] += server.users + _note(notes, server).pending_users
    if len(seats) <= 1:
        return {next(iter(seats), UNTAGGED): desired}
    shares = expected if expected.total() else seats
    whole = shares.total()
    return {tag: max(1, _carry(users, settings, shares[tag], whole)) for tag in sorted(seats)}


def _find_drainable(
    available: Collection[Server],
    notes: Mapping[ServerId, FleetNote],
    users: int,
    needed: Mapping[str, int],
    settings: FleetSettings,
) -> tuple[ServerId, ...]:
    """Return the servers that the pool can do without, those first that will be empty first.

    Together: what remains has the desired number of servers and their seats, also of each tag.
    """
    desired = count_servers(users, settings)
    left = len(available)
    seats = sum(seats_of(server, settings) for server in available)
    wanted = -(-users * (100 + settings.headroom_percent) // 100)
    enough = min(wanted, desired * settings.seats_per_server)
    tags = Counter(server.tag or UNTAGGED for server in available)

    def emptiness(server: Server) -> tuple[float, ...]:
        users = server.users + _note(notes, server).pending_users
        return server.meetings, users, server.load or 0.0

    found = []
    for server in sorted(available, key=lambda one: (*emptiness(one), one.id)):
        tag, own = server.tag or UNTAGGED, seats_of(server, settings)
        if left <= desired:
            break
        if seats - own < enough or tags[tag] <= needed[tag]:
            continue
        found.append(server.id)
        left, seats = left - 1, seats - own
        tags[tag] -= 1
    return tuple(found)
