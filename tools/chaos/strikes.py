"""How stores, appliances and clients are struck; each function is the `strike` of a fault."""

from __future__ import annotations

import resource
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import trio

from tests.doubles.redis_processes import RedisProcess, eventually
from tools.chaos.laboratory import MASTER, Laboratory
from tools.chaos.ledger import Ledger

IDLE_CLIENTS = 1000
DIRTY_CLIENTS = 40
FLOOD_BODY = b"a&" * 524_000
_POST = (
    b"POST /bigbluebutton/api/create HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n"
)


@asynccontextmanager
async def beside(*tasks: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run tasks while the block runs."""
    async with trio.open_nursery() as nursery:
        for task in tasks:
            nursery.start_soon(task)
        yield
        nursery.cancel_scope.cancel()


def every(seconds: float, work: Callable[[], object]) -> Callable[[], Awaitable[None]]:
    """Return a task that calls `work` at once and then every so many seconds."""

    async def repeat() -> None:
        while True:
            with suppress(OSError):
                await trio.to_thread.run_sync(work)
            await trio.sleep(seconds)

    return repeat


# -- Redis ---------------------------------------------------------------------------------------


async def _start_redis(lab: Laboratory, server: RedisProcess) -> None:
    """Start it in the role that it has by now; other installations keep it in the configuration."""
    master = lab.master()
    if "--replicaof" in server.options:
        server.options = server.options[: server.options.index("--replicaof")]
    if master is not server:
        server.options = (*server.options, "--replicaof", "127.0.0.1", str(master.port))
    await lab.workshop.run(server.start)
    await eventually(lambda: _is_up(server))


def _is_up(server: RedisProcess) -> bool:
    try:
        return server.ask("PING") == "PONG"
    except OSError:
        return False


@asynccontextmanager
async def redis_killed(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Kill the master for good; the Sentinels name another one."""
    master = lab.master()
    await lab.workshop.run(master.kill)
    yield
    await _start_redis(lab, master)


@asynccontextmanager
async def redis_restarted(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Kill the master and start it at once."""
    master = lab.master()
    await lab.workshop.run(master.kill)
    await _start_redis(lab, master)
    yield


@asynccontextmanager
async def redis_paused(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Stop the master with SIGSTOP: it comes back as a second one."""
    master = lab.master()
    master.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        master.signal(signal.SIGCONT)


@asynccontextmanager
async def redis_failover(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Fail over as planned: the old master stays alive."""
    await trio.to_thread.run_sync(lab.ask_sentinel, "SENTINEL", "FAILOVER", MASTER)
    yield


@asynccontextmanager
async def _configured(lab: Laboratory, name: str, value: str, usual: str) -> AsyncIterator[None]:
    for server in lab.redis:
        server.ask("CONFIG", "SET", name, value)
    try:
        yield
    finally:
        for server in lab.redis:
            server.ask("CONFIG", "SET", name, usual)


@asynccontextmanager
async def redis_full(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Leave Redis no memory."""
    async with _configured(lab, "maxmemory", "1", "0"):
        yield


@asynccontextmanager
async def redis_read_only(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Have the master refuse to write."""
    async with _configured(lab, "min-replicas-to-write", "5", "0"):
        yield


@asynccontextmanager
async def redis_slow(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Have every command wait for up to 0.3 s, half of the time."""
    async with beside(every(0.6, lambda: lab.master().ask("CLIENT", "PAUSE", "300"))):
        yield


@asynccontextmanager
async def redis_cut(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Close the connections of all clients twice a second."""
    async with beside(every(0.5, lambda: lab.master().ask("CLIENT", "KILL", "TYPE", "normal"))):
        yield


# -- PostgreSQL ----------------------------------------------------------------------------------


@asynccontextmanager
async def postgres_stopped(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Stop it in order."""
    await lab.workshop.run(lab.postgres.stop)
    yield
    await lab.workshop.run(lab.postgres.start)


@asynccontextmanager
async def postgres_crashed(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Stop it as a crash does, and start it at once."""
    await lab.workshop.run(lab.postgres.stop, signal.SIGQUIT)
    await lab.workshop.run(lab.postgres.start)
    yield


@asynccontextmanager
async def postgres_cut(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """End all sessions every 0.3 s, in the middle of imports too."""
    kill = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = 'scalelite' AND pid <> pg_backend_pid()"
    )
    async with beside(every(0.3, lambda: lab.postgres.sql(kill))):
        yield


@asynccontextmanager
async def postgres_read_only(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Have it refuse to write."""
    for value in ("on", "off"):
        change = f"ALTER SYSTEM SET default_transaction_read_only = {value}"
        await trio.to_thread.run_sync(_run_postgres_sql, lab, change)
        if value == "on":
            yield


def _run_postgres_sql(lab: Laboratory, change: str) -> None:
    begin = "SET default_transaction_read_only = off"
    lab.postgres.sql(f"{begin}; {change}", "postgres")
    lab.postgres.sql("SELECT pg_reload_conf()", "postgres")


# -- files ---------------------------------------------------------------------------------------


@asynccontextmanager
async def disk_full(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Fill the file system of spool, work directory and published files."""
    filler = lab.disk / "filler"
    if lab.has_small_disk:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(64 * 1024))
    try:
        yield
    finally:
        filler.unlink(missing_ok=True)


@asynccontextmanager
async def bad_tars(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Put garbage, half a tar and one that never stops growing into the spool."""
    growing = lab.spool / "growing.tar"
    (lab.spool / "garbage.tar").write_bytes(b"\xff" * 10_000)
    (lab.spool / "empty.tar").write_bytes(b"")

    async def grow() -> None:
        while True:
            with growing.open("ab") as file:
                file.write(b"g" * 10_000)
            await trio.sleep(0.1)

    try:
        async with beside(grow):
            yield
    finally:
        for tar in ("garbage", "empty", "growing"):
            (lab.spool / f"{tar}.tar").unlink(missing_ok=True)


# -- appliances ----------------------------------------------------------------------------------


@asynccontextmanager
async def appliance_killed(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Kill the first appliance, and start it at the end."""
    await lab.workshop.run(lab.appliances[0].kill)
    yield
    await lab.workshop.run(lab.appliances[0].start)


@asynccontextmanager
async def appliance_stopped(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Stop the first appliance in order, and start it at the end."""
    stopping = lab.appliances[0]
    await lab.workshop.run(stopping.terminate, 60.0)
    yield
    await lab.workshop.run(stopping.start)


@asynccontextmanager
async def appliance_paused(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Stop the first appliance with SIGSTOP: it comes back with what it believed."""
    lab.appliances[0].signal(signal.SIGSTOP)
    try:
        yield
    finally:
        lab.appliances[0].signal(signal.SIGCONT)


@asynccontextmanager
async def no_descriptors(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Leave the first appliance no descriptor."""
    pid = lab.appliances[0].pid
    assert pid is not None
    usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (10, usual[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)


# -- clients -------------------------------------------------------------------------------------


@asynccontextmanager
async def clients_cut(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Cut all connections of front-ends three times a second."""

    async def cut() -> None:
        while True:
            lab.front.cut()
            await trio.sleep(0.3)

    async with beside(cut):
        yield


async def _each(lab: Laboratory, count: int, client: Callable[[int], Awaitable[None]]) -> None:
    async def go_on(port: int) -> None:
        while True:
            with suppress(OSError, trio.BrokenResourceError):
                await client(port)
            await trio.sleep(0.05)

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(go_on, lab.appliances[number % 2].front.port)


@asynccontextmanager
async def idle_clients(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Open connections that send nothing."""

    async def wait(port: int) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.receive_some(1)

    async with beside(lambda: _each(lab, IDLE_CLIENTS, wait)):
        yield


@asynccontextmanager
async def endless_bodies(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Send bodies that never end, slowly."""

    async def drip(port: int) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(_POST % 1_000_000)
            while True:
                await stream.send_all(b"a=b&")
                await trio.sleep(0.2)

    async with beside(lambda: _each(lab, DIRTY_CLIENTS, drip)):
        yield


@asynccontextmanager
async def flood(lab: Laboratory, _ledger: Ledger, _n: int) -> AsyncIterator[None]:
    """Post bodies that consist of separators only."""

    async def post(port: int) -> None:
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(_POST % len(FLOOD_BODY) + FLOOD_BODY)
            await stream.receive_some(1)

    async with beside(lambda: _each(lab, 4, post)):
        yield
