"""Shares of versions: what is accepted, when one is stopped, and how placement keeps to them."""

from __future__ import annotations

import pytest
import trio

from appliance.bbb.endpoint import UnacceptableValue
from appliance.model import PlacementOutcome, ServerId
from appliance.servers.versions.shares import (
    WHOLE,
    Share,
    VersionShares,
    check_version_name,
    find_excess,
    lowest_rate,
    parse_percent,
    parse_tallies,
)
from tests.doubles.store_pool import StorePool, open_store_pool

pytest_plugins = ["tests.doubles.store_pool_fixtures"]

OLD, NEW = "3.0.10", "4.0.0-rc.1"


@pytest.mark.parametrize(
    ("text", "parts"),
    [("10%", 1000), ("10", 1000), ("0%", 0), ("0.05 %", 5), ("100%", WHOLE), ("33.33", 3333)],
)
def test_percentage_is_read(text: str, parts: int) -> None:
    assert parse_percent(text) == parts


@pytest.mark.parametrize(
    "text", ["", "%", "-1%", "101%", "1e1", "10%%", "0.001%", "ten", "nan", "٣%", "1" * 99, "5\0"]
)
def test_other_percentages_are_refused(text: str) -> None:
    with pytest.raises(UnacceptableValue, match="from 0% to 100%"):
        parse_percent(text)


@pytest.mark.parametrize("text", ["", " ", "3.0 12", "3.0\n", "-", "3" * 65, "<b>", "3.0\0"])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(UnacceptableValue, match="version must be"):
        check_version_name(text)


@pytest.mark.parametrize(
    ("counts", "excess"),
    [
        ({"creates N": "3", "failed N": "3"}, "3 of 3 creates that failed"),
        ({"creates N": "2", "failed N": "2"}, None),
        ({"creates N": "20", "failed N": "5", "creates O": "100", "failed O": "1"}, "5 of 20"),
        ({"creates N": "20", "failed N": "5", "creates O": "100", "failed O": "25"}, None),
        ({"creates N": "30", "failed N": "3", "creates O": "100", "failed O": "9"}, None),
        ({"joined N": "9", "unseen N": "5", "joined O": "50", "unseen O": "2"}, "no user"),
        ({"ended N": "10", "short N": "9", "ended O": "40", "short O": "4"}, "within a minute"),
        ({"ended N": "10", "short N": "9", "ended O": "40", "short O": "38"}, None),
        ({"creates O": "9", "failed O": "9", "creates N": "9"}, None),
        ({}, None),
    ],
)
def test_version_is_stopped_if_it_fails_more_often(
    counts: dict[str, str], excess: str | None
) -> None:
    found = find_excess("N", parse_tallies(counts))

    assert (found is None) if excess is None else (excess in str(found))


def test_few_failures_prove_less_than_many() -> None:
    assert lowest_rate(3, 10) < lowest_rate(30, 100) < lowest_rate(300, 1000) < 0.3
    assert lowest_rate(0, 0) == lowest_rate(0, 10) == 0.0


# --- placement -----------------------------------------------------------------------------------


async def have_servers(pool: StorePool, **versions: str) -> VersionShares:
    """Add servers of these versions, enabled and online."""
    for name, version in versions.items():
        await pool.add(ServerId(name))
        await pool.poll(ServerId(name), bbb_version=version or None)
    return VersionShares(pool.store.redis.background)


async def homes(pool: StorePool, count: int, **fields: object) -> list[str]:
    """Place new meetings, and return their servers."""
    found = []
    for number in range(count):
        pool.numbers += 1
        placement = await pool.place(f"m-{pool.numbers}-{number}", shares=True, **fields)
        assert placement.outcome is PlacementOutcome.PLACED
        assert placement.meeting is not None
        found.append(str(placement.meeting.server_id))
    return found


@pytest.mark.parametrize(("percent", "least"), [(0, 0), (5, 5), (10, 10), (33.33, 33), (70, 49)])
async def test_version_gets_at_most_its_share(pool: StorePool, percent: float, least: int) -> None:
    shares = await have_servers(pool, old=OLD, new=NEW)
    await shares.save(Share(NEW, round(percent * 100)))

    placed = await homes(pool, 100)

    # Of two servers the emptier one is taken, so that the new one never gets more than half.
    assert least <= placed.count("new") <= min(percent, 50)
    for end in range(1, 101):
        assert placed[:end].count("new") <= end * percent / 100


async def test_share_holds_across_appliances_and_a_restart(pool: StorePool, redis_url: str) -> None:
    shares = await have_servers(pool, old=OLD, new=NEW)
    await shares.save(Share(NEW, 2000))
    found = await homes(pool, 25)
    async with open_store_pool(redis_url, pool.namespace) as other:
        other.numbers = 200_000_000
        async with trio.open_nursery() as nursery:

            async def create(view: StorePool) -> None:
                found.extend(await homes(view, 25))

            nursery.start_soon(create, other)
            nursery.start_soon(create, pool)

    assert found.count("new") == 15


async def test_share_refuses_no_create(pool: StorePool) -> None:
    shares = await have_servers(pool, new=NEW)
    await shares.save(Share(NEW, 0))

    assert await homes(pool, 5) == ["new"] * 5


async def test_other_servers_come_first_even_if_they_are_full_of_load(pool: StorePool) -> None:
    shares = await have_servers(pool, old=OLD, new=NEW)
    await pool.redis("ZADD", "server_load", 9999, "old")
    await shares.save(Share(NEW, 0))

    assert await homes(pool, 3) == ["old"] * 3


async def test_server_without_a_version_has_no_share(pool: StorePool) -> None:
    shares = await have_servers(pool, old="", new=NEW)
    await shares.save(Share(NEW, 0))

    assert await homes(pool, 3) == ["old"] * 3


async def test_meeting_that_is_there_does_not_count(pool: StorePool) -> None:
    shares = await have_servers(pool, old=OLD, new=NEW)
    await shares.save(Share(NEW, 5000))
    await homes(pool, 1)
    for _ in range(5):
        assert (await pool.place("room", shares=True)).meeting is not None

    assert await pool.redis("HGET", "appliance:version_credits", NEW) == "0"


async def test_no_share_is_as_without(pool: StorePool) -> None:
    shares = await have_servers(pool, old=OLD, new=NEW)
    await shares.refresh()
    known = [shares.active]
    await shares.save(Share(NEW, 0))
    known.append(shares.active)
    await shares.remove(NEW)
    known.append(shares.active)
    assert known == [False, True, False]

    assert (await homes(pool, 10)).count("new") == 5
    assert await shares.read() == {}


async def test_share_is_stored_as_it_is(pool: StorePool) -> None:
    shares = VersionShares(pool.store.redis.background)
    share = Share(NEW, 1000, by="uid=0 (root)", set_ms=7, stopped_ms=8, stopped_parts=9, reason="r")
    assert await shares.save(share)
    assert not await shares.save(Share(NEW, 0), instead_of=2000)

    assert await shares.read() == {NEW: share}
