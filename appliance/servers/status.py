"""What the pool looks like now: every server with what its last poll saw, and the sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from appliance.model import Server, ServerState
from appliance.servers.administration import list_servers
from appliance.servers.deps import ServerDeps


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The servers, sorted by host name."""

    servers: tuple[Server, ...]

    @property
    def meetings(self) -> int:
        """Return the number of meetings, those that we did not place too."""
        return sum(server.meetings for server in self.servers)

    @property
    def users(self) -> int:
        """Return the number of users."""
        return sum(server.users for server in self.servers)

    @property
    def available(self) -> int:
        """Return the number of servers that take new meetings."""
        return sum(server.online and server.state is ServerState.ENABLED for server in self.servers)


async def read_status(deps: ServerDeps) -> PoolStatus:
    """Read the state of the pool from the store."""
    return PoolStatus(await list_servers(deps))


def describe_pool(servers: Sequence[Server]) -> str:
    """Return one line about the pool, for the status line of systemd."""
    enabled = [server for server in servers if server.state is ServerState.ENABLED]
    online = sum(server.online for server in enabled)
    meetings = sum(server.meetings for server in servers)
    users = sum(server.users for server in servers)
    return f"{online} of {len(enabled)} enabled servers online, {meetings} meetings, {users} users"
