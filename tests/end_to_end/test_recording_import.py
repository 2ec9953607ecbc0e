"""Recordings from a BBB server's disk into the pool: the real script, the real process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.appliance_process import ROOT, ApplianceProcess, wait_for
from tests.doubles.recording_tars import metadata_xml, recording_tar, write_format

SCRIPT = ROOT / "config/bbb/scalelite_appliance.py"
SECRET = "secret-of-the-bbb-server-" + "y" * 20
FORMATS = {"video": {"video.webm": b"v" * 300_000}, "presentation": {"1.svg": b"<svg/>"}}
IMPORT_S = 60.0


@pytest.fixture(scope="module")
def appliance(
    both_stores: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApplianceProcess]:
    root = tmp_path_factory.mktemp("recordings")
    with ApplianceProcess(root, **both_stores, POLL_INTERVAL="600") as started:
        started.sensitive.add(SECRET)
        server = {"url": "https://127.0.0.1:9/bigbluebutton/api", "secret": SECRET}
        started.control.post("addServer", {"server": server})
        yield started


def deliver(
    appliance: ApplianceProcess, bbb: Path, record_id: str, target: str, secret: str = SECRET
) -> subprocess.CompletedProcess[str]:
    """Run the script as BBB does after publishing a recording."""
    assert appliance.spool.is_dir()  # without it an upload is put off
    for format, files in FORMATS.items():
        text = metadata_xml(record_id, format)
        write_format(bbb / "published", record_id, format, files, text)
    properties = "bigbluebutton.web.serverURL=https://127.0.0.1\nsecuritySalt=" + secret
    (bbb / "bbb-web.properties").write_text(properties)
    (bbb / "appliance.conf").write_text(
        f"[appliance]\n{target}\npublished = {bbb / 'published'}\nqueue = {bbb / 'queue'}\n"
        f"properties = {bbb / 'bbb-web.properties'}\ntries = 2\npause_s = 0.01\n"
    )
    command = [sys.executable, str(SCRIPT), "--config", str(bbb / "appliance.conf")]
    return subprocess.run(
        [*command, "-m", record_id, "-f", "video"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def url_of(appliance: ApplianceProcess) -> str:
    return f"url = http://127.0.0.1:{appliance.front.port}"


def wait_imported(appliance: ApplianceProcess, record_id: str) -> None:
    published = appliance.directory("publish")
    appliance.wait_event("recording_imported", IMPORT_S, recordings=[record_id])
    for format, files in FORMATS.items():
        for name, content in files.items():
            assert (published / format / record_id / name).read_bytes() == content
    spool = appliance.spool
    wait_for(lambda: f"{record_id}.tar" not in os.listdir(spool), 40, "the tar is removed")


def test_recording_is_uploaded_and_imported(appliance: ApplianceProcess, tmp_path: Path) -> None:
    done = deliver(appliance, tmp_path, "by-http", url_of(appliance))
    assert (done.returncode, done.stderr) == (0, "")
    wait_imported(appliance, "by-http")
    assert [path.name for path in (tmp_path / "queue").glob("*.tar")] == []


def test_recording_is_handed_over_by_mount_and_imported(
    appliance: ApplianceProcess, tmp_path: Path
) -> None:
    done = deliver(appliance, tmp_path, "by-mount", f"spool = {appliance.spool}")
    assert (done.returncode, done.stderr) == (0, "")
    wait_imported(appliance, "by-mount")


def test_recording_that_is_not_accepted_is_kept_and_sent_later(
    appliance: ApplianceProcess, tmp_path: Path
) -> None:
    done = deliver(appliance, tmp_path, "kept", url_of(appliance), secret="z" * 40)
    assert done.returncode == 1
    assert "HTTP 401" in done.stderr
    done = deliver(appliance, tmp_path, "kept2", "url = http://127.0.0.1:9")
    assert done.returncode == 1
    assert {path.name for path in (tmp_path / "queue").glob("*.tar")} == {"kept.tar", "kept2.tar"}
    assert deliver(appliance, tmp_path, "kept3", url_of(appliance)).returncode == 0
    assert [path.name for path in (tmp_path / "queue").glob("*.tar")] == []
    for record_id in ("kept", "kept2", "kept3"):
        wait_imported(appliance, record_id)


def test_hostile_tar_beside_a_good_one_harms_nobody(
    appliance: ApplianceProcess, tmp_path: Path
) -> None:
    spool = appliance.spool
    (spool / "bad.tar").write_bytes(b"\0" * 100)
    tar = recording_tar(tmp_path, "good", FORMATS)
    os.replace(tar, tmp_path / "good.moved")
    (spool / ".good").write_bytes((tmp_path / "good.moved").read_bytes())
    (spool / ".good").rename(spool / "good.tar")
    wait_imported(appliance, "good")
    appliance.wait_event("recording_import_failed", IMPORT_S, file="bad.tar")
    (spool / "bad.tar").unlink()
