"""Recordings in a bucket, from the tar to the player, through outages of the object store."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.appliance_client import Answer
from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.recording_tars import recording_tar
from tests.doubles.s3 import KEY, S3Server, s3_variables
from tests.doubles.s3_proxy import FaultyProxy, faulty_proxy

FILES = {"presentation": {"1.svg": b"<svg/>", "video/webcams.webm": b"v" * 300_000}}
IMPORT_S = 90.0


@pytest.fixture(scope="module")
def proxy(s3: S3Server) -> Iterator[FaultyProxy]:
    with faulty_proxy(s3.url) as served:
        yield served


@pytest.fixture(scope="module")
def bucket(s3: S3Server) -> str:
    return s3.make_bucket()


@pytest.fixture(scope="module")
def appliance(
    both_stores: dict[str, str],
    proxy: FaultyProxy,
    bucket: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ApplianceProcess]:
    root = tmp_path_factory.mktemp("objects")
    variables = s3_variables(proxy.url, bucket, METRICS_TOKEN="m" * 30)
    with ApplianceProcess(root, **both_stores, **variables, POLL_INTERVAL="600") as started:
        started.sensitive.add(KEY)
        yield started


def deliver(appliance: ApplianceProcess, directory: Path, record_id: str) -> None:
    wait_for(appliance.spool.is_dir, 20, "the spool")
    tar = recording_tar(directory, record_id, FILES)
    os.replace(tar, appliance.spool / tar.name)


def ask(appliance: ApplianceProcess, path: str) -> Answer:
    headers = {"Authorization": f"Bearer {'m' * 30}"}
    return appliance.front.fetch("GET", path, headers=headers)


def keys_of(record_id: str, state: str) -> set[str]:
    names = (*FILES["presentation"], "metadata.xml")
    return {f"{state}/presentation/{record_id}/{name}" for name in names}


def test_recording_lives_in_the_bucket(
    appliance: ApplianceProcess, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    deliver(appliance, tmp_path, "r1")
    appliance.wait_event("recording_imported", IMPORT_S, recordings=["r1"])
    assert s3.keys(bucket) == keys_of("r1", "published")
    assert not any(appliance.directory("publish").glob("presentation/*"))
    wait_for(lambda: not list(appliance.spool.glob("*.tar")), 20, "the tar is removed")
    assert ask(appliance, "/presentation/r1/1.svg").body == b"<svg/>"
    video = ask(appliance, "/presentation/r1/video/webcams.webm")
    assert video.status == 302
    with urllib.request.urlopen(video.location, timeout=20) as answer:
        assert answer.read() == FILES["presentation"]["video/webcams.webm"]

    call = appliance.front.get
    assert call("publishRecordings", recordID="r1", publish="false").text("published") == "false"
    assert s3.keys(bucket) == keys_of("r1", "unpublished")
    assert ask(appliance, "/presentation/r1/1.svg").status == 404
    assert call("publishRecordings", recordID="r1", publish="true").text("published") == "true"
    assert s3.keys(bucket) == keys_of("r1", "published")
    assert call("deleteRecordings", recordID="r1").text("deleted") == "true"
    assert ask(appliance, "/presentation/r1/1.svg").status == 404
    wait_for(lambda: s3.keys(bucket) == set(), 20, "the objects are deleted")


def import_of(appliance: ApplianceProcess, name: str) -> dict[str, Any]:
    imports: list[dict[str, Any]] = appliance.control.get("getImports")["imports"]
    return next(one for one in imports if one["file"] == name)


def test_import_waits_for_the_object_store(
    appliance: ApplianceProcess, proxy: FaultyProxy, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    deliver(appliance, tmp_path, "r2")
    appliance.wait_event("recording_imported", IMPORT_S, recordings=["r2"])
    proxy.fault = "503 SlowDown"
    try:
        deliver(appliance, tmp_path, "r3")
        appliance.wait_event("recording_import_waits", 60, file="r3.tar")
        wait_for(lambda: import_of(appliance, "r3.tar")["wait_reason"], 10, "its reason is written")
        entry = import_of(appliance, "r3.tar")
        assert (entry["state"], entry["attempts"]) == ("waiting", 0)
        assert entry["wait_reason"] == "SlowDown"
        assert "SlowDown" in entry["error"]
        text = appliance.ctl("recordings", "imports").stdout
        assert "SlowDown" in text
        metrics = ask(appliance, "/metrics").body.decode()
        assert 'scalelite_imports_waiting{reason="SlowDown"} 1.0' in metrics
        assert 'scalelite_s3_errors_total{reason="SlowDown"}' in metrics
        refused = ask(appliance, "/presentation/r2/1.svg")
        assert (refused.status, refused.headers["retry-after"]) == (503, "10")
        began_s = time.monotonic()
        assert appliance.front.get("getMeetings").returncode == "SUCCESS"
        assert appliance.front.get("getRecordings", recordID="r2").returncode == "SUCCESS"
        assert time.monotonic() - began_s < 2
        hidden = appliance.front.get("publishRecordings", recordID="r2", publish="false")
        assert hidden.text("published") == "false"
        assert ask(appliance, "/presentation/r2/1.svg").status == 404
        assert appliance.front.get("deleteRecordings", recordID="r2").text("deleted") == "true"
    finally:
        proxy.fault = ""
    appliance.wait_event("recording_imported", IMPORT_S, recordings=["r3"])
    wait_for(lambda: s3.keys(bucket) == keys_of("r3", "published"), 60, "r2 is deleted")


def tree(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.parts)
    }


def test_recordings_are_moved_and_back(
    appliance: ApplianceProcess, proxy: FaultyProxy, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    for record_id in ("m1", "m2"):
        deliver(appliance, tmp_path, record_id)
        appliance.wait_event("recording_imported", IMPORT_S, recordings=[record_id])
    appliance.front.get("publishRecordings", recordID="m2", publish="false")
    before = s3.keys(bucket)
    assert keys_of("m1", "published") | keys_of("m2", "unpublished") <= before
    move = ("recordings", "move", "--to")

    dry = appliance.ctl(*move, "disk", "--all", "--dry-run")
    assert (dry.returncode, s3.keys(bucket)) == (0, before)
    assert {"m1", "m2"} <= set(dry.stdout.splitlines())
    proxy.fault = "503 SlowDown"
    failed = appliance.ctl(*move, "disk", "m1")
    proxy.fault = ""
    assert failed.returncode == 1
    assert "m1" in failed.stderr
    assert "SlowDown" in failed.stderr
    assert s3.keys(bucket) == before

    done = appliance.ctl(*move, "disk", "--all")
    assert (done.returncode, done.stderr) == (0, "")
    assert {"m1", "m2"} <= set(done.stdout.splitlines())
    assert s3.keys(bucket) == set()
    published = tree(appliance.directory("publish"))
    assert (
        published["presentation/m1/video/webcams.webm"]
        == FILES["presentation"]["video/webcams.webm"]
    )
    assert "presentation/m2/1.svg" in tree(appliance.directory("unpublish"))
    assert ask(appliance, "/presentation/m1/video/webcams.webm").status == 200
    assert ask(appliance, "/presentation/m2/1.svg").status == 404

    back = appliance.ctl(*move, "s3", "m1", "m2", "--json")
    assert (back.returncode, json.loads(back.stdout)["count"]) == (0, 2)
    assert keys_of("m1", "published") | keys_of("m2", "unpublished") <= s3.keys(bucket)
    assert tree(appliance.directory("publish")) == {
        name: content for name, content in published.items() if "/m1/" not in name
    }
    unknown = appliance.ctl(*move, "s3", "nobody")
    assert (unknown.returncode, "nobody: no such recording" in unknown.stderr) == (1, True)
    assert appliance.ctl(*move, "s3").returncode == 2


def test_doctor_and_takeover_check_look_at_the_bucket(
    appliance: ApplianceProcess, proxy: FaultyProxy, s3: S3Server, bucket: str, tmp_path: Path
) -> None:
    deliver(appliance, tmp_path, "checked-one")
    appliance.wait_event("recording_imported", IMPORT_S, recordings=["checked-one"])
    s3.client.put_object(Bucket=bucket, Key="published/video/stranger/video.webm", Body=b"x")
    healthy = appliance.control.post("doctor", {})
    checks = {one["check"]: one["level"] for one in healthy["findings"]}
    assert checks[f"bucket {bucket}"] == "ok"
    assert not any(".appliance-check" in key for key in s3.keys(bucket))
    check = appliance.ctl("takeover", "check", "--json")
    assert "published/video/stranger" in check.stdout
    assert "checked-one" not in check.stdout

    proxy.fault = "403 InvalidAccessKeyId"
    broken = appliance.ctl("doctor")
    proxy.fault = ""
    assert broken.returncode == 1
    assert f"bucket {bucket}" in broken.stdout
    assert "InvalidAccessKeyId" in broken.stdout
    s3.client.delete_object(Bucket=bucket, Key="published/video/stranger/video.webm")
