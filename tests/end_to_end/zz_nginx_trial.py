"""Playback behind nginx, Debian's, with the site file that we ship: X_ACCEL_REDIRECT."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.appliance_client import Answer, FrontEnd
from tests.doubles.appliance_process import ROOT, ApplianceProcess, wait_for
from tests.doubles.recording_tars import recording_tar

SITE = ROOT / "config/nginx/scalelite-appliance.conf"
VIDEO = bytes(range(256)) * 4000
FILES = {"video.webm": VIDEO, "index.html": b"index", "ä b%41.txt": b"odd"}
IMPORT_S = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def site(port: int, appliance_port: int, published: Path) -> str:
    """Return our site file, on a loopback port and without TLS."""
    lines = [
        line
        for line in SITE.read_text().splitlines()
        if "ssl_certificate" not in line and "listen [" not in line
    ]
    text = "\n".join(lines)
    for ours, tests in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port}"),
        ("server 127.0.0.1:3000", f"server 127.0.0.1:{appliance_port}"),
        ("/var/bigbluebutton/published", str(published)),
    ):
        assert ours in text
        text = text.replace(ours, tests)
    return text


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApplianceProcess]:
    root = tmp_path_factory.mktemp("behind-nginx")
    variables = {"POLL_INTERVAL": "600", "X_ACCEL_REDIRECT": "true"}
    with ApplianceProcess(root, **variables) as started:
        tar = recording_tar(root, "rec-1", {"video": FILES, "podcast": {"a.ogg": b"ogg"}})
        os.replace(tar, Path(started.environ["RECORDING_SPOOL_DIR"]) / "rec-1.tar")
        started.wait_event("recording_imported", IMPORT_S, recordings=["rec-1"])
        yield started


@pytest.fixture(scope="module")
def nginx(
    appliance: ApplianceProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FrontEnd]:
    root = tmp_path_factory.mktemp("nginx")
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:" + os.environ.get("PATH", ""))
    assert program is not None, "Debian's package nginx is needed"
    port = free_port()
    published = Path(appliance.environ["RECORDING_PUBLISH_DIR"])
    (root / "site.conf").write_text(site(port, appliance.front.port, published))
    paths = "".join(
        f"{name}_temp_path {root / name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    (root / "nginx.conf").write_text(
        f"{user}daemon off;\npid {root / 'pid'};\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{paths}include {root / 'site.conf'};\n}}\n"
    )
    log = (root / "log").open("wb")
    command = ["setpriv", "--pdeathsig", "TERM", "--", program, "-p", str(root), "-e", "stderr"]
    with subprocess.Popen([*command, "-c", str(root / "nginx.conf")], stderr=log) as process:
        front = FrontEnd(port, appliance.front.secret)

        def is_up() -> bool:
            assert process.poll() is None, (root / "log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        wait_for(is_up, 10, "nginx listens")
        yield front
        process.terminate()
        assert process.wait(10) == 0
    log.close()


def get(nginx: FrontEnd, target: str, **headers: str) -> Answer:
    return nginx.fetch("GET", target, headers=headers)


def test_nginx_sends_the_files(nginx: FrontEnd) -> None:
    for target, content, content_type in (
        ("/video/rec-1/video.webm", VIDEO, "video/webm"),
        ("/video/rec-1/", b"index", "text/html; charset=utf-8"),
        ("/video/rec-1/%C3%A4%20b%2541.txt", b"odd", "text/plain; charset=utf-8"),
        ("/podcast/rec-1/a.ogg", b"ogg", "audio/ogg"),
    ):
        answer = get(nginx, target)
        assert (answer.status, answer.body) == (200, content), target
        assert answer.headers["content-type"] == content_type
        assert "x-accel-redirect" not in answer.headers
        head = nginx.fetch("HEAD", target)
        assert (head.status, head.headers["content-length"]) == (200, str(len(content)))
    assert get(nginx, "/podcast/rec-1/a.ogg").headers["content-disposition"] == "attachment"


def test_nginx_answers_ranges_and_conditions(nginx: FrontEnd) -> None:
    part = get(nginx, "/video/rec-1/video.webm", Range="bytes=-100")
    assert (part.status, part.body) == (206, VIDEO[-100:])
    tag = part.headers["etag"]
    assert get(nginx, "/video/rec-1/video.webm", **{"If-None-Match": tag}).status == 304


def test_nginx_gives_nothing_that_the_appliance_refuses(
    nginx: FrontEnd, appliance: ApplianceProcess
) -> None:
    published = Path(appliance.environ["RECORDING_PUBLISH_DIR"])
    for target in (
        "/static-resource/video/rec-1/video.webm",
        "/video/rec-1/..%2f..%2fvideo/rec-1/video.webm",
        "/video/rec-1/%2e%2e/rec-1/video.webm%00",
        "/video/unknown/video.webm",
        "/video/rec-1/absent",
    ):
        assert get(nginx, target).status in (400, 404), target
    assert b"<h1>Recording Not Found" in get(nginx, "/video/rec-1/absent").body
    (published / "video" / "rec-1" / "far").symlink_to("/etc/hostname")
    os.lchown(published / "video" / "rec-1" / "far", 12345, 12345)
    assert get(nginx, "/video/rec-1/far").status == 404
    (published / "stray").write_text("stray")
    assert get(nginx, "/stray").status == 404


def test_nginx_asks_for_the_cookie_each_time(nginx: FrontEnd, appliance: ApplianceProcess) -> None:
    file = "/video/rec-1/video.webm"
    answer = nginx.get("updateRecordings", recordID="rec-1", protect="true")
    assert answer.text("updated") == "true"
    wait_for(lambda: get(nginx, file).status == 404, 5, "the file is protected")
    url = nginx.get("getRecordings").text(".//format[type='video']/url")
    assert url.startswith("http://127.0.0.1:")
    opened = get(nginx, "/" + url.split("/", 3)[3])
    cookie = opened.headers["set-cookie"].partition(";")[0]
    appliance.sensitive.add(cookie)
    assert get(nginx, file, Cookie=cookie).body == VIDEO
    assert get(nginx, file).status == 404
