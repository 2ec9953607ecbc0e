"""`usage` over the admin API and by ctl, on a pool with simulated servers, Redis and PostgreSQL."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from appliance.admin_calls.actors import Actor, Role
from appliance.admin_calls.call import Call
from appliance.admin_calls.refusal import Refused
from appliance.model import TenantId
from appliance.usage import report
from appliance.usage.admin_calls import USAGE_CALLS
from appliance.usage.csv_text import COLUMNS
from appliance.usage.model import MINUTE_MS
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.console import open_console_of
from tests.doubles.control import open_control
from tests.doubles.usage import UsedPool, open_used_pool

pytest_plugins = ["tests.doubles.live_pool_fixtures"]


@pytest.fixture
async def used(
    redis_url: str, redis_namespace: str, database_url: str, bbbs: list[BbbProcess]
) -> AsyncIterator[UsedPool]:
    async with open_used_pool(redis_url, redis_namespace, database_url, bbbs[:2]) as opened:
        yield opened


async def have_meetings(used: UsedPool) -> None:
    """Have a meeting that has ended and one that runs, on two servers."""
    await used.pool.create("physics", record="true", **{"meta_bbb-origin": "Moodle"})
    used.pool.bbb("bbb-1").set_users("physics", participants=10, voice=4)
    await used.pass_time(1)
    await used.pool.create("physics")  # a repeated create is no other meeting
    await used.pool.create("chess")
    used.pool.bbb("bbb-2").set_users("chess", participants=4)
    await used.pass_time(9)
    await used.end("physics")
    await used.pass_time(10)
    await used.write()


async def test_usage_is_shown_for_each_dimension(used: UsedPool) -> None:
    await have_meetings(used)
    async with open_control(used.features) as control:
        for by, expected in {
            "tenant": {"": 2},
            "server": {"bbb-1": 1, "bbb-2": 1},
            "origin": {"Moodle": 1, "": 1},
            "meeting": {"physics": 1, "chess": 1},
        }.items():
            lines = (await control.ctl("usage", "--by", by, "--json")).json["usage"]
            assert {line[by]: line["meetings"] for line in lines} == expected
            total = sum(line["user_minutes"] for line in lines)
            # The first and the last minute of physics, and the first of chess, count by half.
            assert total == pytest.approx(10 * 9.5 + 4 * 18.5, abs=14)
            assert sum(line["recorded_minutes"] for line in lines) == pytest.approx(10, abs=1)
            assert set(COLUMNS) < set(lines[0])
        lines = (await control.ctl("usage", "--tenant", "default", "--json")).json["usage"]
        assert [(line["tenant"], line["meetings"]) for line in lines] == [("", 2)]
        assert (await control.ctl("usage", "--tenant", "school")).code == 1
        now = datetime.fromtimestamp(used.clock[0] / 1000, UTC)
        lines = (await control.ctl("usage", "--by", "day", "--json")).json["usage"]
        assert {line["period"] for line in lines} <= {
            f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d}"
            for ms in (used.clock[0], used.clock[0] - 30 * MINUTE_MS)
        }
        assert max(line["peak_users"] for line in lines) == 14
        assert max(line["peak_meetings"] for line in lines) == 2
        lines = (await control.ctl("usage", "--by", "month", "--json")).json["usage"]
        assert lines[-1]["period"] == f"{now:%Y-%m}"
        lines = (await control.ctl("usage", "--by", "server,hour", "--json")).json["usage"]
        assert {"server", "period"} < set(lines[0])


async def test_usage_is_printed_as_table_and_csv(
    used: UsedPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await have_meetings(used)
    async with open_control(used.features) as control:
        table = (await control.ctl("usage", "--by", "meeting")).out.splitlines()
        text = (await control.ctl("usage", "--by", "meeting", "--csv")).out
        wrong = await control.ctl("usage", "--by", "week")
        backwards = await control.ctl("usage", "--from", "2026-02-01", "--to", "2026-01-01")
        future = await control.ctl("usage", "--from", "9000-01")
        digits = await control.ctl("usage", "--from", "٢٠٢٦-٠٢")
        both = await control.ctl("usage", "--by", "day,tenant,hour")
        nothing = await control.ctl("usage", "--to", "2020-01-01")
        monkeypatch.setattr(report, "MAX_LINES", 1)
        large = await control.ctl("usage", "--by", "meeting")

    assert table[0].split() == [
        *("MEETING", "MEETINGS", "ROOMS", "USER-MIN", "PEAK", "MTGS", "REC-MIN", "STORED"),
        "DIAL-IN",
    ]
    assert [row.split()[:3] for row in table[1:3]] == [["chess", "1", "1"], ["physics", "1", "1"]]
    assert all(len(line) <= 80 for line in table)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == ["meeting", *COLUMNS]
    assert rows[1]["peak_users"] == "10"
    assert (wrong.code, backwards.code) == (2, 1)
    assert "from must be before to" in backwards.err
    assert "'week'" in wrong.err
    assert (digits.code, digits.err[:19]) == (1, "from must be a date")
    assert (future.code, future.err) == (1, "from is in the future\n")
    assert "takes one of hour, day, month at a time" in both.err
    assert (large.code, large.err[:27]) == (1, "there are more than 1 lines")
    assert nothing.out == "Nothing was used in this time.\n"


async def test_usage_over_http_as_csv_has_the_columns_that_were_asked_for(used: UsedPool) -> None:
    await have_meetings(used)
    async with open_control(used.features) as control:
        transport = httpx.AsyncHTTPTransport(uds=str(control.path))
        url = "http://appliance/scalelite/api/usage"
        async with httpx.AsyncClient(transport=transport) as client:
            for query, keys, number in (
                ({"by": "meeting"}, ["meeting"], 2),
                ({"by": "origin, hour", "to": "2020-01-01"}, ["origin", "period"], 0),
                ({"to": "2020-01-01"}, ["tenant"], 0),
            ):
                answer = await client.get(url, params={**query, "format": "csv"})
                assert answer.headers["content-type"] == "text/csv; charset=utf-8"
                rows = list(csv.reader(io.StringIO(answer.text)))
                assert (rows[0], len(rows)) == ([*keys, *COLUMNS], 1 + number), query


async def test_usage_of_a_running_meeting_is_shown_before_its_end(used: UsedPool) -> None:
    await used.pool.create("room")
    used.pool.bbb("bbb-1").set_users("room", participants=3)
    await used.pass_time(2)

    found = await ask(used, by="meeting")

    assert [(one.meeting, one.meetings, one.peak_users) for one in found] == [("room", 1, 3)]
    assert found[0].user_minutes == pytest.approx(4.5, abs=3)


async def test_tenant_sees_its_own_usage_only(
    redis_url: str, redis_namespace: str, database_url: str, bbbs: list[BbbProcess]
) -> None:
    async with open_used_pool(
        redis_url, redis_namespace, database_url, bbbs[:1], MULTITENANCY_ENABLED="true"
    ) as used:
        for tenant in ("t-one", "t-two"):
            bbbs[0].create_meeting(f"room~{tenant}", **{"meta_tenant-id": tenant})
            bbbs[0].set_users(f"room~{tenant}", participants=5)
        await used.pass_time(3)
        await used.usage.table.name_tenants({"t-one": "school", "t-two": "academy"})

        own = Actor("token", Role.VIEWER, tenant_id=TenantId("t-one"))
        (line,) = await ask(used, own)
        assert (line.tenant, line.meetings) == ("school", 1)
        everyone = await ask(used, by="meeting")
        # In the order of the names, not of the ids.
        shown = [(one.tenant, one.meeting) for one in everyone]
        assert shown == [("academy", "room"), ("school", "room")]
        (line,) = await ask(used, tenant="School")
        assert line.tenant == "school"
        for fields in ({"by": "server"}, {"tenant": "t-two"}):
            with pytest.raises(Refused):
                await ask(used, own, **fields)
        await used.usage.table.name_tenants({"t-three": "idle"})
        async with open_console_of(used.features) as console:
            client = await console.log_in("viewer")
            for tenant, any_days in (("t-one", True), ("t-three", False)):
                text = await client.get(f"/scalelite/tenants/{tenant}/usage.csv")
                header, *days = csv.reader(io.StringIO(text))
                assert (header, bool(days)) == (["period", *COLUMNS], any_days)


async def ask(used: UsedPool, actor: Actor | None = None, **fields: Any) -> list[Any]:
    """Make the call, as the control socket or another actor."""
    call = USAGE_CALLS[0]
    request = Call(actor or Actor("test", Role.ADMIN), fields, call.request_type)
    answer = await call.handler(used.usage, request)
    return list(answer.usage)


async def test_usage_without_database_is_refused() -> None:
    call = USAGE_CALLS[0]
    with pytest.raises(Refused, match="DB_DISABLED"):
        await call.handler(None, Call(Actor("test", Role.ADMIN), {}, call.request_type))


async def test_timetable_of_a_past_day_is_what_simulate_takes(used: UsedPool) -> None:
    # The day on which they begin: shortly before midnight they end on the next one.
    day = datetime.fromtimestamp(used.clock[0] / 1000, UTC)
    await have_meetings(used)
    used.pool.bbb("bbb-2").end_meeting("chess", callback=False)
    await used.pass_time(2)
    await used.write()
    async with open_control(used.features) as control:
        found = await control.get("usageTimetable", day=f"{day:%Y-%m-%d}")
        assert sorted(one["users"] for one in found["classes"]) == [4, 10]
        words = ("--from-history", "--day", f"{day:%Y-%m-%d}", "--servers", "1", "--json")
        done = await control.ctl("simulate", *words)
        assert done.code == 0, done.err
        simulated = done.json
        assert (simulated["classes"], simulated["largest_class"]) == (2, pytest.approx(10, abs=8))
        both = await control.ctl("simulate", "t.csv", "--from-history")
        assert both.code == 2
