"""`ctl recordings list|show|update|add-to-tenant`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from appliance.ctl.commands import build_parser
from appliance.ctl.recordings import COLUMNS, recording_row
from appliance.ctl.tables import render_table
from tests.doubles.control import Done
from tests.doubles.recording_admin_bench import RecordingAdminBench, open_admin_bench
from tests.doubles.recordings import make_recording

pytest_plugins = ["tests.doubles.recording_admin_bench_fixtures"]


async def test_recordings_are_listed_in_a_table(opened: RecordingAdminBench) -> None:
    await opened.add(make_recording("r1"), make_recording("r2", meeting_id="\x1b[2J"))
    listed = await opened.ctl("list", "--limit", "1")
    heading, row, more = listed.out.splitlines()
    assert heading.split() == [
        "RECORD", "ID", "MEETING", "ID", "NAME", "STATE", "ENDED", "(UTC)", "FORMATS", "TENANT",
    ]  # fmt: skip
    assert row.split() == [
        "r2", "\\x1b[2J", "Maths", "&", "more", "published", "2023-11-14", "23:13", "presentation",
        "-",
    ]  # fmt: skip
    assert more == "1 more; --limit shows more of them"
    assert (await opened.ctl()).out.splitlines()[0] == heading
    filtered = await opened.ctl("list", "--meeting", "math", "--json")
    assert [one["record_id"] for one in filtered.json["recordings"]] == ["r1"]


async def test_unknown_tenant_is_an_error_unless_it_has_recordings(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> None:
    places = (redis_url, redis_namespace, database_url, tmp_path)
    async with open_admin_bench(*places, MULTITENANCY_ENABLED="true") as opened:
        await opened.set_retention("t1", "0")
        await opened.add(make_recording("r1"))
        await opened.ctl("add-to-tenant", "r1", "removed", "--force")
        unknown = await opened.ctl("list", "--tenant", "zzz")
        assert (unknown.code, unknown.out, unknown.err) == (
            *(1, ""),
            "no tenant with id or name zzz\n",
        )
        for tenant, rows in (("t1", 0), ("removed", 1)):
            listed = await opened.ctl("list", "--tenant", tenant)
            assert (listed.code, listed.err, len(listed.out.splitlines())) == (0, "", 1 + rows)


async def test_recording_is_shown(opened: RecordingAdminBench) -> None:
    await opened.add(make_recording("r1"), wrong=True)
    shown = (await opened.ctl("show", "r1")).out.splitlines()
    folder = opened.bench.root / "unpublished/presentation/r1"
    for line in (
        "Recording: r1",
        "\tMeeting ID: math",
        "\tState: published",
        "\tProtected: no",
        "\tTime (UTC): 2023-11-14 22:13 to 2023-11-14 23:13",
        "\t\tbbb-origin: greenlight",
        "\t\tpresentation: /playback/presentation/2.3/r1, 60 min",
        "\tFiles: 2 B",
        f"\t\t{folder}: 1 file, 2 B (wrong place)",
        "\tChanged by users: -",
    ):
        assert line in shown
    assert await opened.ctl("show", "r2") == Done(1, "", "no recording with id r2\n")


async def test_recordings_are_changed(opened: RecordingAdminBench) -> None:
    await opened.add(make_recording("r1"))
    assert await opened.ctl("update", "r1", "--protect", "--meta", "course=x") == Done(
        0, "1 recording changed\n", ""
    )
    found = await opened.find("r1")
    assert (found.protected, dict(found.metadata)["course"]) == (True, "x")
    assert (await opened.ctl("update", "--protect")).code == 2
    assert (await opened.ctl("update", "r1", "--protect", "--dry-run")).code == 2
    refused = await opened.ctl("update", "r1", "--meta", "tenant-id=x")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err == "tenant-id is set by `recordings add-to-tenant` alone\n"


async def test_repair_shows_the_moved_formats(opened: RecordingAdminBench) -> None:
    await opened.add(make_recording("r1"), wrong=True)
    seen = await opened.ctl("update", "--dry-run")
    assert seen.out.splitlines() == [
        "in the wrong place: r1/presentation",
        "1 recording checked: 1 format in the wrong place, 0 without files",
    ]
    done = await opened.ctl("update", "r1", "--json")
    assert done.json == {"checked": 1, "moved": ["r1/presentation"], "missing": [], "failed": []}
    assert (await opened.control.ctl("recordings:update")) == Done(0, "", "")


async def test_recordings_are_assigned_to_a_tenant_as_by_rake(opened: RecordingAdminBench) -> None:
    await opened.set_retention("t1", "0")
    await opened.add(make_recording("r1"), make_recording("r2"))
    assert await opened.ctl("add-to-tenant", "r1", "t1") == Done(
        0, "1 recording added to tenant t1\n", ""
    )
    rake = await opened.control.ctl("recordings:addToTenant[t1]")
    assert rake == Done(
        0, "All existing recordings have been successfully linked to tenant t1\n", ""
    )
    assert (await opened.find("r2")).tenant_id == "t1"
    rake = await opened.control.ctl("recordings:addToTenant")
    assert rake == Done(1, "", "No tenant ID was provided\n")


def test_row_shows_missing_values_as_dashes() -> None:
    one: dict[str, object] = {
        "record_id": "r1", "meeting_id": None, "name": "n" * 50, "state": None, "protected": True,
        "end_time": None, "start_time": "2026-11-25T10:40:07Z", "formats": [], "tenant_id": None,
    }  # fmt: skip
    assert recording_row(one) == (
        "r1", "-", "n" * 39 + "…", "-, protected", "2026-11-25 10:40", "-", "-",
    )  # fmt: skip


def test_recordings_of_one_room_are_told_apart_on_a_terminal_of_80_columns() -> None:
    one = {
        "meeting_id": "m" * 40, "name": "n" * 50, "state": "published", "protected": True,
        "end_time": None, "start_time": "2026-11-25T10:40:07Z", "formats": ["presentation"],
        "tenant_id": "9a870f45-ec23-4d29-828b-4673f3536d7b",
    }  # fmt: skip
    ids = [f"{'0a' * 20}-153124058518{last}" for last in "89"]
    table = render_table(COLUMNS, [recording_row({**one, "record_id": i}) for i in ids], width=80)
    _, *rows, _ = table.splitlines()
    assert [row.split()[0] for row in rows] == ids
    assert max(map(len, rows)) <= 80


def test_arguments_of_changes_are_parsed() -> None:
    def parse(words: str) -> Namespace:
        return build_parser().parse_args(f"recordings {words}".split())

    update = parse("update a b --unpublish --protect --meta course=Phy=sics --meta draft=")
    assert (update.ids, update.publish, update.protect) == (["a", "b"], False, True)
    assert update.meta == [("course", "Phy=sics"), ("draft", "")]
    assert parse("update").publish is None
    tenant = parse("add-to-tenant r1 r2 t")
    assert (tenant.ids, tenant.tenant) == (["r1", "r2"], "t")
    assert parse("add-to-tenant t").ids == []
