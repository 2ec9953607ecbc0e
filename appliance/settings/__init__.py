"""Parses the environment into frozen, typed settings; nothing else reads the environment.

Begin in access_variables.py, pool_variables.py, fleet_variables.py and recording_variables.py: they
are the table of variables. load.py turns it into the dataclasses of model.py. May use `model`
and `redaction` only: settings are loaded before logging and any I/O, and the only files that are
opened are those of NAME_FILE and of time zones.

Public names are imported on first use: `ctl` needs only `control_socket_path` and starts faster
without the parsers and dataclasses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from appliance.settings.paths import CONTROL_GROUP, SYSTEM_CONTROL_SOCKET, control_socket_path

if TYPE_CHECKING:
    from appliance.settings.check import (
        SettingRow,
        describe_settings,
        render_check_json,
        render_check_text,
    )
    from appliance.settings.load import SettingsError, load_settings
    from appliance.settings.model import (
        AdminSettings,
        Algorithm,
        ApiSettings,
        Bind,
        ConsoleSettings,
        ControlSettings,
        FleetSettings,
        FsapiSettings,
        LoadSettings,
        LogSettings,
        MeetingSettings,
        MetricsSettings,
        PollingSettings,
        ProtectedSettings,
        RecordingSettings,
        S3Settings,
        ServerSettings,
        Settings,
        StoreSettings,
        VoiceBridgeSettings,
        WebSettings,
    )

__all__ = [
    "CONTROL_GROUP",
    "SYSTEM_CONTROL_SOCKET",
    "AdminSettings",
    "Algorithm",
    "ApiSettings",
    "Bind",
    "ConsoleSettings",
    "ControlSettings",
    "FleetSettings",
    "FsapiSettings",
    "LoadSettings",
    "LogSettings",
    "MeetingSettings",
    "MetricsSettings",
    "PollingSettings",
    "ProtectedSettings",
    "RecordingSettings",
    "S3Settings",
    "ServerSettings",
    "SettingRow",
    "Settings",
    "SettingsError",
    "StoreSettings",
    "VoiceBridgeSettings",
    "WebSettings",
    "control_socket_path",
    "describe_settings",
    "load_settings",
    "render_check_json",
    "render_check_text",
]

_CHECK = frozenset({"SettingRow", "describe_settings", "render_check_json", "render_check_text"})
_LOAD = frozenset({"SettingsError", "load_settings"})


def __getattr__(name: str) -> object:
    """Import a public name on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = "check" if name in _CHECK else "load" if name in _LOAD else "model"
    value: object = getattr(import_module(f"appliance.settings.{home}"), name)
    globals()[name] = value
    return value
