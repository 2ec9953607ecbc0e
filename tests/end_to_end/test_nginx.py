"""Recordings behind the real nginx with the site that we ship: it sends, the appliance decides."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import pytest

from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.nginx import HOST, Nginx, run_nginx, serve_site
from tests.doubles.player_build import ADDRESS, player_files
from tests.doubles.ports import free_port
from tests.doubles.raw_http import Authority
from tests.doubles.recording_tars import recording_tar

VIDEO = bytes(range(256)) * 8000
FORMATS = {"video": {"video.webm": VIDEO}, "presentation": {"index.html": b"<p>slides"}}
IMPORT_S = 60.0
PLAYED = "/video/rec-1/video.webm"


@pytest.fixture(scope="module")
def appliance(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[ApplianceProcess]:
    root = tmp_path_factory.mktemp("nginx")
    with ApplianceProcess(
        root,
        POLL_INTERVAL="600",
        X_ACCEL_REDIRECT="true",
        PROTECTED_RECORDINGS_ENABLED="true",
        PLAYBACK_DIR=str(root / "playback"),
        BBB_CA_FILE=authority.ca_file,
    ) as started:
        yield started


@pytest.fixture(scope="module")
def nginx(appliance: ApplianceProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    root = tmp_path_factory.mktemp("site")
    published = appliance.directory("publish")
    with run_nginx(root / "nginx", appliance.front.port, published=published) as one:
        # Over HTTPS, through nginx, as a BBB server delivers: more than nginx's usual 1 MB.
        with BbbProcess(server_id="bbb1") as bbb:
            words = ("servers", "add", bbb.url, bbb.secret, "--id", "bbb1", "--enable")
            assert appliance.ctl(*words).returncode == 0
            appliance.sensitive.add(bbb.secret)
            tar = recording_tar(root, "rec-1", FORMATS).read_bytes()
            wait_for(lambda: _put(one, bbb, tar) == 201, IMPORT_S, "the upload is taken")
        appliance.wait_event("recording_imported", IMPORT_S, recordings=["rec-1"])
        _protect(appliance, "false")
        yield one


def _put(nginx: Nginx, bbb: BbbProcess, tar: bytes) -> int:
    claims = {"sub": "bbb1", "recordID": "rec-1", "exp": int(time.time()) + 300}
    token = jwt.encode(claims, bbb.secret, "HS256")
    target = "/scalelite/api/recordings/rec-1"
    return nginx.fetch("PUT", target, tar, {"Authorization": f"Bearer {token}"}).status


def _protect(appliance: ApplianceProcess, protected: str) -> None:
    answer = appliance.front.get("updateRecordings", recordID="rec-1", protect=protected)
    assert answer.text("updated") == "true"


def _wait_status(nginx: Nginx, target: str, status: int) -> None:
    # What was read of a recording counts for a second.
    wait_for(lambda: nginx.fetch("HEAD", target).status == status, 40, f"{target} is {status}")


def test_file_is_sent_by_nginx_whole_in_part_and_not_at_all(
    appliance: ApplianceProcess, nginx: Nginx
) -> None:
    _protect(appliance, "false")
    _wait_status(nginx, PLAYED, 200)

    whole = nginx.fetch("GET", PLAYED)
    assert (whole.status, whole.body) == (200, VIDEO)
    assert whole.headers["server"].startswith("nginx")
    assert "x-accel-redirect" not in whole.headers
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = nginx.fetch("GET", PLAYED, headers={"Range": "bytes=1000-1999"})
    assert (part.status, part.body) == (206, VIDEO[1000:2000])
    assert part.headers["content-range"] == f"bytes 1000-1999/{len(VIDEO)}"
    again = nginx.fetch("GET", PLAYED, headers={"If-None-Match": whole.headers["etag"]})
    assert (again.status, again.body) == (304, b"")
    directory = nginx.fetch("GET", "/presentation/rec-1/")
    assert (directory.status, directory.body) == (200, b"<p>slides")


def test_request_id_is_of_nginx_and_not_of_its_client(
    appliance: ApplianceProcess, nginx: Nginx
) -> None:
    answer = nginx.fetch("GET", "/bigbluebutton/api", headers={"X-Request-ID": "of-a-client"})

    request_id = answer.headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{32}", request_id)
    appliance.wait_event("request", request_id=request_id, call="index")


@pytest.mark.parametrize(
    "target",
    [
        "/static-resource/video/rec-1/video.webm",
        "/video/rec-1/none.webm",
        "/video/rec-2/video.webm",
        "/video/rec-1/../../../../etc/passwd",
        "/video/rec-1/%2e%2e/%2e%2e/video/rec-1/video.webm",
        "/video/rec-1/..%2f..%2fvideo%2frec-1%2fvideo.webm",
        "/other/rec-1/video.webm",
    ],
)
def test_what_is_not_there_or_not_meant_is_404(nginx: Nginx, target: str) -> None:
    reply = nginx.fetch("GET", target)

    assert reply.status in (400, 404)
    assert VIDEO[:256] not in reply.body


def test_links_are_https_and_protected_ones_open_once(
    appliance: ApplianceProcess, nginx: Nginx
) -> None:
    _protect(appliance, "true")
    _wait_status(nginx, PLAYED, 404)
    listed = nginx.fetch("GET", appliance.front.target("getRecordings", {"recordID": "rec-1"}))
    start = listed.body.index(f"https://{HOST}/recording/rec-1/video?token=".encode())
    url = urlsplit(listed.body[start : listed.body.index(b"<", start)].decode().strip("]> \n"))
    link = f"{url.path}?{url.query}"

    opened = nginx.fetch("GET", link)

    assert opened.status == 307
    cookie = opened.headers["set-cookie"]
    assert "Secure" in cookie
    appliance.sensitive.update(
        {url.query.partition("=")[2], cookie.partition(";")[0].partition("=")[2]}
    )
    assert nginx.fetch("GET", link).status == 404
    played = nginx.fetch("GET", PLAYED, headers={"Cookie": cookie.partition(";")[0]})
    assert (played.status, played.body) == (200, VIDEO)


def test_plain_page_is_shown_through_nginx_with_the_rights_of_the_files(
    appliance: ApplianceProcess, nginx: Nginx
) -> None:
    page, below = "/playback/presentation/2.3/rec-1", "/presentation/rec-1/playback.html"
    _protect(appliance, "false")
    _wait_status(nginx, page, 200)
    for target in (page, below):
        shown = nginx.fetch("GET", target)
        assert (shown.status, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert b"<title>A meeting</title>" in shown.body
        assert "default-src 'none'" in shown.headers["content-security-policy"]
    assets = re.findall(rb'"(/playback/plain/[^"]+)"', shown.body)
    types = [nginx.fetch("GET", one.decode()).headers["content-type"] for one in assets]
    assert types == ["text/css; charset=utf-8"] + 2 * ["text/javascript; charset=utf-8"]

    _protect(appliance, "true")
    _wait_status(nginx, page, 404)
    assert nginx.fetch("GET", below).status == 404
    links = appliance.front.get("getRecordings", recordID="rec-1").xml.iterfind(".//format")
    urls = {one.findtext("type"): one.findtext("url") or "" for one in links}
    link = urlsplit(urls["presentation"])
    opened = nginx.fetch("GET", f"{link.path}?{link.query}")
    assert (opened.status, opened.headers["location"]) == (307, below)
    cookie = opened.headers["set-cookie"].partition(";")[0]
    appliance.sensitive.update({link.query.partition("=")[2], cookie.partition("=")[2]})
    for target in (page, below):
        assert nginx.fetch("GET", target, headers={"Cookie": cookie}).status == 200


def test_link_that_leads_out_of_the_recording_is_not_followed(
    appliance: ApplianceProcess, nginx: Nginx
) -> None:
    _protect(appliance, "false")
    _wait_status(nginx, PLAYED, 200)
    published = appliance.directory("publish")
    (published / "video" / "rec-1" / "leak").symlink_to(published.parent / "appliance.log")

    assert nginx.fetch("GET", "/video/rec-1/leak").status == 404


def test_player_is_installed_from_a_server_with_a_certificate_of_a_private_authority(
    appliance: ApplianceProcess, authority: Authority, tmp_path: Path
) -> None:
    files = player_files()
    for name, content in files.items():
        path = tmp_path / "www" / ADDRESS.strip("/") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    port = free_port()
    site = (
        f"server {{ listen 127.0.0.1:{port} ssl; ssl_certificate {authority.certificate};"
        f" ssl_certificate_key {authority.key}; root {tmp_path}/www; }}\n"
    )
    with serve_site(tmp_path, site, port):
        for host, trusted in (("127.0.0.1", False), ("localhost", True)):
            url, name = f"https://{host}:{port}/bigbluebutton/api", f"at-{host}"
            assert appliance.ctl("servers", "add", url, "s" * 40, "--id", name).returncode == 0
            done = appliance.ctl("recordings", "player", "install", name)
            assert (done.returncode == 0) is trusted, done.stderr
            assert trusted or "certificate" in done.stderr.lower(), done.stderr
            assert appliance.ctl("servers", "remove", name, "--force").returncode == 0
    installed = Path(appliance.environ["PLAYBACK_DIR"]) / "presentation/2.3"
    assert {name: (installed / name).read_bytes() for name in files} == files
