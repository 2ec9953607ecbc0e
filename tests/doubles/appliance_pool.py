"""A running appliance with simulated BBB servers, which is reset between tests.

The appliance keeps nothing in memory that counts, so a test may have it to itself by emptying its
namespace in Redis: much quicker than a process for each test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis

from tests.doubles.appliance_client import FrontEnd
from tests.doubles.appliance_process import ApplianceProcess
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.ports import free_port

if TYPE_CHECKING:
    import pytest

    from tests.doubles.store_servers import RedisServer

SHORT_TIMEOUTS = {"CONNECT_TIMEOUT": "2", "RESPONSE_TIMEOUT": "2", "POLLER_WAIT_TIMEOUT": "2"}
"""Environment variables for tests with servers that do not answer."""


class Keys:
    """The keys of one namespace in a Redis on a Unix socket, with a connection per command."""

    def __init__(self, socket_path: Path, namespace: str) -> None:
        self._path = socket_path
        self._prefix = f"{namespace}:"

    def ask(self, command: str, key: str, *args: object) -> Any:
        """Send a command with a key, given without its prefix, and return the reply."""
        with redis.Redis(unix_socket_path=str(self._path), decode_responses=True) as client:
            return client.execute_command(command, self._prefix + key, *args)

    def clear(self) -> None:
        """Delete the keys of the namespace, as an operator's removal of all servers does."""
        emptied = f"{self._prefix}appliance:emptied"  # else it is an error in the log
        with redis.Redis(unix_socket_path=str(self._path), decode_responses=True) as client:
            client.set(emptied, "1")
            keys = set(client.scan_iter(f"{self._prefix}*", count=1000)) - {emptied}
            if keys:
                client.delete(*keys)


@contextmanager
def two_appliances(
    redis_server: RedisServer, directories: pytest.TempPathFactory, namespace: str, **environ: str
) -> Iterator[list[ApplianceProcess]]:
    """Run two appliances on the same stores that differ in nothing but their ports."""
    shared = {
        "REDIS_URL": redis_server.url,
        "REDIS_NAMESPACE": namespace,
        "DB_DISABLED": "true",
        "SECRET_KEY_BASE": "k" * 64,
        "LOADBALANCER_SECRET": "the-secret-of-both-appliances",
        **environ,
    }
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                ApplianceProcess(
                    directories.mktemp(name), BIND=f"tcp://127.0.0.1:{free_port()}", **shared
                )
            )
            for name in ("first", "second")
        ]


class ServedPool:
    """An appliance, or several on the same stores, with simulated servers."""

    def __init__(
        self, appliance: ApplianceProcess, servers: Sequence[BbbProcess], keys: Keys
    ) -> None:
        self.appliance = appliance
        self.servers = servers
        self.keys = keys
        self.ids: list[str] = []
        """Ids of the servers, in their order."""

    @property
    def front(self) -> FrontEnd:
        """Return the front-end of the appliance."""
        return self.appliance.front

    def reset(self) -> None:
        """Empty the pool and the servers, which must be running."""
        self.keys.clear()
        for server in self.servers:
            server.reset()
        self.ids = []

    def add_all(self) -> None:
        """Add and enable all servers."""
        self.ids = [self.appliance.add_server(server) for server in self.servers]

    def clear_requests(self) -> None:
        """Clear the request logs of the servers."""
        for server in self.servers:
            server.clear_requests()

    def holders(self, meeting_id: str) -> list[BbbProcess]:
        """Return the servers that have a meeting."""
        return [server for server in self.servers if meeting_id in server.meetings()]

    def holder(self, meeting_id: str) -> BbbProcess:
        """Return the one server that has a meeting. Raises AssertionError: not exactly one."""
        found = self.holders(meeting_id)
        assert len(found) == 1, f"{meeting_id} is on {found}"
        return found[0]

    def others(self, server: BbbProcess) -> list[BbbProcess]:
        """Return the other servers."""
        return [other for other in self.servers if other is not server]

    def id_of(self, server: BbbProcess) -> str:
        """Return a server's id."""
        return self.ids[list(self.servers).index(server)]

    def requests(self, call: str) -> int:
        """Return the number of requests of a call that all servers have received."""
        return sum(len(server.requests(call)) for server in self.servers)

    def load(self, server: BbbProcess) -> float | None:
        """Return the stored load of an enabled server, None if it is in no load set."""
        score = self.keys.ask("ZSCORE", "server_load", self.id_of(server))
        return None if score is None else float(score)

    def record(self, meeting_id: str) -> dict[str, str]:
        """Return the stored record of a meeting, or {}."""
        found: dict[str, str] = self.keys.ask("HGETALL", f"meeting:{meeting_id}")
        return found
