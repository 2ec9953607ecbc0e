"""Renders the effective configuration for `config check`: each value and its origin.

The rows are made from the settings that load.py builds, so they show what the appliance would use.
Neither a secret nor its length is shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from appliance.redaction import MASK, escape_control
from appliance.settings.addresses import show_binds
from appliance.settings.kinds import ALGORITHMS, show_boolean, show_number
from appliance.settings.load import build_settings
from appliance.settings.model import Settings
from appliance.settings.reading import VARIABLES, Values, read_values
from appliance.settings.table import Variable

_MAX_SOURCE = 24
_MIN_VALUE = 12


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One variable of the effective configuration."""

    name: str
    value: str
    """Empty: the variable has no value."""
    source: str
    """`environment`, `environment (OTHER_NAME)`, `file PATH`, `default`, `generated` or
    `derived from NAME`."""


def describe_settings(environ: Mapping[str, str], *, is_root: bool) -> list[SettingRow]:
    """Return every variable with its effective value and origin, in the order of the table.

    Raises SettingsError: the configuration is invalid.
    """
    values = read_values(environ)
    settings = build_settings(values, environ, is_root=is_root)
    derived = _derived(settings)
    return [_row(variable, values, derived) for variable in VARIABLES]


def _row(
    variable: Variable[Any], values: Values, derived: Mapping[str, tuple[str, str]]
) -> SettingRow:
    name = variable.name
    if values.is_set(variable):
        value = values.find(variable)
        text = "" if value == "" else variable.kind.show(value)
        return SettingRow(name, text, values.sources[name])
    if name in derived:
        return SettingRow(name, *derived[name])
    text = "" if variable.default is None else variable.kind.show(variable.default)
    return SettingRow(name, text, "default")


def _derived(settings: Settings) -> dict[str, tuple[str, str]]:
    """Return value and origin of the variables whose default is computed."""
    stores, fsapi = settings.stores, settings.fsapi
    database = "not used" if stores.database_disabled else "embedded"
    redis = "by REDIS_SENTINELS" if stores.redis_sentinels else "embedded"
    algorithms = settings.api.allowed_algorithms
    rows = {
        "LOADBALANCER_CHECKSUM_ALGORITHM": (ALGORITHMS.show(algorithms), "default"),
        "STATE_DIR": (str(stores.state_dir), "default"),
        "CTL_SOCKET": (str(settings.control.socket_path), "default"),
        "DATABASE_URL": (database, "default"),
        "REDIS_URL": (redis, "default"),
        "SECRET_KEY_BASE": (MASK, "generated"),
        "BIND": (show_binds(settings.web.binds), "derived from PORT"),
        "ADMIN_SECRET": (":".join(MASK for _ in settings.admin.secrets), _from_secrets(settings)),
        "AUTOSCALE_SECRET": (MASK, _autoscale_secret_source(settings)),
        "FSAPI_PASSWORD": (MASK, _from_secrets(settings)),
        "FSAPI_MAX_DURATION": (
            show_number(fsapi.max_duration_s / 60),
            "derived from MAX_MEETING_DURATION",
        ),
    }
    if settings.load.weights:
        for name, weight in settings.load.weights.to_script().items():
            rows[f"LOAD_PER_{name.upper()}"] = (show_number(weight), "default")
    if settings.api.base_url:
        rows["BASE_URL"] = (settings.api.base_url, "derived from URL_HOST")
    if stores.database_disabled:
        rows["RECORDING_DISABLED"] = (show_boolean(True), "derived from DB_DISABLED")
        rows["DB_DISABLED"] = (show_boolean(True), "derived from RECORDING_DISABLED")
    return rows


def _autoscale_secret_source(settings: Settings) -> str:
    own = settings.admin.secrets != settings.api.secrets
    return "derived from ADMIN_SECRET" if own else _from_secrets(settings)


def _from_secrets(settings: Settings) -> str:
    both = len(settings.api.secrets) > 1
    return f"derived from {'LOADBALANCER_SECRET(S)' if both else 'LOADBALANCER_SECRET'}"


def render_check_text(
    rows: Sequence[SettingRow], warnings: Sequence[str] = (), width: int | None = None
) -> str:
    """Return an aligned table of the rows, followed by the warnings; no final line break.

    width: of the terminal, to which values and sources are cut; None: they are complete.
    """
    table = [("VARIABLE", "VALUE", "SOURCE")]
    table += [(row.name, escape_control(row.value) or "-", row.source) for row in rows]
    first = max(len(row[0]) for row in table)
    # A single long value must not push all origins off the screen.
    second = min(max(len(row[1]) for row in table), 48)
    if width is not None:
        third = min(max(len(row[2]) for row in table), _MAX_SOURCE)
        second = max(_MIN_VALUE, min(second, width - first - third - 4))
        third = width - first - second - 4
        table = [(name, _cut(value, second), _cut(source, third)) for name, value, source in table]
    lines = [
        f"{name:<{first}}  {value:<{second}}  {escape_control(source)}"
        for name, value, source in table
    ]
    lines += [f"warning: {escape_control(warning)}" for warning in warnings]
    return "\n".join(lines)


def _cut(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: max(room, 1) - 1]}…"


def render_check_json(
    rows: Sequence[SettingRow], warnings: Sequence[str] = (), problems: Sequence[str] = ()
) -> str:
    """Return a JSON document: `settings` (name, value and source of each), warnings, problems."""
    document = {
        "settings": [asdict(row) for row in rows],
        "warnings": list(warnings),
        "problems": list(problems),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
