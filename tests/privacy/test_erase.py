"""Erasing traces: what is found, what is left, and that nothing else is touched."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.callbacks.analytics_files import AnalyticsFiles
from appliance.callbacks.analytics_rules import render_stored
from appliance.callbacks.postgres_queue import PostgresQueue
from appliance.callbacks.queue import CallbackQueue
from appliance.callbacks.rules import analytics
from appliance.model import TenantId
from appliance.privacy.rules import without_person
from appliance.redis.store import RedisStore
from appliance.tenants.scoped_id import scoped_id
from appliance.usage.deps import UsageDeps
from appliance.usage.model import EndedRun, UsageRun
from tests.doubles.control import ControlDouble, open_control
from tests.doubles.features import open_features, rewire
from tests.doubles.import_tools import ImportBench
from tests.doubles.recording_admin_bench import add_with_files, open_admin_bench_of
from tests.doubles.recordings import make_recording

ADA = "Ada Löve"


@dataclass(frozen=True, slots=True)
class Traces:
    """An appliance with traces of two meetings of two tenants."""

    control: ControlDouble
    files: AnalyticsFiles
    bench: ImportBench
    redis: RedisStore
    usage: UsageDeps

    async def rows(self, table: str) -> int:
        """Return the number of rows of a table."""
        row = await self.bench.database.fetchrow(f"SELECT count(*) FROM {table}")
        assert row is not None
        return int(row[0])

    async def metadata(self) -> dict[str, dict[str, str]]:
        """Return the metadata of each recording."""
        found = await self.bench.database.fetch(
            "SELECT record_id, key, value FROM public.metadata m"
            " JOIN public.recordings r ON r.id = recording_id ORDER BY 1, 2"
        )
        result: dict[str, dict[str, str]] = {}
        for record_id, key, value in found:
            result.setdefault(record_id, {})[key] = value
        return result


def report(meeting: str, customer: str) -> bytes:
    document = {
        "meeting_id": meeting,
        "customer": customer,
        "data": {"attendees": [{"name": ADA, "ext_user_id": "u-1"}, {"name": "Bob"}]},
    }
    return json.dumps(document, ensure_ascii=meeting == "m-1").encode()


def traces_file(bench: ImportBench, record_id: str) -> Path:
    return bench.root / "published" / "presentation" / record_id / "metadata.xml"


@pytest.fixture
async def traces(
    redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path
) -> AsyncIterator[Traces]:
    async with (
        open_features(redis_url, redis_namespace, MULTITENANCY_ENABLED="true") as bare,
        open_admin_bench_of(bare, database_url, tmp_path) as (res, bench),
    ):
        files = AnalyticsFiles(tmp_path)
        queue = CallbackQueue(
            (PostgresQueue(bench.database), *res.callbacks.queue.stores), lambda: None, res.log
        )
        usage = res.usage
        assert usage is not None
        for number, tenant in ((1, "t-1"), (2, "t-2")):
            meeting = f"m-{number}"
            run = UsageRun(
                meeting, 1_760_000_000_000 + number, 1_760_000_000_000, meeting, 0, tenant
            )
            await usage.table.add_runs([EndedRun("a", run, 1_760_000_060_000, "poll")])
            files.save(f"run-{number}", report(meeting, tenant))
            metadata = (("tenant-id", tenant), ("owner", ADA), ("course", "Physics"))
            made = make_recording(f"rec-{number}", metadata=metadata, meeting_id=meeting)
            await add_with_files(bench, made)
            traces_file(bench, f"rec-{number}").write_text(
                f"<recording><meta><owner>{ADA}</owner><course>Physics</course></meta></recording>"
            )
            callback = analytics(
                "https://lms.example/a",
                report(meeting, tenant),
                meeting_id=meeting,
                tenant_id=TenantId(tenant),
            )
            for store in queue.stores:
                assert await store.add(callback, f"key-{number}")
        await usage.table.name_tenants({"t-1": "school", "t-2": "t-2"})
        res = rewire(res, analytics_files=files)
        async with open_control(res) as control:
            yield Traces(control, files, bench, res.redis.background, usage)


async def test_dry_run_counts_and_changes_nothing(traces: Traces) -> None:
    done = await traces.control.ctl("privacy", "erase", "--meeting", "m-1", "--dry-run", "--json")

    assert done.json == {
        "runs": 1,
        "analytics": 1,
        "recordings": 1,
        "callbacks": 2,
        "dry_run": True,
    }
    assert await traces.rows("appliance.meeting_runs") == 2
    assert await traces.rows("appliance.callbacks") == 2
    assert len(traces.files.names(10)) == 2


async def test_meeting_is_erased_and_no_other(traces: Traces) -> None:
    refused = await traces.control.ctl("privacy", "erase", "--meeting", "m-1")
    done = await traces.control.ctl("privacy", "erase", "--meeting", "m-1", "--yes")

    assert (refused.code, done.code) == (1, 0)
    assert "--yes" in refused.err
    assert done.out.startswith("erased: 1 meeting run, 1 analytics report, metadata of 1 recording")
    assert await traces.rows("appliance.meeting_runs") == 1
    assert await traces.rows("appliance.callbacks") == 1
    assert [name for name, _, _ in traces.files.names(10)] == ["run-2"]
    assert await traces.metadata() == {
        "rec-1": {"tenant-id": "t-1"},
        "rec-2": {"course": "Physics", "owner": ADA, "tenant-id": "t-2"},
    }
    again = await traces.control.post("erase", {"meeting": "m-1"})
    assert {value for name, value in again.items() if name != "dry_run"} == {0}


async def test_meeting_is_erased_under_its_scoped_ids_and_from_redis(traces: Traces) -> None:
    redis, scoped = traces.redis, scoped_id("m-1", "t-2")
    await add_with_files(traces.bench, make_recording("rec-3", meeting_id=scoped))
    keys = [redis.own_key(f"size:{one}") for one in ("m-1", scoped, "m-2")]
    for key in keys:
        await redis.command("HSET", key, "peak", "5")
    waiting = [json.dumps({"meeting_id": one, "tenant_id": None}) for one in ("m-1", "m-2")]
    await redis.command("RPUSH", redis.own_key("callback_urls"), *waiting)

    found = await traces.control.post("erase", {"meeting": "m-1"})

    assert found["recordings"] == 2
    assert [await redis.command("EXISTS", key) for key in keys] == [0, 0, 1]
    assert await redis.command("LRANGE", redis.own_key("callback_urls"), 0, -1) == waiting[1:]


async def test_tenant_is_erased_from_redis(traces: Traces) -> None:
    redis = traces.redis
    ids = ("m-1", scoped_id("m-1", "t-1"), "m-2", scoped_id("m-1", "t-2"))
    keys = [redis.own_key(f"size:{one}") for one in ids]
    for key in keys:
        await redis.command("HSET", key, "peak", "5")

    await traces.control.post("erase", {"tenant": "school"})

    assert [await redis.command("EXISTS", key) for key in keys] == [0, 0, 1, 1]


async def test_callbacks_without_a_database_are_erased(
    redis_url: str, redis_namespace: str
) -> None:
    async with (
        open_features(redis_url, redis_namespace, DB_DISABLED="true") as res,
        open_control(res) as control,
    ):
        for meeting in ("m-1", "m-2"):
            callback = analytics("https://lms.example/a", b"{}", meeting_id=meeting, tenant_id=None)
            assert await res.callbacks.queue.stores[-1].add(callback, meeting)

        found = await control.post("erase", {"meeting": "m-1"})

        assert found["callbacks"] == 1
        left = await res.redis.background.command(
            "ZCARD", res.redis.background.own_key("callbacks")
        )
        assert left == 1


async def test_user_is_erased_from_reports_metadata_and_callbacks(traces: Traces) -> None:
    age = {name: ms for name, ms, _ in traces.files.names(10)}

    found = await traces.control.post("erase", {"user": ADA})

    assert (found["runs"], found["analytics"], found["recordings"]) == (0, 2, 2)
    assert found["callbacks"] == 4
    for name in ("run-1", "run-2"):
        document = json.loads(traces.files.read(name) or b"")
        assert document["data"]["attendees"] == [{"name": "Bob"}]
    assert {name: ms for name, ms, _ in traces.files.names(10)} == age
    assert all("owner" not in one for one in (await traces.metadata()).values())
    assert await traces.rows("appliance.meeting_runs") == 2


async def test_tenant_is_erased_by_name(traces: Traces) -> None:
    found = await traces.control.post("erase", {"tenant": "School"})

    assert (found["runs"], found["recordings"], found["callbacks"]) == (1, 1, 2)
    assert await traces.rows("appliance.usage_tenants") == 1
    assert await traces.rows("appliance.meeting_runs") == 1


async def test_removed_tenant_is_not_taken_for_another_whose_name_begins_alike(
    traces: Traces,
) -> None:
    living = await traces.control.post("addTenant", {"name": "schools", "secrets": "s"})
    run = UsageRun("m-3", 1_760_000_000_003, 1_760_000_000_000, "m-3", 0, living["id"])
    await traces.usage.table.add_runs([EndedRun("a", run, 1_760_000_060_000, "poll")])
    period = ("--from", "2025-10-01", "--to", "2025-11-01", "--by", "meeting", "--json")

    used = await traces.control.ctl("usage", "--tenant", "school", *period)
    unknown = await traces.control.ctl("privacy", "erase", "--tenant", "schoo", "--yes")
    done = await traces.control.ctl("privacy", "erase", "--tenant", "school", "--yes")

    assert [line["meeting"] for line in used.json["usage"]] == ["m-1"]
    assert (unknown.code, unknown.out) == (1, "")
    assert (done.code, done.err, done.out[:21]) == (0, "", "erased: 1 meeting run")
    left = await traces.bench.database.fetch("SELECT meeting_id FROM appliance.meeting_runs")
    assert sorted(row[0] for row in left) == ["m-2", "m-3"]


async def test_reports_of_a_renamed_tenant_are_erased_and_none_of_its_name(traces: Traces) -> None:
    traces.files.save("before", render_stored(report("m-1", "academy"), "t-1"))
    traces.files.save("later", render_stored(report("m-9", "school"), "t-9"))

    found = await traces.control.post("erase", {"tenant": "t-1"})

    assert found["analytics"] == 1
    assert {name for name, _, _ in traces.files.names(10)} == {"later", "run-1", "run-2"}


async def test_older_reports_of_a_tenant_are_erased_by_its_name(traces: Traces) -> None:
    traces.files.save("old", report("m-1", "school"))

    found = await traces.control.post("erase", {"tenant": "t-1"})

    assert found["analytics"] == 1
    assert "old" not in {name for name, _, _ in traces.files.names(10)}


async def test_what_came_after_a_tenant_was_erased_can_be_erased_by_its_id(traces: Traces) -> None:
    await traces.control.post("erase", {"tenant": "t-1"})
    run = UsageRun("m-1", 1_760_000_000_009, 1_760_000_000_000, "m-1", 0, "t-1")
    await traces.usage.table.add_runs([EndedRun("a", run, 1_760_000_060_000, "poll")])

    used = await traces.control.get("usage", tenant="t-1", **{"from": "2025-10", "to": "2025-11"})
    found = await traces.control.post("erase", {"tenant": "t-1"})

    assert [(line["tenant"], line["meetings"]) for line in used["usage"]] == [("t-1", 1)]
    assert found["runs"] == 1


async def test_nothing_or_two_things_are_refused(traces: Traces) -> None:
    for words in ((), ("--meeting", "m", "--user", "u")):
        assert (await traces.control.ctl("privacy", "erase", *words)).code == 2
    unknown = await traces.control.ctl("privacy", "erase", "--tenant", "nobody", "--yes")
    assert (unknown.code, unknown.out) == (1, "")


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"users": [{"userId": "u-1", "x": 1}, {"userId": "u-2"}]}, {"users": [{"userId": "u-2"}]}),
        ({"u-1": {"talks": 3}, "u-2": 1}, {"u-2": 1}),
        ({"title": "u-1", "course": ["u-1", "b"]}, {"title": "", "course": ["", "b"]}),
        ({"by": {"name": "u-1"}, "n": None}, {"n": None}),
    ],
)
def test_person_is_removed_wherever_reports_have_it(document: Any, expected: Any) -> None:
    assert without_person(document, "u-1") == expected


@pytest.mark.parametrize(
    ("named", "left"),
    [
        ({"meeting": "m-1"}, ((False, False), (True, True))),
        ({"tenant": "school"}, ((False, False), (True, True))),
        ({"user": ADA}, ((False, True), (False, True))),
    ],
)
async def test_published_files_do_not_keep_what_was_erased(
    traces: Traces, named: dict[str, str], left: tuple[tuple[bool, bool], ...]
) -> None:
    await traces.control.post("erase", {**named, "dry_run": True})
    before = traces_file(traces.bench, "rec-1").read_text()

    await traces.control.post("erase", named)

    texts = [traces_file(traces.bench, f"rec-{number}").read_text() for number in (1, 2)]
    assert ADA in before
    assert tuple(("owner" in one, "Physics" in one) for one in texts) == left


async def test_file_is_erased_although_the_row_was_before(traces: Traces) -> None:
    await traces.bench.database.fetch("DELETE FROM public.metadata WHERE key = 'owner'")
    await traces.bench.database.fetch(
        "INSERT INTO appliance.removed_metadata (recording_id, key)"
        " SELECT id, 'owner' FROM public.recordings WHERE record_id = 'rec-1'"
    )

    found = await traces.control.post("erase", {"user": ADA})

    assert found["recordings"] == 1
    assert "owner" not in traces_file(traces.bench, "rec-1").read_text()


async def test_audit_trail_has_what_was_erased_and_no_dry_run(traces: Traces) -> None:
    await traces.control.post("erase", {"meeting": "m-1", "dry_run": True})
    assert (await traces.control.ctl("audit", "--json")).json == []

    await traces.control.post("erase", {"meeting": "m-1"})

    (entry,) = (await traces.control.ctl("audit", "--json")).json
    assert (entry["call"], entry["object"], entry["result"]) == (
        *("erase", "traces of a meeting"),
        "done",
    )


async def test_audit_trail_does_not_name_whose_erasure_failed(traces: Traces) -> None:
    traces_file(traces.bench, "rec-1").write_text(f"<recording>{ADA}")

    done = await traces.control.ctl("privacy", "erase", "--user", ADA, "--yes")

    assert "the metadata.xml of rec-1 cannot be changed" in done.err
    (entry,) = (await traces.control.ctl("audit", "--json")).json
    assert entry["result"].startswith("failed: the metadata.xml of rec-1 cannot be changed")
    assert ADA not in str(entry)
