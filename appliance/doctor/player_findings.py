"""Judge the player of recordings of the format presentation. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.doctor.findings import Finding, ok, warn
from appliance.recordings.player.files import PlayerBuild, is_older
from appliance.recordings.player.installation import InstalledPlayer

CHECK = "player"


def judge_player(installed: InstalledPlayer | None, servers: Mapping[str, PlayerBuild]) -> Finding:
    """Judge what is installed; `servers` are those that have a player, by id."""
    newest = ""
    for server_id, build in servers.items():
        if not newest or is_older(servers[newest], build):
            newest = server_id
    advice = f"`ctl recordings player install {newest or 'SERVER'}`"
    if installed is None:
        text = "BigBlueButton's is not installed: recordings are shown on a plain page"
        return warn(CHECK, text, advice)
    if newest and is_older(installed.build, servers[newest]):
        text = f"{installed.build} is older than {servers[newest]} of server {newest}"
        return warn(CHECK, text, advice)
    return ok(CHECK, f"bbb-playback {installed.build}")
