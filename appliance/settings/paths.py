"""Where the control socket and the state are by default.

Imports nothing but the typing names: `ctl` needs this before anything else and has 150 ms.
Source of the places: spec/configuration.md, rows STATE_DIR and CTL_SOCKET.
"""

from __future__ import annotations

from collections.abc import Mapping

SYSTEM_STATE_DIR = "/var/lib/scalelite-appliance"
SYSTEM_CONTROL_SOCKET = "/run/scalelite-appliance/ctl.sock"
CONTROL_GROUP = "scalelite-appliance"


def state_dir_path(environ: Mapping[str, str], is_root: bool) -> str:
    """Return STATE_DIR or its default; a user without a home is a service and gets the system's."""
    given = environ.get("STATE_DIR", "").strip()
    home = environ.get("HOME", "").rstrip("/")
    if given:
        return given
    if is_root or not home.startswith("/"):
        return SYSTEM_STATE_DIR
    return f"{home}/.local/state/scalelite-appliance"


def control_socket_path(environ: Mapping[str, str], is_root: bool) -> str:
    """Return CTL_SOCKET or its default: in /run for root, else among the user's own files."""
    given = environ.get("CTL_SOCKET", "").strip()
    runtime = environ.get("XDG_RUNTIME_DIR", "").rstrip("/")
    if given:
        return given
    if is_root:
        return SYSTEM_CONTROL_SOCKET
    if runtime.startswith("/"):
        return f"{runtime}/scalelite-appliance/ctl.sock"
    return f"{state_dir_path(environ, is_root).rstrip('/')}/ctl.sock"
