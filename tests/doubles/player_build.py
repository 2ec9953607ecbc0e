"""A build of BBB's player: the layout, names and manifest of bbb-playback 5.1, with little in it.

Source: `npm run-script build` of bbb-playback 5.1.3, and the nginx of a BBB server, which answers
what is not there with index.html.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from appliance.http.content_types import content_type_of
from tests.doubles.bbb_process import BbbProcess

ADDRESS = "/playback/presentation/2.3/"
MAIN = "main.e40eafae.js"
FONT = "static/media/icons.1bec0e9d85cafacc4f90.woff"
MODIFIED = "Mon, 21 Oct 2024 14:15:38 GMT"


def player_files(version: str = "5.1.3", **changes: bytes | None) -> dict[str, bytes]:
    """Return the files of a build by name; `version` empty: as packages before had them.

    `changes` are files with `__` in place of dots and `_S_` in place of slashes; None: left out.
    """
    manifest = {
        "files": {
            "main.css": f"{ADDRESS}static/css/main.0bc52097.css",
            "main.js": f"{ADDRESS}static/js/{MAIN}",
            "static/media/icons.woff": f"{ADDRESS}{FONT}",
            "index.html": f"{ADDRESS}index.html",
            "main.0bc52097.css.map": f"{ADDRESS}static/css/main.0bc52097.css.map",
            f"{MAIN}.map": f"{ADDRESS}static/js/{MAIN}.map",
        },
        "entrypoints": ["static/css/main.0bc52097.css", f"static/js/{MAIN}"],
    }
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"/>'
        f'<link rel="icon" href="{ADDRESS}favicon.ico"/>'
        f'<link href="{ADDRESS}styles/video-js.min.css" rel="stylesheet"/>'
        f'<link rel="manifest" href="{ADDRESS}manifest.json"/><title>Playback</title>'
        f'<script defer="defer" src="{ADDRESS}static/js/{MAIN}"></script>'
        f'<link href="{ADDRESS}static/css/main.0bc52097.css" rel="stylesheet"></head>'
        '<body><div id="root"></div></body></html>'
    )
    style = (
        f"@font-face{{font-family:icons;src:url({ADDRESS}{FONT}?x#iefix)}}"
        ".logo{background:url('../media/logo.874db01bcc20deeccee9.png')}"
        ".shape{background:url('data:image/svg+xml,<svg filter=\"url(%23shadow)\"/>')}"
    )
    files: dict[str, bytes] = {
        "index.html": page.encode(),
        "asset-manifest.json": json.dumps(manifest).encode(),
        "favicon.ico": b"\0\0\1\0",
        "manifest.json": b'{"short_name": "Playback"}',
        "styles/video-js.min.css": b"@font-face{src:url(data:font/woff;base64,d09GRg==)}",
        "static/css/main.0bc52097.css": style.encode(),
        "static/css/main.0bc52097.css.map": b"{}",
        f"static/js/{MAIN}": b"document.title='Playback'",
        f"static/js/{MAIN}.map": b"{}",
        f"static/js/{MAIN}.LICENSE.txt": b"MIT",
        FONT: b"wOFF",
        "static/media/logo.874db01bcc20deeccee9.png": b"\x89PNG",
    }
    if version:
        files["bbb-playback-version"] = f"{version}\n".encode()
    for name, content in changes.items():
        path = name.replace("_S_", "/").replace("__", ".")
        if content is None:
            del files[path]
        else:
            files[path] = content
    return files


def write_player(directory: Path, files: Mapping[str, bytes] | None = None) -> Path:
    """Write a build into a directory."""
    for name, content in (player_files() if files is None else files).items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return directory


def serve_player(
    bbb: BbbProcess, files: Mapping[str, bytes] | None = None, *, status: int = 200
) -> None:
    """Have a simulated server serve a build as nginx does; `status`: of all but index.html."""
    found = player_files() if files is None else files
    pages = {
        f"{ADDRESS}{name}": [
            200 if name == "index.html" else status,
            content_type_of(name),
            base64.b64encode(content).decode(),
            [["Last-Modified", MODIFIED]],
        ]
        for name, content in found.items()
    }
    if "index.html" in found:
        pages[f"{ADDRESS}*"] = pages[f"{ADDRESS}index.html"]
    bbb.control("serve_pages", pages)
