"""The files of the Debian package that complete the environment: configuration, secrets, defaults.

Only the package's launcher calls this, so that `config check` and `ctl` in a root shell see what
the service sees; elsewhere the environment is all there is. Must stay light to import: `ctl` starts
through it. Syntax of the files: systemd.exec(5), EnvironmentFile=.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path

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

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLANKS = re.compile(r"[ \t\r]*")
_SINGLE_QUOTED = re.compile(r"'([^']*)(?:'|\Z)")
_DOUBLE_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|\Z)', re.DOTALL)
_BARE = re.compile(r"(?:[^\\\n]|\\.)*", re.DOTALL)
_ESCAPED_IN_QUOTES = re.compile(r'\\(?:([\\"`$])|\n)')
_ESCAPED = re.compile(r"\\(?:\n|(.))")


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


def parse_environment_file(text: str) -> dict[str, str]:
    """Return the variables of an EnvironmentFile=, read as systemd reads it.

    Lines without `=`, and names that no variable can have, are passed over.
    """
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        head, equals, _ = text[position:end].partition("=")
        if not equals or head.lstrip()[:1] in ("#", ";"):
            position = end + 1
            continue
        value, position = _parse_value(text, position + len(head) + 1)
        if _NAME.fullmatch(head.strip()):
            found[head.strip()] = value
    return found


def _parse_value(text: str, position: int) -> tuple[str, int]:
    """Return the value that begins at `position`, and where the next line begins."""
    parts: list[str] = []
    while True:
        match = _BLANKS.match(text, position)
        position = match.end() if match else position
        if quoted := _SINGLE_QUOTED.match(text, position):
            parts.append(quoted[1])
        elif quoted := _DOUBLE_QUOTED.match(text, position):
            parts.append(_ESCAPED_IN_QUOTES.sub(lambda found: found[1] or "", quoted[1]))
        else:
            break
        position = quoted.end()
    bare = _BARE.match(text, position)
    if bare is None or not bare[0]:
        return "".join(parts), position + 1
    trailing = len(bare[0]) - len(bare[0].rstrip())
    # An escaped blank at the end belongs to the value.
    if trailing and bare[0][: len(bare[0]) - trailing].endswith("\\"):
        trailing -= 1
    kept = bare[0][: len(bare[0]) - trailing] if trailing else bare[0]
    parts.append(_ESCAPED.sub(lambda found: found[1] or "", kept))
    return "".join(parts), bare.end() + 1
