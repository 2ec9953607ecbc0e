"""The files of the Debian package that complete the environment: configuration, secrets, defaults.

Only the package's launcher calls this, so that `config check` and `ctl` in a root shell see what
the service sees; elsewhere the environment is all there is. Must stay light to import: `ctl` starts
through it.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from pathlib import Path

from appliance.settings.environment_file import parse_environment_file

SOURCES = "APPLIANCE_SOURCES"
"""Variable that says which file a value came from: a `NAME=PATH` per line, for `config check`."""

_CONFIGURATION = "etc/default/scalelite-appliance"
_SECRETS = "etc/scalelite-appliance/secrets.env"
_DEFAULTS = "usr/share/scalelite-appliance/defaults.env"
_CREDENTIAL = "secrets.env"
_MAX_BYTES = 1024 * 1024
_ALTERNATIVES = {
    "LOADBALANCER_SECRET": ("LOADBALANCER_SECRETS", "LOADBALANCER_SECRETS_FILE"),
    "REDIS_URL": ("REDIS_SENTINELS",),
}
"""Where one of these is set, the package's own value of the first is not wanted."""


def complete_environment(environ: MutableMapping[str, str], root: Path = Path("/")) -> list[str]:
    """Add what the package's files say and `environ` does not; return the files out of reach.

    Empty counts as unset, as everywhere. In the unit, systemd has read the configuration already,
    and hands the secrets over as a credential.
    """
    credentials = environ.get("CREDENTIALS_DIRECTORY", "")
    in_unit = bool(credentials) and (Path(credentials) / _CREDENTIAL).is_file()
    configuration, secrets, defaults = root / _CONFIGURATION, root / _SECRETS, root / _DEFAULTS
    if in_unit:
        files = [(Path(credentials) / _CREDENTIAL, secrets), (defaults, defaults)]
    else:
        files = [(path, path) for path in (configuration, secrets, defaults)]
    sources: list[str] = []
    refused: list[str] = []
    for path, shown in files:
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_BYTES).decode(errors="replace")
        except FileNotFoundError:
            continue
        except OSError:
            refused.append(str(shown))
            continue
        missing = _missing(parse_environment_file(text), environ, path is configuration)
        environ.update(missing)
        sources += [f"{name}={shown}" for name in missing]
    if sources:
        environ[SOURCES] = "\n".join(sources)
    return refused


def _missing(
    found: Mapping[str, str], environ: Mapping[str, str], is_configuration: bool
) -> dict[str, str]:
    def is_set(name: str) -> bool:
        others = () if is_configuration else _ALTERNATIVES.get(name, ())
        return any(environ.get(one, "").strip() for one in (name, f"{name}_FILE", *others))

    return {name: value for name, value in found.items() if not is_set(name)}


def source_of(name: str, environ: Mapping[str, str]) -> str:
    """Return where a variable of `environ` came from, as `config check` shows it."""
    for line in environ.get(SOURCES, "").split("\n"):
        known, _, path = line.partition("=")
        if known == name:
            return f"file {path}"
    return "environment"
