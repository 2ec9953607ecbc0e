"""What the faults strike: stores, two appliances behind a proxy, five servers with proxies."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio

from benchmarks.process_figures import open_files, rss_mb
from tests.doubles.appliance_process import ApplianceProcess
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.callback_receiver import CallbackReceiver, open_receiver
from tests.doubles.ports import free_port
from tests.doubles.postgres_process import PostgresProcess, postgres_process
from tests.doubles.redis_processes import (
    DURABLE,
    RedisProcess,
    eventually,
    redis_process,
    sentinel_process,
)
from tools.chaos.proxy import CuttingProxy

SERVERS = 5
REPLICAS = 2
SENTINELS = 3
MASTER = "pool"
"""The name that sentinel_process monitors."""
DISK_MB = 64
SECRET = "chaos-" + "s" * 40
TIMES = {
    "POLL_INTERVAL": "2",
    "POLL_RETRY_INTERVAL": "0.5",
    "POLLER_WAIT_TIMEOUT": "2",
    "CONNECT_TIMEOUT": "1",
    "RESPONSE_TIMEOUT": "3",
}


T = TypeVar("T")


class Workshop:
    """One thread in which processes are started and waited for.

    The kernel ends a process with the thread that started it, so Trio's will not do.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call a function that blocks."""
        future = self._thread.submit(work, *arguments)
        return await trio.to_thread.run_sync(future.result)

    def close(self) -> None:
        """End the thread, and every process that it started."""
        self._thread.shutdown()


@dataclass(frozen=True, slots=True)
class Usage:
    """Resources of the appliances: of the one that uses more."""

    rss_mb: float
    files: int


@dataclass(slots=True)
class Laboratory:
    """Everything that can be struck."""

    workshop: Workshop
    directory: Path
    redis: list[RedisProcess]
    sentinel_ports: list[int]
    postgres: PostgresProcess
    servers: list[BbbProcess]
    server_proxies: list[CuttingProxy]
    receiver: CallbackReceiver
    disk: Path
    """A small file system with all directories of recordings."""
    has_small_disk: bool
    appliances: list[ApplianceProcess] = field(default_factory=list)
    front: CuttingProxy = field(init=False)
    ids: list[str] = field(default_factory=list)
    """Of the servers in the pool."""

    def __post_init__(self) -> None:
        self.front = CuttingProxy(lambda: [one.front.port for one in self.appliances])

    @property
    def spool(self) -> Path:
        """Return the directory in which recordings arrive."""
        return self.disk / "spool"

    def master(self) -> RedisProcess:
        """Return the Redis that the Sentinels name."""
        named = str(self.ask_sentinel("SENTINEL", "get-master-addr-by-name", MASTER)).split()
        return next(one for one in self.redis if str(one.port) in named)

    def ask_sentinel(self, *words: str) -> object:
        """Send a command to the first Sentinel."""
        done = subprocess.run(
            ["redis-cli", "-p", str(self.sentinel_ports[0]), *words],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        return done.stdout

    def status(self, appliance: ApplianceProcess) -> list[str]:
        """Return the status of each server as one appliance has it."""
        shown = appliance.control.get("getStatus")["servers"]
        return [str(server["status"]) for server in shown]

    def usage(self) -> Usage:
        """Return the resources in use."""
        pids = [one.pid for one in self.appliances if one.pid is not None]
        return Usage(max(map(rss_mb, pids)), max(map(open_files, pids)))

    def log_lines(self) -> list[int]:
        """Return how many lines each appliance has logged."""
        return [one.log_text().count("\n") for one in self.appliances]

    def log_about(self, meeting_id: str) -> list[str]:
        """Return what the appliances have logged about a meeting."""
        quoted = json.dumps(meeting_id)
        return [
            line for one in self.appliances for line in one.log_text().split("\n") if quoted in line
        ]

    def server_of(self, url: str) -> int | None:
        """Return the index of the server that a URL belongs to."""
        for index, proxy in enumerate(self.server_proxies):
            if url.startswith(f"http://127.0.0.1:{proxy.port}/"):
                return index
        return None

    def holders(self) -> dict[str, dict[int, str]]:
        """Return by meetingID on which servers it is, with its internal id there."""
        found: dict[str, dict[int, str]] = {}
        for index, server in enumerate(self.servers):
            for meeting_id, meeting in server.meetings().items():
                found.setdefault(meeting_id, {})[index] = meeting["internal_id"]
        return found

    def poll(self) -> None:
        """Have every server polled now."""
        self.appliances[0].poll()


@asynccontextmanager
async def open_laboratory() -> AsyncIterator[Laboratory]:
    """Start everything, and stop it at the end."""
    with ExitStack() as stack:
        workshop = Workshop()
        stack.callback(workshop.close)
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sl-chaos-")))
        async with open_receiver() as receiver, trio.open_nursery() as nursery:
            lab = await workshop.run(_start_stores, stack, workshop, directory, receiver)
            for proxy in (lab.front, *lab.server_proxies):
                await nursery.start(proxy.serve)
            await workshop.run(_start_appliances, stack, lab)
            await _fill_pool(lab)
            yield lab
            nursery.cancel_scope.cancel()


def _start_stores(
    stack: ExitStack, workshop: Workshop, directory: Path, receiver: CallbackReceiver
) -> Laboratory:
    options = (*DURABLE, "--repl-diskless-sync-delay", "0", "--repl-timeout", "5")
    master = stack.enter_context(redis_process(*options))
    follow = ("--replicaof", "127.0.0.1", str(master.port))
    redis = [master]
    redis += [stack.enter_context(redis_process(*options, *follow)) for _ in range(REPLICAS)]
    sentinels = [
        stack.enter_context(sentinel_process(master.port, quorum=2)) for _ in range(SENTINELS)
    ]
    postgres = stack.enter_context(postgres_process("chaos-password"))
    postgres.start()
    servers = [
        stack.enter_context(BbbProcess(server_id=f"bbb-{number}", port=0))
        for number in range(SERVERS)
    ]
    proxies = [CuttingProxy(partial(_port_of, server)) for server in servers]
    disk, is_small = stack.enter_context(_small_disk(directory / "disk"))
    return Laboratory(
        *(workshop, directory, redis, sentinels, postgres),
        *(servers, proxies, receiver, disk, is_small),
    )


def _port_of(server: BbbProcess) -> list[int]:
    return [server.port]


@contextmanager
def _small_disk(path: Path) -> Iterator[tuple[Path, bool]]:
    """Give a file system of DISK_MB, or a plain directory where mounting is not allowed."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(path)]
    is_small = os.geteuid() == 0 and subprocess.run(mount, check=False).returncode == 0
    try:
        yield path, is_small
    finally:
        if is_small:
            subprocess.run(["umount", "--lazy", str(path)], check=False)


def environment(lab: Laboratory) -> dict[str, str]:
    """Return what both appliances are configured with."""
    recordings = {
        f"RECORDING_{name.upper()}_DIR": str(lab.disk / name)
        for name in ("spool", "work", "publish", "unpublish")
    }
    return {
        "REDIS_SENTINELS": ",".join(f"127.0.0.1:{port}" for port in lab.sentinel_ports),
        "REDIS_SENTINEL_MASTER": MASTER,
        "REDIS_MIN_REPLICAS": "1",
        "DATABASE_URL": lab.postgres.url,
        "SECRET_KEY_BASE": secrets.token_hex(32),
        "LOADBALANCER_SECRET": SECRET,
        "LOG_LEVEL": "info",
        **TIMES,
        **recordings,
    }


def _start_appliances(stack: ExitStack, lab: Laboratory) -> None:
    shared = environment(lab)
    for name in ("first", "second"):
        directory = lab.directory / name
        directory.mkdir()
        # A port of its own: the proxy finds it again after a restart.
        address = f"tcp://127.0.0.1:{free_port()}"
        appliance = ApplianceProcess(directory, **shared, BIND=address)
        stack.callback(appliance.clean_up)
        lab.appliances.append(appliance)
        appliance.start(wait=False)
    for appliance in lab.appliances:
        appliance.wait_ready()


async def _fill_pool(lab: Laboratory) -> None:
    await eventually(lambda: "num-other-sentinels\n2\n" in str(_sentinel_view(lab)))
    control = lab.appliances[0].control
    for server, proxy in zip(lab.servers, lab.server_proxies, strict=True):
        url = f"http://127.0.0.1:{proxy.port}/bigbluebutton/api"
        server_json: dict[str, Any] = {"url": url, "secret": server.secret}
        added = await trio.to_thread.run_sync(control.post, "addServer", {"server": server_json})
        lab.ids.append(added["id"])
        await trio.to_thread.run_sync(control.post, "enableServer", {"id": added["id"]})


def _sentinel_view(lab: Laboratory) -> object:
    return lab.ask_sentinel("SENTINEL", "MASTER", MASTER)
