"""One connection to PostgreSQL, held over several steps with other work between them.

For what must stay in one transaction while Trio does something else: a row lock during which files
are moved, a cursor whose rows are sent to a client. Holds no SQL of any feature.

The connection lives inside one asyncio coroutine, as everything of Database; the steps are
handed over to it one by one. Truth: Database.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from appliance.faults import DatabaseDown
from appliance.postgres.database import CALL_DEADLINE_S, Connection, Database, T, Work
from appliance.postgres.errors import DatabaseRefused


@dataclass(slots=True)
class _Step:
    """One piece of work and what became of it."""

    work: Work[Any]
    done: trio.Event = field(default_factory=trio.Event)
    result: Any = None


class Session:
    """A transaction that is open until the block of `open_session` ends."""

    def __init__(self, store: Database, hold_s: float) -> None:
        self._store = store
        self._hold_s = hold_s
        self._steps: asyncio.Queue[_Step | None] | None = None
        self._opened = trio.Event()
        self._ended = trio.Event()
        self._fault: DatabaseDown | DatabaseRefused | None = None
        self._step: _Step | None = None

    async def run(self, work: Work[T], *, deadline_s: float = CALL_DEADLINE_S) -> T:
        """Run one step. Raises DatabaseDown, DatabaseRefused; the session is of no use then."""
        if self._fault is not None:
            raise self._fault
        assert self._steps is not None
        step = self._step = _Step(work)
        self._steps.put_nowait(step)
        await self._wait(step.done, deadline_s)
        result: T = step.result
        return result

    async def commit(self) -> None:
        """End the transaction and give the connection back, before the block ends."""
        if self._steps is not None and not self._ended.is_set():
            self._steps.put_nowait(None)
            await self._wait(self._ended, CALL_DEADLINE_S)
        if self._fault is not None:
            raise self._fault

    async def hold(self) -> None:
        """Keep the connection until `commit`; cancelled, it rolls back."""
        try:
            await self._store.run(self._serve, deadline_s=self._hold_s, transaction=True)
        except (DatabaseDown, DatabaseRefused) as error:
            self._fault = error
        finally:
            self._opened.set()
            self._ended.set()
            if self._step is not None:
                self._step.done.set()

    async def wait_open(self) -> None:
        """Return when there is a connection. Raises DatabaseDown."""
        await self._wait(self._opened, CALL_DEADLINE_S)

    async def _wait(self, event: trio.Event, deadline_s: float) -> None:
        with trio.move_on_after(deadline_s) as patience:
            await event.wait()
        if patience.cancelled_caught:
            raise DatabaseDown(f"no answer within {deadline_s:g} s")
        if self._fault is not None:
            raise self._fault

    async def _serve(self, connection: Connection) -> None:
        """Do what is asked for, on asyncio's side."""
        steps = self._steps = asyncio.Queue()
        self._opened.set()
        while (step := await steps.get()) is not None:
            step.result = await step.work(connection)
            step.done.set()


@asynccontextmanager
async def open_session(store: Database, *, hold_s: float) -> AsyncIterator[Session]:
    """Give a session of at most `hold_s`, committed at the end and rolled back if the block fails.

    Raises DatabaseDown, DatabaseRefused; the block's own errors come out as they are.
    """
    session = Session(store, hold_s)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(session.hold)
        try:
            await session.wait_open()
            yield session
            await session.commit()
        except Exception as error:
            failure = error  # a nursery would wrap it into a group
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
