"""Recordings from the spool to the viewer, on private stores, with the requests of a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.doubles.appliance_client import Answer
from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.recording_tars import recording_tar

VIDEO = bytes(range(256)) * 4000
FORMATS = {"video": {"video.webm": VIDEO}, "presentation": {"1.svg": b"<svg/>"}}
IMPORT_S = 60.0


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApplianceProcess]:
    root = tmp_path_factory.mktemp("playback")
    variables = {
        "POLL_INTERVAL": "600",
        "PLAYBACK_DIR": str(root / "playback"),
        "PROTECTED_RECORDINGS_ENABLED": "true",
    }
    (root / "playback" / "presentation" / "2.3").mkdir(parents=True)
    (root / "playback" / "presentation" / "2.3" / "index.html").write_text("the player")
    with ApplianceProcess(root, **variables) as started:
        import_recording(started, root, "rec-1")
        yield started


def import_recording(appliance: ApplianceProcess, directory: Path, record_id: str) -> None:
    """Put a recording's tar into the spool and wait for the import."""
    tar = recording_tar(directory, record_id, FORMATS)
    spool = appliance.spool
    (spool / ".moving").write_bytes(tar.read_bytes())
    (spool / ".moving").rename(spool / f"{record_id}.tar")
    appliance.wait_event("recording_imported", IMPORT_S, recordings=[record_id])


def get(appliance: ApplianceProcess, target: str, **headers: str) -> Answer:
    return appliance.front.fetch("GET", target, headers=headers)


def links(appliance: ApplianceProcess) -> dict[str, str]:
    """Return path and query of the link to each format, as getRecordings gives them."""
    found = {}
    for one in appliance.front.get("getRecordings").xml.iterfind(".//format"):
        url = urlsplit(one.findtext("url") or "")
        found[one.findtext("type") or ""] = url.path + (f"?{url.query}" if url.query else "")
    return found


def protect(appliance: ApplianceProcess, protected: str) -> None:
    answer = appliance.front.get("updateRecordings", recordID="rec-1", protect=protected)
    assert answer.text("updated") == "true"


def test_protected_recording_is_played_with_the_link_of_get_recordings(
    appliance: ApplianceProcess,
) -> None:
    protect(appliance, "true")
    refused = get(appliance, "/video/rec-1/video.webm")
    assert refused.status == 404
    link = links(appliance)["video"]
    assert link.startswith("/recording/rec-1/video?token=")
    opened = get(appliance, link)
    assert (opened.status, opened.location) == (307, "/playback/video/2.3/rec-1")
    assert get(appliance, link).status == 404
    cookie = opened.headers["set-cookie"].partition(";")[0]
    played = get(appliance, "/video/rec-1/video.webm", Cookie=cookie, Range="bytes=-300")
    assert (played.status, played.body) == (206, VIDEO[-300:])
    whole = get(appliance, "/video/rec-1/video.webm", Cookie=cookie)
    assert (whole.status, whole.body) == (200, VIDEO)
    appliance.sensitive.update({link.partition("=")[2], cookie.partition("=")[2]})


def test_cookie_opens_the_recording_after_a_restart(appliance: ApplianceProcess) -> None:
    protect(appliance, "true")
    opened = get(appliance, links(appliance)["presentation"])
    cookie = opened.headers["set-cookie"].partition(";")[0]
    secret = appliance.state_dir / "secret_key_base"
    assert secret.stat().st_mode & 0o777 == 0o600
    appliance.sensitive.add(secret.read_text().strip())

    assert appliance.terminate() == 0
    appliance.start()

    file = "/presentation/rec-1/1.svg"
    # The appliance is ready before its database is.
    wait_for(lambda: get(appliance, file, Cookie=cookie).status != 503, 40, "the database is up")
    played = get(appliance, file, Cookie=cookie)
    assert (played.status, played.body) == (200, b"<svg/>")


def test_player_and_its_files_are_served(appliance: ApplianceProcess) -> None:
    # Imported as protected, since the feature is on.
    protect(appliance, "false")
    link = links(appliance)["presentation"]
    assert link == "/playback/presentation/2.3/rec-1"
    assert get(appliance, link).body == b"the player"
    file = "/video/rec-1/metadata.xml"
    # What was read of a recording counts for a second.
    wait_for(lambda: get(appliance, file).status == 200, 40, "the file can be seen")
    metadata = get(appliance, file)
    assert metadata.headers["content-type"] == "text/xml; charset=utf-8"
