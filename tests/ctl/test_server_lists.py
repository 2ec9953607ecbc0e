"""`ctl servers sync|export|add-all`, as commands and as rake tasks."""

from __future__ import annotations

from pathlib import Path

from tests.doubles.control import Done
from tests.doubles.pool import open_pool

FILE = """\
servers:
  bbb1.example.com:
    secret: sec1
  bbb2.example.com:
    secret: sec2
    enabled: false
    load_multiplier: 2
"""
URL = "https://bbb{}.example.com/bigbluebutton/api"
UNCHANGED = "2 servers unchanged\n"


async def test_pool_is_synced_with_a_file_and_exported(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    path = tmp_path / "servers.yml"
    path.write_text(FILE)
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        ctl = pool.control.ctl
        lines = (
            f"bbb1.example.com: add, url={URL.format(1)}, secret=*****, load_multiplier=1.0,"
            f" enabled\nbbb2.example.com: add, url={URL.format(2)}, secret=*****,"
            " load_multiplier=2.0, disabled\n0 servers unchanged\n"
        )
        dry = await ctl("servers", "sync", str(path), "--dry-run")
        assert dry == Done(
            0, f"Dry run, nothing is changed. A sync would make these changes:\n{lines}", ""
        )
        assert (await ctl("servers", "list", "--json")).json == []
        assert await ctl("servers", "sync", str(path)) == Done(0, lines, "")
        assert await ctl("servers", "sync", "-", stdin=FILE) == Done(0, UNCHANGED, "")

        export = await ctl("servers", "export")
        assert await ctl("servers", "sync", "-", stdin=export.out) == Done(0, UNCHANGED, "")
        assert "secret: sec1" in export.out
        assert "online" not in export.out
        assert (await ctl("servers", "export", "--json")).json["yaml"] == export.out
        verbose = await ctl("servers", "export", "--verbose")
        assert (
            "    state: enabled\n    load: -1.0\n    bbb_version: ''\n    online: false\n"
            in verbose.out
        )

        changed = FILE.replace("sec1", "new").replace("enabled: false", "enabled: true")
        assert (await ctl("servers", "sync", "-", stdin=changed)).out == (
            "bbb1.example.com: change secret=*****\n"
            "bbb2.example.com: change state=enabled\n0 servers unchanged\n"
        )
        kept = await ctl("servers", "sync", "-", "--mode", "keep", stdin="servers: {}")
        assert kept.out.splitlines()[0] == "bbb1.example.com: keep, not in the file"
        removed = await ctl("servers", "sync", "-", "--json", stdin="servers: {}")
        assert [one["kind"] for one in removed.json["servers"]] == ["remove", "remove"]


async def test_all_problems_are_reported_and_nothing_is_changed(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    bad = "servers:\n  a: {}\n  b: {secret: s, laod: 1}\n"
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        ctl = pool.control.ctl
        done = await ctl("servers", "sync", "-", stdin=bad)

        assert (done.code, done.out) == (1, "")
        assert done.err == (
            "- has 2 problems; nothing was changed:\n"
            "  line 2: server a: it has no secret\n"
            "  line 3: server b: unknown field `laod` (known: url, secret, enabled,"
            " load_multiplier, tag, max_meetings, max_users, dial_in, dial_in_port)\n"
        )
        many = "servers:\n" + "".join(f"  s{number}: {{}}\n" for number in range(300))
        endless = (await ctl("servers", "sync", "-", stdin=many)).err.splitlines()
        assert (len(endless), endless[-1]) == (202, "  and 100 more")
        add = await ctl("servers", "add-all", "-", stdin="servers: 1")
        assert (add.code, len(add.err.splitlines())) == (1, 2)
        assert (await ctl("servers", "list", "--json")).json == []
        missing = tmp_path / "none.yml"
        assert await ctl("servers", "sync", str(missing)) == Done(
            1, "", f"{missing}: No such file or directory\n"
        )
        (tmp_path / "latin").write_bytes(b"servers: \xe9")
        (tmp_path / "long").write_bytes(b"#" * 1_100_000)
        (tmp_path / "rather_long").write_bytes(b"#" * 600_000)
        for name, reason in (
            ("latin", "not UTF-8 text"),
            ("long", "too long"),
            ("rather_long", "must not be longer than 512 KiB"),
        ):
            done = await ctl("servers", "sync", str(tmp_path / name))
            assert (done.code, reason in done.err) == (1, True), done.err


async def test_rake_task_prints_the_lines_of_scalelite(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    path = tmp_path / "servers.yml"
    path.write_text(FILE)
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        ctl = pool.control.ctl
        added = "[bbb1.example.com] Server created\n[bbb1.example.com] Server enabled\n"
        created = f"{added}[bbb2.example.com] Server created\n"
        assert await ctl(f"servers:sync[{path},cordon,true]") == Done(0, created, "")
        assert await ctl(f"servers:sync[{path},cordon,no]") == Done(0, created, "")
        assert await ctl(f"servers:sync[{path}]") == Done(0, "", "")
        path.write_text(
            "servers: {bbb1.example.com: {secret: sec1, enabled: no, load_multiplier: 3}}"
        )
        assert (await ctl(f"servers:sync[{path},keep]")).out == (
            "[bbb1.example.com] Server updated: load_multiplier=3.0\n"
            "[bbb1.example.com] Server disabled (cordoned)\n"
            "[bbb2.example.com] Server not removed\n"
        )
        assert (await ctl(f"servers:sync[{path}]")).out == "[bbb2.example.com] Server removed\n"
        assert "load: -1.0" in (await ctl("servers:yaml[true]")).out
        assert "load: -1.0" not in (await ctl("servers:yaml")).out
        path.write_text("servers: 1")
        refused = await ctl(f"servers:sync[{path}]")
        assert (refused.code, refused.err.startswith("ERROR: ")) == (1, True)
        path.write_text("servers:\n- {url: bbb9.example.com, secret: s}\n")
        listed = (await ctl(f"servers:addAll[{path}]")).out.splitlines()
        assert listed[0] == f"server: {URL.format(9)}"
        assert listed[1].startswith("id: ")


async def test_meetings_are_ended_only_in_mode_force(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 1) as pool:
        ctl = pool.control.ctl
        await pool.enable_all()
        await pool.create("physics")
        (bbb,) = pool.servers
        empty = "servers: {}"

        cordoned = await ctl("servers", "sync", "-", stdin=empty)
        assert cordoned.out.splitlines()[0] == (
            f"{bbb.server_id}: cordon: it has 1 meeting; a later sync removes it"
        )
        again = await ctl("servers", "sync", "-", stdin=empty)
        assert "wait: it has 1 meeting" in again.out
        assert list(bbb.meetings()) == ["physics"]
        dry = await ctl("servers", "sync", "-", "--mode", "force", "--dry-run", stdin=empty)
        assert f"{bbb.server_id}: end 1 meeting and remove" in dry.out
        assert list(bbb.meetings()) == ["physics"]
        forced = await ctl("servers", "sync", "-", "--mode", "force", stdin=empty)
        assert (forced.code, forced.err) == (0, "")
        assert not bbb.meetings()
        assert (await ctl("servers", "list", "--json")).json == []


async def test_add_all_prints_urls_and_ids(redis_url: str, redis_namespace: str) -> None:
    file = "servers:\n- {url: bbb1.example.com, secret: s, id: one}\n"
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        ctl = pool.control.ctl
        lines = f"server: {URL.format(1)}\nid: one\n"
        assert await ctl("servers", "add-all", "-", stdin=file) == Done(0, lines, "")
        assert await ctl("servers", "add-all", "-", stdin=file) == Done(
            0, lines, f"note: {URL.format(1)} already exists and is not changed\n"
        )
        shown = (await ctl("servers", "add-all", "-", "--json", stdin=file)).json
        assert (shown[0]["id"], shown[0]["was_there"]) == ("one", True)
