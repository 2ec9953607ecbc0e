"""The files of BBB's player, and the names that they may have. Pure.

The player (bbb-playback) is built by create-react-app: an index.html, an asset-manifest.json that
names the scripts, styles, fonts and images of the build, and files of its own that only index.html
or a style sheet names. Newer packages add `bbb-playback-version`, a line of text. A BBB server's
nginx answers what is not there with index.html and 200.

Source: bbb-playback (public/index.html, deploy.sh, playback.nginx), and what its build writes; CSS
Values and Units 4, 4.5 (url()).
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

PLAYER_PATH = "presentation/2.3"
"""Below PLAYBACK_DIR."""
ADDRESS = f"/playback/{PLAYER_PATH}/"
INDEX, MANIFEST, VERSION_FILE = "index.html", "asset-manifest.json", "bbb-playback-version"
LICENSE = ".LICENSE.txt"
"""Follows the name of a script."""
MAX_FILES = 2000
"""The build of bbb-playback 5.1 has 42."""
MAX_FILE_BYTES = 64 << 20
MAX_BYTES = 256 << 20
"""Of all files; that build has 19 MB, its source maps included."""

_MAX_NAME_BYTES, _MAX_DEPTH = 200, 16
_OPTIONAL = (".map", LICENSE)
"""Names of files that browsers do without; a packager may leave them out."""
_IN_LINE = ("data:", "blob:", "about:", "#")
_CSS_URL = re.compile(
    r"""(?:url\(\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|([^\s"'()\\]*))\s*\)"""
    r"""|@import\s+(?:"([^"]*)"|'([^']*)'))""",
    re.IGNORECASE | re.DOTALL,
)
_VERSION = re.compile(r"v?([0-9]{1,6}(?:\.[0-9]{1,6}){0,3}[0-9A-Za-z.+~-]{0,40})").fullmatch


class UnusablePlayer(Exception):
    """These files are not a player, or not one that is taken; `str()` is a line for the operator.

    Texts of the files are quoted by repr.
    """


@dataclass(frozen=True, slots=True)
class PlayerBuild:
    """Which build of the player something is; what is not known is empty or None."""

    version: str = ""
    build: str = ""
    """Name of the main script, which has a hash of its content."""
    built_ms: int | None = None
    """When its files were made, in milliseconds since the epoch."""

    def __str__(self) -> str:
        return self.version or self.build or "of unknown version"


def is_older(one: PlayerBuild, other: PlayerBuild) -> bool:
    """Whether a build is older than another: by version, else by the time of different builds."""
    if one.version and other.version:
        return _order(one.version) < _order(other.version)
    if one.build == other.build or one.built_ms is None or other.built_ms is None:
        return False
    return one.built_ms < other.built_ms


def _order(version: str) -> tuple[tuple[int, ...], int, tuple[tuple[int, str], ...]]:
    """Return a sort key: 5.1.0-beta.2 before 5.1.0-rc.1 before 5.1.0 before 5.1.10."""
    numbers, dash, rest = re.sub(r"\+.*", "", version).partition("-")
    parts = [int(part) for part in re.findall(r"[0-9]+", numbers)]
    while parts and not parts[-1]:
        parts.pop()
    words = tuple((int(word or 0), text) for word, text in re.findall(r"([0-9]+)|([a-z]+)", rest))
    return tuple(parts), 0 if dash else 1, words


def parse_version(content: bytes) -> str:
    """Return the version in the file of that name; empty: it holds none."""
    found = _VERSION(content[:100].decode("utf-8", "replace").strip())
    return found[1] if found else ""


def parse_manifest(content: bytes) -> tuple[list[str], str]:
    """Return the names of a manifest's files, and the build. Raises UnusablePlayer."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise UnusablePlayer(f"{MANIFEST} is not JSON") from None
    if not isinstance(document, dict):
        raise UnusablePlayer(f"{MANIFEST} is not an object")
    named = document.get("files", document)
    entries = document.get("entrypoints", [])
    values = [
        *(named.values() if isinstance(named, dict) else [None]),
        *(entries if isinstance(entries, list) else [None]),
    ]
    references = [value for value in values if isinstance(value, str)]
    if len(references) < len(values) or not references:
        raise UnusablePlayer(f"{MANIFEST} does not name the files as create-react-app does")
    names = [name for one in references if (name := resolve(one, MANIFEST))]
    scripts = [base for name in names if (base := posixpath.basename(name)).endswith(".js")]
    main = next(
        (base for base in scripts if base.startswith("main.")), scripts[0] if scripts else ""
    )
    return list(dict.fromkeys(names)), main


def parse_page(content: bytes) -> list[str]:
    """Return the names of the files that index.html loads. Raises UnusablePlayer."""
    page = _Page()
    page.feed(content.decode("utf-8", "replace"))
    page.close()
    return [name for one in page.references if (name := resolve(one, INDEX))]


def parse_style_sheet(content: bytes, name: str) -> list[str]:
    """Return the names of the files that a style sheet loads. Raises UnusablePlayer."""
    found = _CSS_URL.finditer(content.decode("utf-8", "replace"))
    references = (next((part for part in one.groups() if part is not None), "") for one in found)
    return [path for one in references if (path := resolve(one, name))]


def resolve(reference: str, name: str) -> str | None:
    """Return the name of the file that another one refers to; None: it is a part of that one.

    `name` is of the file that contains the reference; both names are paths below the player's
    directory. Raises UnusablePlayer: it leads out of the directory.
    """
    given = reference.strip()
    if not given or given.lower().startswith(_IN_LINE):
        return None
    try:
        parts = urlsplit(given)
        path = unquote(parts.path, errors="strict")
    except (ValueError, UnicodeDecodeError):
        raise _leads_out(reference, name) from None
    if parts.scheme or parts.netloc or not given.isprintable() or given.startswith("//"):
        raise _leads_out(reference, name)
    if not path:
        return None
    inside = path.removeprefix(ADDRESS) if path.startswith(ADDRESS) else None
    if inside is None and path.startswith("/"):
        raise _leads_out(reference, name)
    names = list(_walk(posixpath.dirname(name) if inside is None else "", inside or path))
    found = "/".join(names)
    if not is_safe_name(found):
        raise _leads_out(reference, name)
    return found


def _walk(start: str, path: str) -> Iterator[str]:
    """Yield the names of a path after its dots are followed; `..` alone: it leads out."""
    names = start.split("/") if start else []
    for part in path.split("/"):
        if part == "..":
            if not names:
                yield ".."
                return
            names.pop()
        elif part != ".":
            names.append(part)
    yield from names


def is_safe_name(name: str) -> bool:
    """Whether a file of the player may have this name, a path below its directory."""
    parts = name.split("/")
    return (
        name.isprintable()
        and "\\" not in name
        and len(parts) <= _MAX_DEPTH
        and all(part and not part.startswith(".") for part in parts)
        and all(len(part.encode("utf-8", "replace")) <= _MAX_NAME_BYTES for part in parts)
    )


def is_optional(name: str) -> bool:
    """Whether the player works without a file that its manifest names."""
    return name.endswith(_OPTIONAL)


def _leads_out(reference: str, name: str) -> UnusablePlayer:
    shown = reference if len(reference) <= 80 else f"{reference[:80]}…"
    return UnusablePlayer(f"{name} refers to {shown!r}, outside the player's directory")


class _Page(HTMLParser):
    """Collects what a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take `src` of everything, and `href` of links in the head."""
        given = dict(attrs)
        for key in ("src", "href") if tag == "link" else ("src",):
            if given.get(key):
                self.references.append(str(given[key]))
