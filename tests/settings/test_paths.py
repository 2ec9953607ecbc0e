"""Default paths of state directory and control socket."""

from __future__ import annotations

import pytest

from appliance.settings.paths import control_socket_path, state_dir_path


@pytest.mark.parametrize(
    ("environ", "is_root", "path"),
    [
        ({}, True, "/run/scalelite-appliance/ctl.sock"),
        (
            {"HOME": "/root", "XDG_RUNTIME_DIR": "/run/user/0"},
            True,
            "/run/scalelite-appliance/ctl.sock",
        ),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, False, "/run/user/7/scalelite-appliance/ctl.sock"),
        ({"HOME": "/home/a"}, False, "/home/a/.local/state/scalelite-appliance/ctl.sock"),
        ({"HOME": "/home/a", "STATE_DIR": "/srv/s/"}, False, "/srv/s/ctl.sock"),
        ({"CTL_SOCKET": "/x.sock", "XDG_RUNTIME_DIR": "/run/user/7"}, False, "/x.sock"),
        (
            {"CTL_SOCKET": " ", "XDG_RUNTIME_DIR": "relative"},
            True,
            "/run/scalelite-appliance/ctl.sock",
        ),
        ({"CTL_SOCKET": "/x.sock"}, True, "/x.sock"),
    ],
)
def test_control_socket_is_found(environ: dict[str, str], is_root: bool, path: str) -> None:
    assert control_socket_path(environ, is_root) == path


@pytest.mark.parametrize(
    ("environ", "is_root", "path"),
    [
        ({"HOME": "/root"}, True, "/var/lib/scalelite-appliance"),
        ({"HOME": "/home/a"}, False, "/home/a/.local/state/scalelite-appliance"),
        ({}, False, "/var/lib/scalelite-appliance"),
        ({"HOME": ""}, False, "/var/lib/scalelite-appliance"),
        ({"HOME": "/home/a", "STATE_DIR": "/srv/s"}, False, "/srv/s"),
        ({"STATE_DIR": "/srv/s"}, True, "/srv/s"),
    ],
)
def test_state_dir_is_found(environ: dict[str, str], is_root: bool, path: str) -> None:
    assert state_dir_path(environ, is_root) == path
