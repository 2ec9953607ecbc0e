"""Default paths of the control socket and the state directory.

Imports almost nothing: every start of `ctl` needs this module first. The defaults are described in
docs/configuration.md (STATE_DIR, CTL_SOCKET).
"""

from __future__ import annotations

from collections.abc import Mapping

SYSTEM_STATE_DIR = "/var/lib/scalelite-appliance"
SYSTEM_CONTROL_SOCKET = "/run/scalelite-appliance/ctl.sock"
CONTROL_GROUP = "scalelite-appliance"


def state_dir_path(environ: Mapping[str, str], is_root: bool) -> str:
    """Return STATE_DIR or its default.

    A user without a home directory is a service account and gets the system's directory.
    """
    given = environ.get("STATE_DIR", "").strip()
    home = environ.get("HOME", "").rstrip("/")
    if given:
        return given
    if is_root or not home.startswith("/"):
        return SYSTEM_STATE_DIR
    return f"{home}/.local/state/scalelite-appliance"


def control_socket_path(environ: Mapping[str, str], is_root: bool) -> str:
    """Return CTL_SOCKET or its default: in /run for root, else in a directory of the user."""
    given = environ.get("CTL_SOCKET", "").strip()
    runtime = environ.get("XDG_RUNTIME_DIR", "").rstrip("/")
    if given:
        return given
    if is_root:
        return SYSTEM_CONTROL_SOCKET
    if runtime.startswith("/"):
        return f"{runtime}/scalelite-appliance/ctl.sock"
    return f"{state_dir_path(environ, is_root).rstrip('/')}/ctl.sock"
