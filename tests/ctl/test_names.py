"""Names, hosts and unique beginnings in place of ids."""

from __future__ import annotations

import pytest

from appliance.ctl.names import AmbiguousName, Named, resolve
from tests.doubles.control import Done, open_control
from tests.doubles.features import open_features
from tests.doubles.pool import Pool, open_pool

UUID = "3b6c1f5e-54c9-4a44-9d0c-6a4f7c3d2a10"
KNOWN = (
    Named(UUID, ("bbb1.example.com",)),
    Named("bbb1", ("old.example.com",)),
    Named("two", ("bbb20.example.com",)),
    Named("three", ("bbb3.example.com",)),
)


@pytest.mark.parametrize(
    ("word", "server_id"),
    [
        ("bbb1", "bbb1"),  # an exact id wins over the host bbb1.example.com
        ("BBB1.example.com", UUID),
        ("3b6c1", UUID),
        ("3b6c1f5", UUID),
        ("old", "bbb1"),
        ("bbb20", "two"),
        ("bbb2", "bbb2"),  # not bbb20
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_word_stands_for_a_server(word: str, server_id: str) -> None:
    assert resolve("server", word, KNOWN).id == server_id


def test_word_for_several_servers_is_ambiguous() -> None:
    with pytest.raises(AmbiguousName) as raised:
        resolve("server", "t", KNOWN)

    assert str(raised.value).splitlines() == [
        "t stands for several servers; nothing was changed:",
        "  two (bbb20.example.com)",
        "  three (bbb3.example.com)",
    ]


async def state(pool: Pool, server_id: str) -> str:
    return str((await pool.control.get("getServerInfo", id=server_id))["state"])


async def test_server_is_addressed_by_host_and_beginning(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        for server_id, host in (("alpha", "one.invalid"), ("beta", "two.invalid")):
            fields = {"url": f"https://{host}/bigbluebutton/api", "secret": "s", "id": server_id}
            await pool.control.post("addServer", fields)

        by_host = await pool.control.ctl("servers", "cordon", "two.invalid")
        begun = await pool.control.ctl("servers", "tag", "al", "gpu")
        await pool.control.post("addServer", {"url": "http://x", "secret": "s", "id": "bee"})
        refused = await pool.control.ctl("servers", "remove", "be", "--force")

        assert (by_host.code, by_host.err, await state(pool, "beta")) == (0, "", "cordoned")
        assert begun == Done(0, "OK\n", "note: al is server alpha (one.invalid)\n")
        assert (refused.code, refused.out) == (1, "")
        assert sorted(refused.err.splitlines()) == [
            "  bee (x)",
            "  beta (two.invalid)",
            "be stands for several servers; nothing was changed:",
        ]
        assert [await state(pool, one) for one in ("bee", "beta")] == ["disabled", "cordoned"]


async def test_rake_task_takes_hosts_and_beginnings_too(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        for server_id, url in (("one", "http://a.invalid:1"), ("two", "http://a.invalid:2")):
            await pool.control.post("addServer", {"url": url, "secret": "s", "id": server_id})

        refused = await pool.control.ctl("servers:cordon[a.invalid]")
        done = await pool.control.ctl("servers:cordon[tw]")

        assert (refused.code, refused.out) == (1, "Cordoning server a.invalid...\n")
        first, *candidates = refused.err.splitlines()
        assert first == "ERROR: a.invalid stands for several servers; nothing was changed:"
        assert sorted(candidates) == ["  one (a.invalid:1)", "  two (a.invalid:2)"]
        assert (done.code, done.out) == (0, "Cordoning server tw...\nOK\n")
        assert [await state(pool, one) for one in ("one", "two")] == ["disabled", "cordoned"]


async def test_meeting_is_addressed_by_its_beginning(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace) as pool:
        await pool.enable_all()
        await pool.create("physics-10", "chemistry", "chess")

        refused = await pool.control.ctl("meetings", "end", "--yes", "physics-10", "che")
        gone = await pool.control.ctl("meetings", "end", "--yes", "physics-1")
        shown = await pool.control.ctl("meetings", "info", "phys", "--json")
        ended = await pool.control.ctl("meetings", "end", "--yes", "chem")

        assert (refused.code, "chemistry" in refused.err, "chess" in refused.err) == (1, True, True)
        assert gone == Done(1, "", "no meeting with id physics-1\n")  # never physics-10
        assert shown.json["id"] == "physics-10"
        assert ended.out == "Clearing Meeting id=chemistry\n"
        assert set(pool.servers[0].meetings()) == {"physics-10", "chess"}


async def test_tenant_is_addressed_by_its_name(redis_url: str, redis_namespace: str) -> None:
    async with (
        open_features(redis_url, redis_namespace, MULTITENANCY_ENABLED="true") as res,
        open_control(res) as control,
    ):
        for name in ("school", "scouts"):
            await control.post("addTenant", {"tenant": {"name": name, "secrets": "s"}})

        setting = ("logo", "https://a.example/l.png", "true")
        added = await control.ctl("tenant-settings", "add", "School", *setting)
        refused = await control.ctl("tenants", "remove", "sc")
        removed = await control.ctl("tenants", "remove", "sco")

        assert (added.code, added.err) == (0, "")
        assert (refused.code, len(refused.err.splitlines())) == (1, 3)
        assert (removed.code, removed.err.startswith("note: sco is tenant ")) == (0, True)
        assert [one["name"] for one in await control.get("getTenants")] == ["school"]
