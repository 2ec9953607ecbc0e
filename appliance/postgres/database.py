"""The connection pool to PostgreSQL, which reconnects by itself and fails fast meanwhile.

The stores of the features call `run`, `fetch` and `execute` with their SQL. The database may be
down at the start and at any later time; failed calls and a ping every PING_INTERVAL_S detect it.

Each unit of work runs inside ONE asyncio coroutine, including acquiring and releasing the
connection: a cancelled `async with pool.acquire()` on Trio's side would lose its connection.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias, TypeVar

import asyncpg
import trio

from appliance.faults import DatabaseDown
from appliance.instruments import Histogram
from appliance.log import Log, get_logger
from appliance.postgres.asyncio_bridge import run_asyncio
from appliance.postgres.errors import FOREIGN, DatabaseRefused, translate
from appliance.postgres.migrations import migrate

POOL_SIZE = 10
CONNECT_TIMEOUT_S = 5.0
CALL_DEADLINE_S = 5.0
RELEASE_DEADLINE_S = 1.0
"""A connection that cannot be reset in this time is dropped: its server hangs."""
CLOSE_DEADLINE_S = 5.0
CONNECT_WAIT_S = 5.0
"""Maximum that a call waits for the first connection and the migrations."""
PING_INTERVAL_S = 10.0
PING_DEADLINE_S = 2.0
FIRST_RETRY_S, LAST_RETRY_S = 0.25, 30.0

T = TypeVar("T")
Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy
Record: TypeAlias = asyncpg.Record
"""A row of a result."""
Work: TypeAlias = Callable[[Connection], Awaitable[T]]


class _PlainConnection(asyncpg.Connection):
    """Saves the round trip of asyncpg's reset: no caller changes the state of a session."""

    def get_reset_query(self) -> str:
        """Return the statement that resets a released connection: none."""
        return ""


class Database:
    """Runs SQL on a pool of connections. Made by open_postgres_store."""

    def __init__(
        self,
        database_url: str,
        *,
        prepared_statements: bool,
        retry_count: int,
        log: Log,
        latency: Histogram | None = None,
        read_only: bool = False,
    ) -> None:
        self._url = database_url
        self._prepared = prepared_statements
        self._retry_count = retry_count
        self._read_only = read_only
        self._log = log
        self._latency = latency
        self._pool: asyncpg.Pool | None = None
        self._down_reason: str | None = "not connected yet"
        self._fault_logged = False
        self._read_only_logged = False
        self._first_check = trio.Event()
        """Set when the first attempt to connect and migrate has ended."""
        self._became_ready = trio.Event()
        self._check_now = trio.Event()

    @property
    def ready(self) -> bool:
        """Whether the database answered last and has the schema of this version."""
        return self._down_reason is None

    @property
    def down_reason(self) -> str | None:
        """Return why the store is not ready, for logs and health checks; None: it is ready."""
        return self._down_reason

    @property
    def prepared_statements(self) -> bool:
        """Whether a connection is one session of the server; False behind PgBouncer."""
        return self._prepared

    async def wait_ready(self) -> None:
        """Return when the store is ready."""
        while not self.ready:
            await self._became_ready.wait()

    async def run(
        self, work: Work[T], *, deadline_s: float = CALL_DEADLINE_S, transaction: bool = False
    ) -> T:
        """Run an asyncio coroutine function on a connection, optionally in a transaction.

        While the first connection is being made and the database migrated, waits up to
        CONNECT_WAIT_S for it. `work` must await only the connection. At the deadline it is
        cancelled, the statement is cancelled on the server, and the transaction is rolled back.
        Raises DatabaseDown: the store is not ready, or no answer within `deadline_s` plus
        at most RELEASE_DEADLINE_S; DatabaseRefused: the server refused a statement.
        """
        if not self.ready:
            with trio.move_on_after(CONNECT_WAIT_S):
                await self._first_check.wait()
        if self._down_reason is not None:
            raise DatabaseDown(self._down_reason)
        began_s = trio.current_time()
        try:
            result = await self._attempt(work, deadline_s, transaction)
        except DatabaseDown:
            self._check_now.set()
            raise
        # Work with a longer deadline holds a connection while it waits for other things.
        if self._latency is not None and deadline_s <= CALL_DEADLINE_S:
            self._latency.observe(trio.current_time() - began_s, "postgres")
        return result

    async def fetch(
        self, sql: str, *args: object, deadline_s: float = CALL_DEADLINE_S
    ) -> list[Record]:
        """Run one statement and return its rows. Raises as `run`."""

        async def work(connection: Connection) -> list[Record]:
            return list(await connection.fetch(sql, *args))

        return await self.run(work, deadline_s=deadline_s)

    async def fetchrow(
        self, sql: str, *args: object, deadline_s: float = CALL_DEADLINE_S
    ) -> Record | None:
        """Run one statement and return its first row. Raises as `run`."""

        async def work(connection: Connection) -> Record | None:
            return await connection.fetchrow(sql, *args)

        return await self.run(work, deadline_s=deadline_s)

    async def execute(self, sql: str, *args: object, deadline_s: float = CALL_DEADLINE_S) -> str:
        """Run one statement and return its command tag, e.g. `UPDATE 3`. Raises like `run`."""

        async def work(connection: Connection) -> str:
            return str(await connection.execute(sql, *args))

        return await self.run(work, deadline_s=deadline_s)

    async def ping(self, *, deadline_s: float = PING_DEADLINE_S) -> float:
        """Return the duration of a round trip in s. Raises DatabaseDown."""
        began_s = trio.current_time()
        await self.fetchrow("SELECT 1", deadline_s=deadline_s)
        return trio.current_time() - began_s

    async def _attempt(self, work: Work[T], deadline_s: float, transaction: bool) -> T:
        # Behind PgBouncer only a transaction keeps the steps of one statement on one server.
        wrapped = transaction or self._read_only or not self._prepared
        try:
            with trio.fail_after(deadline_s):
                return await run_asyncio(self._use_connection, work, wrapped)
        except trio.TooSlowError:
            raise DatabaseDown(f"no answer within {deadline_s:g} s") from None
        except FOREIGN as error:
            raise translate(error) from error

    async def _use_connection(self, work: Work[T], transaction: bool) -> T:
        assert self._pool is not None
        connection = await self._pool.acquire()
        try:
            if not transaction:
                return await work(connection)
            async with connection.transaction(readonly=self._read_only):
                return await work(connection)
        finally:
            # The time limit bounds the wait for a cancelled statement on a server that hangs. This
            # runs in asyncio, where a cancelled task may still await.
            await self._pool.release(connection, timeout=RELEASE_DEADLINE_S)  # noqa: ASYNC102

    async def open_pool(self) -> None:
        """Create the pool; it connects on demand."""
        self._pool = await run_asyncio(self._make_pool)

    async def _make_pool(self) -> asyncpg.Pool:
        return await asyncpg.create_pool(
            self._url,
            min_size=0,
            max_size=POOL_SIZE,
            timeout=CONNECT_TIMEOUT_S,
            # Each of these two would leave an asyncio timer per call.
            max_inactive_connection_lifetime=0,
            command_timeout=None,
            statement_cache_size=100 if self._prepared else 0,
            # Compiling the larger queries takes longer than running them. PgBouncer refuses the
            # parameter.
            server_settings={"jit": "off"} if self._prepared else None,
            connection_class=_PlainConnection,
        )

    async def close_pool(self) -> None:
        """Close the connections, or drop them if the server does not respond."""
        pool, self._pool = self._pool, None
        self._down_reason = "closed"
        self._first_check.set()
        if pool is None:
            return
        with trio.CancelScope(shield=True):
            with trio.move_on_after(CLOSE_DEADLINE_S):
                try:
                    await run_asyncio(pool.close)
                    return
                except FOREIGN as error:
                    self._log.info("database_close_failed", reason=str(translate(error)))
            await run_asyncio(_terminate, pool)

    async def keep_connected(self) -> None:
        """Connect, migrate, and monitor the connection until cancelled. Logs each outage once.

        After a fault it retries at once, `retry_count` times, then after 0.25 s, doubling to 30 s.
        While ready it pings every PING_INTERVAL_S, and at once when a call has failed.
        """
        failures = 0
        while True:
            self._check_now = trio.Event()
            reason = await self._check()
            self._first_check.set()
            if reason is None:
                failures = 0
                with trio.move_on_after(PING_INTERVAL_S):
                    await self._check_now.wait()
            else:
                failures += 1
                self._note_down(reason)
                await trio.sleep(retry_delay_s(failures, self._retry_count))

    async def _check(self) -> str | None:
        """Migrate if the store was not ready, and ping the server. Return the fault, or None."""
        try:
            if not self.ready and not self._read_only:
                for name in await migrate(self._url, prepared_statements=self._prepared):
                    self._log.info("database_migrated", migration=name)
            read_only = await self._attempt(_is_read_only, PING_DEADLINE_S, transaction=False)
        except (DatabaseDown, DatabaseRefused) as error:
            return str(error)
        except Exception as error:
            # A defect; the rest of the appliance works without recordings.
            self._log.error("database_connection_broke", exc_info=error)
            return type(error).__name__
        self._note_ready()
        self._note_read_only(read_only and not self._read_only)
        return None

    def _note_down(self, reason: str) -> None:
        if self._down_reason is None:
            self._became_ready = trio.Event()
        self._down_reason = reason
        if not self._fault_logged:
            self._fault_logged = True
            self._log.warning("database_down", reason=reason)

    def _note_ready(self) -> None:
        if self._down_reason is not None:
            self._log.info("database_ready", recovered=self._fault_logged)
        self._down_reason = None
        self._fault_logged = False
        self._became_ready.set()

    def _note_read_only(self, read_only: bool) -> None:
        """Log once that the server refuses changes, so that imports and callbacks wait."""
        if read_only and not self._read_only_logged:
            self._log.warning("database_read_only")
        elif self._read_only_logged and not read_only:
            self._log.info("database_writable")
        self._read_only_logged = read_only


@asynccontextmanager
async def open_postgres_store(
    database_url: str,
    *,
    prepared_statements: bool = True,
    retry_count: int = 3,
    read_only: bool = False,
    log: Log | None = None,
    latency: Histogram | None = None,
) -> AsyncIterator[Database]:
    """Open a store on the database, which may be down, and keep it connected.

    `database_url` as normalised by the settings; `prepared_statements=False` for PgBouncer;
    `read_only`: nothing is migrated, and the server refuses changes. Requires an open asyncio loop.
    Errors of the block are raised in an exception group.
    """
    store = Database(
        database_url,
        prepared_statements=prepared_statements,
        retry_count=retry_count,
        read_only=read_only,
        log=log if log is not None else get_logger(__name__),
        latency=latency,
    )
    await store.open_pool()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.keep_connected)
            yield store
            nursery.cancel_scope.cancel()
    finally:
        with trio.move_on_after(2 * CLOSE_DEADLINE_S, shield=True):
            await store.close_pool()


def retry_delay_s(failures: int, retry_count: int) -> float:
    """Return the pause after `failures` consecutive failures; 0 for the first `retry_count`."""
    waits = failures - retry_count - 1
    # The exponent is bounded: after a night without a database the power would be huge.
    return 0.0 if waits < 0 else min(FIRST_RETRY_S * 2.0 ** min(waits, 20), LAST_RETRY_S)


async def _is_read_only(connection: Connection) -> bool:
    """Return whether the server refuses changes: a standby, or default_transaction_read_only."""
    return bool(await connection.fetchval("SHOW transaction_read_only") == "on")


async def _terminate(pool: asyncpg.Pool) -> None:
    pool.terminate()
