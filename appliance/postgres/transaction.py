"""A transaction that stays open over several steps, with other work between them.

For a row lock during which files are moved, or a cursor whose rows are sent to a client. The
connection stays inside one asyncio coroutine, as in Database, which receives the steps one by one.
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
    """A piece of work and its result."""

    work: Work[Any]
    done: trio.Event = field(default_factory=trio.Event)
    result: Any = None


class Transaction:
    """A transaction that is open until the block of `open_transaction` ends."""

    def __init__(self, store: Database, hold_s: float) -> None:
        self._store = store
        self._hold_s = hold_s
        self._steps: asyncio.Queue[_Step | None] | None = None
        self._opened = trio.Event()
        self._ended = trio.Event()
        self._fault: DatabaseDown | DatabaseRefused | None = None
        self._step: _Step | None = None

    async def run(self, work: Work[T], *, deadline_s: float = CALL_DEADLINE_S) -> T:
        """Run one step. Raises DatabaseDown, DatabaseRefused; no step can follow then."""
        if self._fault is not None:
            raise self._fault
        assert self._steps is not None
        step = self._step = _Step(work)
        self._steps.put_nowait(step)
        await self._wait(step.done, deadline_s)
        result: T = step.result
        return result

    async def commit(self) -> None:
        """Commit and release the connection before the block ends."""
        if self._steps is not None and not self._ended.is_set():
            self._steps.put_nowait(None)
            await self._wait(self._ended, CALL_DEADLINE_S)
        if self._fault is not None:
            raise self._fault

    async def hold(self) -> None:
        """Hold the connection until `commit`; cancellation rolls back."""
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
        with trio.move_on_after(deadline_s) as limit:
            await event.wait()
        if limit.cancelled_caught:
            raise DatabaseDown(f"no answer within {deadline_s:g} s")
        if self._fault is not None:
            raise self._fault

    async def _serve(self, connection: Connection) -> None:
        """Run the steps on asyncio's side."""
        steps = self._steps = asyncio.Queue()
        self._opened.set()
        while (step := await steps.get()) is not None:
            step.result = await step.work(connection)
            step.done.set()


@asynccontextmanager
async def open_transaction(store: Database, *, hold_s: float) -> AsyncIterator[Transaction]:
    """Open a transaction for at most `hold_s`; commit at the end, roll back if the block fails.

    Raises DatabaseDown, DatabaseRefused; errors of the block are raised unchanged.
    """
    transaction = Transaction(store, hold_s)
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transaction.hold)
        try:
            await transaction.wait_open()
            yield transaction
            await transaction.commit()
        except Exception as error:
            failure = error  # the nursery would wrap it in a group
        nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
