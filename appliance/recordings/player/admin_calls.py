"""The admin calls about BBB's player."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import httpx
import trio
from msgspec import Meta

from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import (
    LONG_S,
    AdminCall,
    Answer,
    Audited,
    Call,
    Snapshot,
    Time,
    time_json,
)
from appliance.admin_calls.fields import Fields, NoFields, OptionalText, OptionalWhole
from appliance.admin_calls.refusal import RefusalKind, Refused, no_server
from appliance.model import ServerId
from appliance.recordings.admin_types import Number
from appliance.recordings.deps import RecordingDeps
from appliance.recordings.player.files import UnusablePlayer
from appliance.recordings.player.installation import InstalledPlayer, PlayerDirectory

_SERVER_ID = "3b6c1f5e-54c9-4a44-9d0c-6a4f7c3d2a10"


class InstallPlayerRequest(Fields, frozen=True):
    """installPlayer."""

    server: Annotated[OptionalText, Meta(description="The id of the server that has it.")] = None
    directory: Annotated[
        OptionalText, Meta(description="Of this machine, whose files are passed along as a tar.")
    ] = None
    built: Annotated[
        OptionalWhole,
        Meta(description="When those files were made, in milliseconds since the epoch."),
    ] = None


class PlayerJson(Answer, frozen=True):
    """The player of recordings of the format presentation."""

    installed: bool
    version: Annotated[str, Meta(description="Empty: not known.")]
    build: Annotated[str, Meta(description="Name of its main script. Empty: not known.")]
    source: Annotated[
        str, Meta(description="Server or directory that it came from. Empty: copied by hand.")
    ]
    installed_at: Time
    files: Number
    size: Annotated[Number, Meta(description="Of its files, in bytes.")]
    directory: str


def _directory(deps: RecordingDeps) -> PlayerDirectory:
    return PlayerDirectory(deps.settings.recordings.playback_dir)


def _player_json(deps: RecordingDeps, found: InstalledPlayer | None) -> PlayerJson:
    one = found or InstalledPlayer()
    return PlayerJson(
        installed=found is not None,
        version=one.build.version,
        build=one.build.build,
        source=one.source,
        installed_at=time_json(one.installed_ms),
        files=one.files,
        size=one.bytes,
        directory=str(_directory(deps).path),
    )


async def _show(deps: RecordingDeps, call: Call[NoFields]) -> PlayerJson:
    return _player_json(deps, await deps.in_thread(_directory(deps).read))


async def _install(deps: RecordingDeps, call: Call[InstallPlayerRequest]) -> PlayerJson:
    request = call.read()
    if (request.server is None) == (request.directory is None):
        raise Refused(RefusalKind.INVALID, "name either a server or a directory")
    source = request.server or request.directory
    try:
        if request.server is not None:
            found = await _install_from_server(deps, request.server)
        elif call.file is not None:
            tar = _directory(deps).install_tar
            args = call.file, request.directory or "", deps.now_ms(), request.built
            found = await deps.in_thread(partial(tar, *args))
        else:
            raise Refused(RefusalKind.INVALID, "the files of the directory were not passed along")
    except UnusablePlayer as error:
        raise Refused(RefusalKind.INVALID, f"{error}; nothing was changed") from None
    except OSError as error:
        path = _directory(deps).path
        reason = f"{path} cannot be written: {error.strerror}; nothing was changed"
        raise Refused(RefusalKind.INVALID, reason) from None
    version = str(found.build)
    deps.log.info("player_installed", by=call.who, source=source, version=version)
    return _player_json(deps, found)


async def _install_from_server(deps: RecordingDeps, server_id: str) -> InstalledPlayer:
    server = await deps.pool.records.find_server(ServerId(server_id))
    if server is None or deps.player is None:
        raise no_server(server_id)
    try:
        return await deps.player.install(server, _directory(deps))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = f"the server cannot be reached: {error}; nothing was changed"
        raise Refused(RefusalKind.UNREACHABLE, reason) from None
    except trio.TooSlowError:
        reason = "the server is too slow; nothing was changed"
        raise Refused(RefusalKind.UNREACHABLE, reason) from None


async def _read_player(deps: RecordingDeps, call: Call[Any], answer: Any) -> Mapping[str, Snapshot]:
    found = await deps.in_thread(_directory(deps).read)
    if found is None:
        return {}
    values = {"version": str(found.build), "source": found.source}
    return {"player": Snapshot("player", values)}


_EXAMPLE = PlayerJson(
    installed=True,
    version="5.1.3",
    build="main.e40eafae.js",
    source=_SERVER_ID,
    installed_at="2026-11-25T10:40:07Z",
    files=41,
    size=19_112_448,
    directory="/var/bigbluebutton/playback/presentation/2.3",
)

PLAYER_CALLS: tuple[AdminCall[RecordingDeps], ...] = (
    AdminCall(
        name="getPlayer",
        method="GET",
        handler=_show,
        group="recordings",
        summary="The BigBlueButton player that is installed here for recordings of the format"
        " presentation.",
        example=_EXAMPLE,
        role=Role.VIEWER,
    ),
    AdminCall(
        name="installPlayer",
        method="POST",
        handler=_install,
        group="recordings",
        summary=(
            "Installs the player of a BigBlueButton server, or of a directory, in place "
            "of the one that is there; if that fails, it stays."
        ),
        example=_EXAMPLE,
        role=Role.ADMIN,
        request={"server": _SERVER_ID},
        logs="player_installed",
        audited=Audited(_read_player),
        deadline_s=LONG_S,
        local=True,
    ),
)
