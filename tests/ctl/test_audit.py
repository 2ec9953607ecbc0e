"""`ctl audit`, on a running control socket."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator

import pytest
import trio

from appliance.audit.store import AuditTable
from appliance.features import Features
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import open_postgres_store
from tests.doubles.control import ControlDouble, open_control
from tests.doubles.features import EventBook, open_features
from tests.doubles.terminal import on_terminal

URL = "https://bbb1.example.com/bigbluebutton/api"


@pytest.fixture
async def res(redis_url: str, redis_namespace: str) -> AsyncIterator[Features]:
    """Give features."""
    async with open_features(redis_url, redis_namespace) as opened:
        yield opened


@pytest.fixture
async def control(res: Features) -> AsyncIterator[ControlDouble]:
    """Give their control socket."""
    async with open_control(res) as opened:
        yield opened


async def test_changes_are_shown_with_who_made_them(control: ControlDouble) -> None:
    await control.ctl("servers", "add", URL, "hidden-word", "--id", "one")
    await control.ctl("servers", "tag", "one", "lectures")
    await control.ctl("servers", "remove", "one")

    shown = (await control.ctl("audit", "--json")).json
    table = await control.ctl("audit")

    assert [one["call"] for one in shown] == ["deleteServer", "updateServer", "addServer"]
    keys = {"time", "who", "call", "object", "before", "after", "result"}
    for one in shown:
        assert set(one) == keys
        assert one["who"].startswith(f"uid={os.getuid()} (")
        assert one["object"] == "server one (bbb1.example.com)"
        assert one["result"] == "done"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one["time"])
    removed, changed, added = shown
    assert (changed["before"], changed["after"]) == ({"tag": ""}, {"tag": "lectures"})
    assert (added["before"], added["after"]["url"], added["after"]["secret"]) == (None, URL, "***")
    assert (removed["before"]["tag"], removed["after"]) == ("lectures", None)
    assert table.code == 0
    assert "tag: - → lectures" in table.out
    assert "removed" in table.out
    assert "hidden-word" not in table.out + str(shown)


async def test_table_of_80_columns_tells_call_and_result(
    control: ControlDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    await control.ctl("servers", "add", URL, "s", "--id", "one")
    await control.ctl("servers", "tag", "none", "lectures")
    monkeypatch.setenv("COLUMNS", "80")

    _, screen = await trio.to_thread.run_sync(on_terminal, control.path, ("audit",))

    lines = re.sub(r"\x1b\[\d*m", "", screen).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split("  ")[-1] == "RESULT"
    assert re.match(r"[0-9-]{10} [0-9:]{8}  uid=.*  updateServer  .*  failed: ", lines[1])
    assert re.match(r"[0-9-]{10} [0-9:]{8}  uid=.*  addServer  .*  done$", lines[2])
    assert lines[3] == "(not shown: CHANGE; --json has all)"


async def test_entries_are_chosen_by_time_object_and_person(control: ControlDouble) -> None:
    for name in ("one", "two"):
        fields = {"url": f"https://{name}.example/api", "secret": "s", "id": name}
        await control.post("addServer", fields)

    async def chosen(*words: str) -> list[str]:
        found = (await control.ctl("audit", "--json", *words)).json
        return [one["object"].split()[1] for one in found]

    assert await chosen("--object", "ONE") == ["one"]
    assert await chosen("--object", "one.example") == ["one"]
    assert await chosen("--who", f"uid={os.getuid()}", "--limit", "1") in (["one"], ["two"])
    assert await chosen("--who", "nobody-here") == []
    assert sorted(await chosen("--since", "2020-01-01")) == ["one", "two"]
    assert await chosen("--since", "2999-01-01T00:00:00Z") == []


async def test_what_waits_is_shown_while_the_database_is_away(
    res: Features, control: ControlDouble
) -> None:
    await control.ctl("servers", "add", URL, "hidden-word", "--id", "one")
    nowhere = "postgresql://127.0.0.1:1/nothing"
    async with (
        open_asyncio_loop(tuned=True),
        open_postgres_store(nowhere, prepared_statements=True, log=EventBook()) as away,
    ):
        res.audit.table = AuditTable(away)
        shown = await control.ctl("audit", "--json")
        table = await control.ctl("audit", "--object", "one")

    for done in (shown, table):
        assert done.code == 1
        assert done.err.startswith("PostgreSQL does not answer (")
        assert done.err.endswith("only changes that have not been written to it yet are shown\n")
    assert [one["call"] for one in shown.json] == ["addServer"]
    assert "server one" in table.out


@pytest.mark.parametrize("word", ["yesterday", "2026-13-01", ""])
async def test_time_that_is_none_is_wrong_usage(word: str, control: ControlDouble) -> None:
    done = await control.ctl("audit", "--since", word)

    assert (done.code, done.err.count("\n")) == (2, 1)
