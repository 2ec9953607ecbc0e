"""A program that sends the queue of callbacks until it is killed.

Arguments: REDIS_URL, namespace, DATABASE_URL, and `rows` or `buffer`, the store it sends from.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import trio

from tests.doubles.callback_bench import open_callback_bench


async def main(redis_url: str, namespace: str, database_url: str, store: str) -> None:
    """Send until killed."""
    async with open_callback_bench(redis_url, namespace, database_url) as bench:
        sender = bench.sender("killed", bench.rows if store == "rows" else bench.buffer)
        await replace(sender, lease_s=3.0).run(bench.tools)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4])
