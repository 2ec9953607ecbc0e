"""Adds the Debian package's files to the environment: configuration, secrets, defaults.

Only the package's launcher calls this, so that `config check` and `ctl` in a root shell see the
same configuration as the service. Keep the imports few: every start of `ctl` pays for them.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from pathlib import Path

from appliance.settings.environment_file import find_exported, parse_environment_file

SOURCES = "APPLIANCE_SOURCES"
"""Variable with the file of each added value, one `NAME=PATH` a line, for `config check`."""

_CONFIGURATION = "etc/default/scalelite-appliance"
_SECRETS = "etc/scalelite-appliance/secrets.env"
_DEFAULTS = "usr/share/scalelite-appliance/defaults.env"
_CREDENTIAL = "secrets.env"
_EXPORT = "export "
_MAX_BYTES = 1024 * 1024
_ALTERNATIVES = {
    "LOADBALANCER_SECRET": ("LOADBALANCER_SECRETS", "LOADBALANCER_SECRETS_FILE"),
    "REDIS_URL": ("REDIS_SENTINELS",),
}
"""Variables that replace the one on the left: the package's value for it is not added then."""


def complete_environment(environ: MutableMapping[str, str], root: Path = Path("/")) -> list[str]:
    """Add the values that `environ` does not set; return the files that could not be read.

    Empty counts as unset. In the service, systemd has already read the configuration file and
    passes the secrets as a credential.
    """
    credentials = environ.get("CREDENTIALS_DIRECTORY", "")
    in_service = bool(credentials) and (Path(credentials) / _CREDENTIAL).is_file()
    configuration, secrets, defaults = root / _CONFIGURATION, root / _SECRETS, root / _DEFAULTS
    if in_service:
        files = [(Path(credentials) / _CREDENTIAL, secrets), (defaults, defaults)]
    else:
        files = [(path, path) for path in (configuration, secrets, defaults)]
    sources: list[str] = []
    unreadable: list[str] = []
    for path, shown in files:
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_BYTES).decode(errors="replace")
        except FileNotFoundError:
            continue
        except OSError:
            unreadable.append(str(shown))
            continue
        sources += [f"{_EXPORT}{name}={shown}" for name in find_exported(text)]
        missing = _missing(parse_environment_file(text), environ, path is configuration)
        environ.update(missing)
        sources += [f"{name}={shown}" for name in missing]
    if sources:
        environ[SOURCES] = "\n".join(sources)
    return unreadable


def _missing(
    found: Mapping[str, str], environ: Mapping[str, str], is_configuration: bool
) -> dict[str, str]:
    def is_set(name: str) -> bool:
        others = () if is_configuration else _ALTERNATIVES.get(name, ())
        return any(environ.get(one, "").strip() for one in (name, f"{name}_FILE", *others))

    return {name: value for name, value in found.items() if not is_set(name)}


def exported_names(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the variables that a file has with `export`, which systemd ignores, and the file."""
    lines = environ.get(SOURCES, "").split("\n")
    found = [line.removeprefix(_EXPORT) for line in lines if line.startswith(_EXPORT)]
    return [(name, path) for name, _, path in (line.partition("=") for line in found)]


def source_of(name: str, environ: Mapping[str, str]) -> str:
    """Return the origin of a variable of `environ`, as `config check` shows it."""
    for line in environ.get(SOURCES, "").split("\n"):
        known, _, path = line.partition("=")
        if known == name:
            return f"file {path}"
    return "environment"
