"""The admin calls about recordings over the real control socket."""

from __future__ import annotations

import os
from typing import Any

import pytest

from appliance.ctl.client import Refusal
from tests.doubles.control import open_control
from tests.doubles.features import open_features, rewire
from tests.doubles.recording_admin_bench import RecordingAdminBench
from tests.doubles.recordings import make_recording

pytest_plugins = ["tests.doubles.recording_admin_bench_fixtures"]


async def refusal(opened: RecordingAdminBench, call: str, body: dict[str, Any]) -> tuple[int, str]:
    with pytest.raises(Refusal) as refused:
        await opened.control.post(call, body)
    return refused.value.status, str(refused.value)


async def test_calls_answer_with_documents(opened: RecordingAdminBench) -> None:
    await opened.add(make_recording("r1"), make_recording("r2"), wrong=True)
    control = opened.control
    listed = await control.get("listRecordings", limit="1")
    assert (listed["count"], listed["recordings"][0]["record_id"]) == (2, "r2")
    info = await control.get("getRecordingInfo", id="r1")
    assert (info["size"], info["files"][0]["published"]) == (2, False)
    step = await control.post("repairRecordings", {"dry_run": True})
    assert (step["checked"], step["next_after"], len(step["moved"])) == (2, None, 2)
    await control.post("repairRecordings", {"ids": ["r1"]})
    (changed,) = await control.post("updateRecordings", {"ids": ["r1", "r1"], "publish": False})
    assert (changed["published"], changed["state"]) == (False, "unpublished")
    body = {"tenant_id": "t", "ids": ["r1"], "force": True}
    assert await control.post("addRecordingsToTenant", body) == {"count": 1}
    overview = await control.get("getImports", failed="true")
    assert overview == {"imports": [], "count": 0, "spool": [], "failed": []}
    assert await control.post("retryImports", {}) == []
    expired = await control.get("getExpiredRecordings", days="30")
    assert [one["record_id"] for one in expired["recordings"]] == ["r1", "r2"]
    assert expired["retention"] == {"days": 30.0, "tenants": {}, "unreadable": {}}
    pruned = await control.post("pruneRecordings", {"days": 30})
    assert (pruned["deleted"], pruned["next_after"]) == (["r1", "r2"], None)
    assert "uid" in opened.log.named("recordings_expired")[0]["by"]


async def test_bad_requests_are_refused_with_the_reason(opened: RecordingAdminBench) -> None:
    assert await refusal(opened, "updateRecordings", {}) == (400, "ids is missing")
    assert (await refusal(opened, "updateRecordings", {"ids": ["x"], "publish": True}))[0] == 404
    assert (await refusal(opened, "addRecordingsToTenant", {"tenant_id": "t"}))[0] == 404
    assert (await refusal(opened, "importRecording", {"path": "x"}))[0] == 400
    assert (await refusal(opened, "importRecording", {"path": "/nowhere"}))[0] == 404
    assert (await refusal(opened, "pruneRecordings", {"days": 0}))[0] == 400
    for call, query in (("getRecordingInfo", {}), ("listRecordings", {"limit": "x"})):
        with pytest.raises(Refusal) as refused:
            await opened.control.get(call, **query)
        assert refused.value.status == 400
    with pytest.raises(Refusal) as refused:
        await opened.control.get("getImport", id="5")
    assert refused.value.status == 404


async def test_database_that_is_away_is_said_in_one_line(opened: RecordingAdminBench) -> None:
    opened.bench.database._down_reason = "away"
    with pytest.raises(Refusal, match="The recording store is not reachable") as refused:
        await opened.control.get("listRecordings")
    assert refused.value.status == 503
    opened.bench.database._down_reason = None


async def test_appliance_without_recordings_says_so(redis_url: str, redis_namespace: str) -> None:
    async with (
        open_features(redis_url, redis_namespace) as res,
        open_control(rewire(res)) as control,
    ):
        with pytest.raises(Refusal, match="recordings are disabled here"):
            await control.get("listRecordings")


async def test_file_name_that_is_not_utf8_is_listed(opened: RecordingAdminBench) -> None:
    (opened.bench.root / "spool" / os.fsdecode(b"\xff.tar")).write_bytes(b"")

    overview = await opened.control.get("getImports")

    assert [one["file"] for one in overview["spool"]] == ["\udcff.tar"]
