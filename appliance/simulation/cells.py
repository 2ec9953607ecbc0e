"""The appliance's rule in several cells: pools of their own behind a router.

The router knows the meeting's id only, so that it needs no store: a cell is drawn by a hash of the
id, weighted by the size of the cells (rendezvous hashing), and places the meeting as a pool does.
Design: docs/performance.md, "Beyond one Redis".
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from appliance.bbb.listed_meeting import ListedMeeting
from appliance.model import PlacementRules
from appliance.simulation.replay import Run
from appliance.simulation.rules import ProductRule, open_product_rule


class CellsRule:
    """The rule of the appliance in each cell."""

    def __init__(self, name: str, cells: Sequence[ProductRule], sizes: Sequence[int]) -> None:
        """`sizes`: how many of the servers, in their order, belong to each cell."""
        self.name = name
        self.learns = cells[0].learns
        self._cells = cells
        self._homes = [(cell, place) for cell, size in enumerate(sizes) for place in range(size)]
        self._first = [sum(sizes[:cell]) for cell in range(len(sizes))]
        self._sizes = sizes

    def _of(self, run: Run) -> int:
        return choose_cell(run.session.id, self._sizes)

    async def place(self, run: Run, now_ms: int) -> int:
        """Place the meeting in its cell; return the number of its server among all."""
        cell = self._of(run)
        return self._first[cell] + await self._cells[cell].place(run, now_ms)

    async def join(self, run: Run, now_ms: int) -> None:
        """Join in the cell of the meeting."""
        await self._cells[self._of(run)].join(run, now_ms)

    async def end(self, run: Run, now_ms: int) -> None:
        """Forget the meeting in its cell."""
        await self._cells[self._of(run)].end(run, now_ms)

    async def poll(self, server: int, listed: Sequence[ListedMeeting], now_ms: int) -> None:
        """Record the poll in the cell of the server."""
        cell, place = self._homes[server]
        await self._cells[cell].poll(place, listed, now_ms)

    async def lose(self, server: int, now_ms: int) -> None:
        """Take the server offline in its cell."""
        cell, place = self._homes[server]
        await self._cells[cell].lose(place, now_ms)


def choose_cell(meeting_id: str, sizes: Sequence[int]) -> int:
    """Return the cell of a meeting; a cell that is added takes over only its own share."""
    return max(range(len(sizes)), key=lambda cell: _draw(meeting_id, cell, sizes[cell]))


def _draw(meeting_id: str, cell: int, size: int) -> float:
    digest = hashlib.sha256(f"{cell} {meeting_id}".encode()).digest()
    part = (int.from_bytes(digest[:7]) + 1) / (2**56 + 1)
    return -size / math.log(part)


def split_servers(servers: int, cells: int) -> list[int]:
    """Return how many servers each cell gets."""
    return [(servers * (cell + 1)) // cells - (servers * cell) // cells for cell in range(cells)]


@asynccontextmanager
async def open_cells_rule(
    url: str,
    name: str,
    multipliers: Sequence[float],
    seed: int,
    *,
    rules: PlacementRules,
    cells: int,
) -> AsyncIterator[CellsRule]:
    """Open the rule on an empty Redis, with a namespace for each cell."""
    sizes = split_servers(len(multipliers), cells)
    async with AsyncExitStack() as stack:
        opened, begin = [], 0
        for cell, size in enumerate(sizes):
            rule = open_product_rule(
                *(url, f"{name} {cell}" if cell else name, multipliers[begin : begin + size], seed),
                rules=rules,
                namespace=f"cell-{cell}",
                flush=not cell,
            )
            opened.append(await stack.enter_async_context(rule))
            begin += size
        yield CellsRule(name, opened, sizes)
