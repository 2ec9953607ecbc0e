"""Fetches BBB's player from a BBB server of the pool, and asks servers which one they have.

A server's files are below /playback/presentation/2.3/ of its own scheme and host. Redirects are not
followed, and compression is not asked for. Source: bbb-playback, playback.nginx.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from urllib.parse import quote

import httpx
import trio

from appliance.http.client.dial import Origin, parse_origin
from appliance.http.client.message import Headers
from appliance.http.client.pool import ExchangeLimits, PoolTransport, RawResponse
from appliance.model import Server
from appliance.recordings.player.files import (
    ADDRESS,
    INDEX,
    LICENSE,
    MANIFEST,
    MAX_BYTES,
    MAX_FILE_BYTES,
    MAX_FILES,
    VERSION_FILE,
    PlayerBuild,
    UnusablePlayer,
    is_optional,
    parse_manifest,
    parse_page,
    parse_style_sheet,
    parse_version,
)
from appliance.recordings.player.installation import (
    InstalledPlayer,
    PlayerDirectory,
    check_room,
    discard,
)

INSTALL_S = 300.0
"""For everything."""
ASK_S = 4.0
_LIMITS = ExchangeLimits(10.0, 120.0, MAX_FILE_BYTES)
_SMALL = 4 << 20
"""Of texts that are parsed."""


class PlayerSource:
    """The players of BBB servers."""

    def __init__(self, pool: PoolTransport, now_ms: Callable[[], int]) -> None:
        self._pool = pool
        self._now_ms = now_ms

    async def install(
        self, server: Server, directory: PlayerDirectory, *, limit_s: float = INSTALL_S
    ) -> InstalledPlayer:
        """Install the player of a server.

        Raises UnusablePlayer, httpx.TransportError, OSError; trio.TooSlowError after `limit_s`.
        """
        origin = parse_origin(httpx.URL(server.url))
        staged = await trio.to_thread.run_sync(directory.stage)
        try:
            with trio.fail_after(limit_s):
                download = _Download(self._pool, origin, staged)
                await download.run()
            args = staged, server.id, self._now_ms(), download.built_ms
            return await trio.to_thread.run_sync(directory.put, *args)
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(discard, staged)

    async def ask(self, server: Server, *, limit_s: float = ASK_S) -> PlayerBuild | None:
        """Return which player a server has; None: it has none, or does not answer."""
        with suppress(httpx.HTTPError, httpx.InvalidURL, UnusablePlayer):
            origin = parse_origin(httpx.URL(server.url))
            limits = ExchangeLimits(limit_s, limit_s, _SMALL)
            with trio.move_on_after(limit_s):
                manifest = await _get(self._pool, origin, MANIFEST, limits)
                if manifest.status != 200:
                    return None
                build = parse_manifest(manifest.body)[1]
                answer = await _get(self._pool, origin, VERSION_FILE, limits)
                version = parse_version(answer.body) if answer.status == 200 else ""
                return PlayerBuild(version, build, _modified_ms(manifest.headers))
        return None


async def _get(
    pool: PoolTransport, origin: Origin, name: str, limits: ExchangeLimits
) -> RawResponse:
    target = (ADDRESS + quote(name)).encode()
    return await pool.exchange(origin, "GET", target, limits)


class _Download:
    """One server's player, file by file."""

    def __init__(self, pool: PoolTransport, origin: Origin, staged: Path) -> None:
        self._pool = pool
        self._origin = origin
        self._staged = staged
        self._bytes = 0
        self.built_ms: int | None = None

    async def run(self) -> None:
        """Fetch everything."""
        page = await self._fetch(INDEX)
        manifest = await self._fetch(MANIFEST)
        await self._fetch_version()
        wanted = [*parse_page(page), *parse_manifest(manifest)[0]]
        seen = {INDEX, MANIFEST, VERSION_FILE}
        while wanted:
            name = wanted.pop()
            if name in seen:
                continue
            seen.add(name)
            if len(seen) > MAX_FILES:
                raise UnusablePlayer(f"it has more than {MAX_FILES} files")
            content = await self._fetch(name)
            if name.endswith(".css"):
                wanted += parse_style_sheet(content, name)
            elif name.endswith(".js"):
                wanted.append(f"{name}{LICENSE}")  # which only a comment in the script names

    async def _fetch(self, name: str) -> bytes:
        """Fetch a file, and return it if it is a text that names others."""
        path = self._staged / name
        await trio.to_thread.run_sync(partial(path.parent.mkdir, parents=True, exist_ok=True))
        kept = bytearray()
        keep = name in (INDEX, MANIFEST) or name.endswith(".css")
        async with await trio.open_file(path, "xb") as file:

            async def take(part: bytes | bytearray) -> None:
                self._bytes += len(part)
                if self._bytes > MAX_BYTES:
                    raise UnusablePlayer(f"it has more than {MAX_BYTES >> 20} MiB")
                if keep:
                    kept.extend(part)
                    if len(kept) > _SMALL:
                        raise UnusablePlayer(f"{name} has more than {_SMALL >> 20} MiB")
                await file.write(bytes(part))

            await trio.to_thread.run_sync(check_room, self._staged, 0)
            target = (ADDRESS + quote(name)).encode()
            answer = await self._pool.exchange(self._origin, "GET", target, _LIMITS, take=take)
        if name == MANIFEST:
            self.built_ms = _modified_ms(answer.headers)
        if answer.status == 200 and not _is_page_instead(name, answer.headers):
            return bytes(kept)
        await trio.to_thread.run_sync(path.unlink)
        if is_optional(name) and answer.status in (200, 404):
            return b""
        if answer.status in (200, 404):
            raise UnusablePlayer(f"the server has no {ADDRESS}{name}")
        raise UnusablePlayer(f"the server answered {ADDRESS}{name} with status {answer.status}")

    async def _fetch_version(self) -> None:
        limits = ExchangeLimits(_LIMITS.connect_s, _LIMITS.response_s, _SMALL)
        answer = await _get(self._pool, self._origin, VERSION_FILE, limits)
        if answer.status == 200 and (version := parse_version(answer.body)):
            path = trio.Path(self._staged / VERSION_FILE)
            await path.write_text(f"{version}\n", encoding="ascii")


def _is_page_instead(name: str, headers: Headers) -> bool:
    """Whether nginx answered with index.html, since the file is not there."""
    kinds = [value for field, value in headers if field == b"content-type"]
    is_page = any(value.lower().startswith(b"text/html") for value in kinds)
    return is_page and not name.endswith((".html", ".htm"))


def _modified_ms(headers: Headers) -> int | None:
    for name, value in headers:
        if name == b"last-modified":
            with suppress(ValueError, UnicodeDecodeError, OverflowError):
                found_s = parsedate_to_datetime(value.decode("ascii")).timestamp()
                return round(1000 * found_s) if math.isfinite(found_s) else None
    return None
