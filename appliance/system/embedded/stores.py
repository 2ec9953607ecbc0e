"""Start the embedded Redis and PostgreSQL on Unix sockets below STATE_DIR.

Callers get URLs and use the embedded servers like any other: there is no second code path. The data
is in STATE_DIR/stores. Sockets are named relative to the data directories (`../run`), so that
neither the length of STATE_DIR nor the permissions of its parent directories matter.
Source: redis.conf of the Redis distribution; PostgreSQL manual, postgres(1) and initdb(1).
"""

from __future__ import annotations

import shutil
import signal
import struct
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import trio

from appliance.log import Log, get_logger
from appliance.system.embedded.child import (
    Child,
    ChildSpec,
    describe_exit,
    end_strays,
    last_lines,
    spawn,
    wait_exit,
)
from appliance.system.embedded.state import (
    EmbeddedStoresError,
    PostgresPrograms,
    StoreDirectories,
    StoreUser,
    choose_store_user,
    find_postgres,
    find_redis,
    lock_state_dir,
    make_store_directory,
    store_directories,
)
from appliance.system.file_system import sync_directory

DATABASE = ROLE = "scalelite"
REDIS_SOCKET = "redis.sock"
LOCALE = ("--locale=C.UTF-8", "--encoding=UTF8")
POSTGRES_SOCKET = ".s.PGSQL.5432"


@dataclass(frozen=True, slots=True)
class EmbeddedStores:
    """URLs of the embedded stores; None for one that was not requested."""

    redis_url: str | None
    database_url: str | None


@asynccontextmanager
async def open_embedded_stores(
    state_dir: Path, *, redis: bool, postgres: bool, log: Log | None = None
) -> AsyncIterator[EmbeddedStores]:
    """Run the embedded stores until the block ends; both answer when it begins.

    A server that exits is restarted. Errors of the block are raised in an exception group, as from
    any nursery; errors of the start are not. Enter it before anything that uses the stores, and in
    the main thread (see child.py).
    Raises EmbeddedStoresError: programs missing, directory unusable or in use, or a server did not
    start.
    """
    logger: Log = log if log is not None else get_logger(__name__)
    if not (redis or postgres):
        yield EmbeddedStores(None, None)
        return
    with ExitStack() as stack:
        stack.enter_context(lock_state_dir(state_dir))
        user = choose_store_user(state_dir)
        await _end_orphans(state_dir, logger)
        where = stack.enter_context(store_directories(state_dir, user))
        children: list[Child] = []
        try:
            if redis:
                children.append(Child(_redis_spec(where, user), logger))
            if postgres:
                programs = find_postgres(where.postgres)
                await _create_cluster(programs, where, user, logger)
                children.append(Child(_postgres_spec(programs, where, user), logger))
            for child in children:
                await child.start()
            async with trio.open_nursery() as nursery:
                for child in children:
                    nursery.start_soon(child.keep_running)
                yield EmbeddedStores(
                    f"unix://{quote(str(where.sockets / REDIS_SOCKET))}" if redis else None,
                    f"postgresql://{ROLE}@/{DATABASE}?host={quote(str(where.sockets), safe='')}"
                    if postgres
                    else None,
                )
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                async with trio.open_nursery() as nursery:
                    for child in children:
                        nursery.start_soon(child.stop)


async def _end_orphans(state_dir: Path, log: Log) -> None:
    """Stop servers that a killed run left behind, before their sockets are removed."""
    base = state_dir / "stores"
    for name, stop_signal in (
        ("redis", signal.SIGTERM),
        ("postgres", signal.SIGINT),
        ("postgres.new", signal.SIGKILL),
    ):
        await end_strays(base / name, stop_signal, log)


def _redis_spec(where: StoreDirectories, user: StoreUser | None) -> ChildSpec:
    program = find_redis()
    socket = where.sockets / REDIS_SOCKET

    def argv(directory: str) -> list[str]:
        # `dir` comes first: the socket's path is relative to it.
        options = {
            "dir": directory,
            "port": "0",
            "unixsocket": f"../run/{REDIS_SOCKET}",
            "unixsocketperm": "700",
            "appendonly": "yes",
            "appendfsync": "everysec",
            # The append-only file persists the data; snapshots as well would double the writes.
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "logfile": "",
        }
        return [program, *(word for k, v in options.items() for word in (f"--{k}", v))]

    return ChildSpec(
        name="redis",
        directory=where.redis,
        argv=argv,
        stop_signal=signal.SIGTERM,
        log_file=where.logs / "redis.log",
        user=user,
        clear_leftovers=lambda: socket.unlink(missing_ok=True),
        is_ready=lambda: _redis_answers(socket),
    )


async def _redis_answers(socket: Path) -> bool:
    """Return whether Redis answers PING; while it loads its data it replies LOADING."""
    with suppress(OSError, trio.BrokenResourceError):
        async with await trio.open_unix_socket(str(socket)) as stream:
            await stream.send_all(b"PING\r\n")
            return bytes(await stream.receive_some(64)).startswith(b"+PONG")
    return False


def _postgres_spec(
    programs: PostgresPrograms, where: StoreDirectories, user: StoreUser | None
) -> ChildSpec:
    socket = where.sockets / POSTGRES_SOCKET

    def argv(directory: str) -> list[str]:
        settings = {
            # Only the socket, in a directory that only the store user and root may enter.
            "listen_addresses": "",
            "unix_socket_directories": "../run",
            "unix_socket_permissions": "0700",
            "port": "5432",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "max_connections": "50",
            "shared_buffers": "64MB",
            "cluster_name": "scalelite-appliance",
            "logging_collector": "off",
            "log_checkpoints": "off",
            # Statements and row values may hold secrets or personal data.
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
        }
        words = (word for k, v in settings.items() for word in ("-c", f"{k}={v}"))
        return [programs.postgres, "-D", directory, *words]

    def clear_leftovers() -> None:
        # PostgreSQL refuses to start while any process has the id that is in these files.
        for stale in (where.postgres / "postmaster.pid", socket, Path(f"{socket}.lock")):
            stale.unlink(missing_ok=True)

    return ChildSpec(
        name="postgres",
        directory=where.postgres,
        argv=argv,
        stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
        log_file=where.logs / "postgres.log",
        user=user,
        clear_leftovers=clear_leftovers,
        is_ready=lambda: _postgres_answers(socket),
    )


async def _postgres_answers(socket: Path) -> bool:
    """Return whether PostgreSQL accepts a session; while it starts or recovers it sends an error.

    Source: "Message Formats" of the PostgreSQL manual, StartupMessage (version 3.0) and Terminate.
    """
    body = struct.pack("!i", 196608) + f"user\0{ROLE}\0database\0{DATABASE}\0\0".encode()
    with suppress(OSError, trio.BrokenResourceError):
        async with await trio.open_unix_socket(str(socket)) as stream:
            await stream.send_all(struct.pack("!i", len(body) + 4) + body)
            if await stream.receive_some(1) == b"R":
                await stream.send_all(b"X\0\0\0\4")
                return True
    return False


async def _create_cluster(
    programs: PostgresPrograms, where: StoreDirectories, user: StoreUser | None, log: Log
) -> None:
    """Create the cluster with its database if there is none; an unfinished one is removed.

    The directory gets its final name when the cluster is complete.
    """
    if where.postgres.exists():
        return
    unfinished = where.base / "postgres.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    make_store_directory(unfinished, user)
    log.info("embedded_store_created", store="postgres", version=programs.major)
    log_file = where.logs / "postgres.log"

    async def run(arguments: list[str], stdin: bytes = b"") -> None:
        def argv(directory: str) -> list[str]:
            return [word.replace("{data}", directory) for word in arguments]

        process = spawn(argv, unfinished, user, log_file, death_signal=signal.SIGKILL, stdin=stdin)
        try:
            code = await wait_exit(process)
        finally:
            process.kill()
            process.wait()
        if code != 0:
            raise EmbeddedStoresError(
                f"{arguments[0]} failed ({describe_exit(code)}). The end of {log_file}:\n"
                f"{last_lines(log_file)}"
            )

    # trust: only the store user and root can enter the directory of the socket.
    await run([programs.initdb, "-D", "{data}", f"--username={ROLE}", "--auth=trust", *LOCALE])
    await run(
        [programs.postgres, "--single", "-D", "{data}", "postgres"],
        f"CREATE DATABASE {DATABASE};\n".encode(),
    )
    unfinished.rename(where.postgres)
    sync_directory(where.base)
