"""Names of the files of BBB's player: those of a real build, and those that lead elsewhere."""

from __future__ import annotations

import json

import pytest

from appliance.recordings.player.files import (
    UnusablePlayer,
    parse_manifest,
    parse_page,
    parse_style_sheet,
    parse_version,
    resolve,
)
from tests.doubles.player_build import FONT, MAIN, player_files

FILES = player_files()


def test_build_names_its_files() -> None:
    names, build = parse_manifest(FILES["asset-manifest.json"])
    page = parse_page(FILES["index.html"])
    style = parse_style_sheet(FILES["static/css/main.0bc52097.css"], "static/css/main.css")

    assert build == MAIN
    own = {"asset-manifest.json", "bbb-playback-version", "index.html"}
    own.add(f"static/js/{MAIN}.LICENSE.txt")
    assert own | {*names, *page, *style} == set(FILES)
    assert style == [FONT, "static/media/logo.874db01bcc20deeccee9.png"]


@pytest.mark.parametrize(
    ("reference", "at", "name"),
    [
        ("static/js/main.js", "asset-manifest.json", "static/js/main.js"),
        ("../media/a%20b.woff?v=1#iefix", "static/css/x.css", "static/media/a b.woff"),
        ("./favicon.ico", "index.html", "favicon.ico"),
        ("/playback/presentation/2.3/a/b.js", "static/css/x.css", "a/b.js"),
        ("data:image/png;base64,AA==", "x.css", None),
        ("#shadow", "x.css", None),
        ("?", "x.css", None),
        ("", "x.css", None),
    ],
)
def test_reference_names_a_file(reference: str, at: str, name: str | None) -> None:
    assert resolve(reference, at) == name


@pytest.mark.parametrize(
    "reference",
    [
        *("../x.js", "a/../../x.js", "%2e%2e/x.js", "..%2fx.js", "/etc/passwd", "/playback/x.js"),
        *("/playback/presentation/2.3/../../x.js", "//evil.example/x.js", "\\\\evil\\x.js"),
        *("https://evil.example/x.js", "javascript:alert(1)", "file:///etc/passwd", "http://[x"),
        *(".htaccess", "a/.git/x", "a//b", "a/", "a\\b.js", "a\0b", "a\nb", "%ff", "a" * 300),
        "/".join("a" * 20),
    ],
)
def test_reference_that_leads_elsewhere_is_refused(reference: str) -> None:
    with pytest.raises(UnusablePlayer, match="outside the player's directory"):
        resolve(reference, "index.html")
    with pytest.raises(UnusablePlayer):
        parse_manifest(json.dumps({"files": {"main.js": reference}}).encode())


@pytest.mark.parametrize(
    "content",
    [b"<!doctype html>", b"[]", b"{}", b'{"files": [1]}', b'{"files": {"a": 1}}', b"[" * 100_000],
)
def test_what_is_no_manifest_is_refused(content: bytes) -> None:
    with pytest.raises(UnusablePlayer, match=r"asset-manifest\.json"):
        parse_manifest(content)


@pytest.mark.parametrize(
    ("content", "version"),
    [(b"5.1.3\n", "5.1.3"), (b"v5.0.0-rc.3", "5.0.0-rc.3"), (b"<!doctype html>", ""), (b"", "")],
)
def test_version_is_read(content: bytes, version: str) -> None:
    assert parse_version(content) == version
