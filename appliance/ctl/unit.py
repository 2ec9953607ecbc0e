"""The systemd unit of the package, as far as it decides what the service can use.

Read with `systemctl show`, which includes drop-ins. Source: systemd.exec(5).
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance.settings.package_files import SOURCES

UNIT = "scalelite-appliance.service"
BACKUP_UNIT = "scalelite-appliance-backup.service"
SERVICE_USER = "_scalelite"
"""Of the package, where systemd cannot be asked."""
_PROPERTIES = (
    *("LoadState", "User", "Environment", "AmbientCapabilities", "ReadWritePaths"),
    *("StateDirectory", "RuntimeDirectory", "ProtectSystem", "ProtectHome", "PrivateTmp"),
)
_SYSTEM = (Path("/usr"), Path("/boot"), Path("/efi"), Path("/etc"))
_HOMES = (Path("/home"), Path("/root"), Path("/run/user"))
_TEMPORARY = (Path("/tmp"), Path("/var/tmp"))
_SHOW_S = 3.0


@dataclass(frozen=True, slots=True)
class Unit:
    """The settings of the unit; empty: it is not installed, or not systemd's."""

    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def user(self) -> str:
        """Return the user of the service; empty: unknown."""
        return self.values.get("User", "")

    @property
    def capabilities(self) -> str:
        """Return the ambient capabilities."""
        return self.values.get("AmbientCapabilities", "").lower()

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables of Environment=, also of drop-ins."""
        import shlex

        try:
            words = shlex.split(self.values.get("Environment", ""))
        except ValueError:
            return {}
        return dict(word.partition("=")[::2] for word in words if "=" in word)

    def hides(self, path: Path) -> str:
        """Return why the service does not see a file; empty: it does."""
        if self.values.get("ProtectHome") == "yes" and _is_below(path, _HOMES):
            return f"{path}: ProtectHome= hides it from the service; use a directory below /etc"
        if self.values.get("PrivateTmp", "no") not in ("", "no") and _is_below(path, _TEMPORARY):
            return f"{path}: PrivateTmp= hides it from the service; use another directory"
        return ""

    def protects(self, path: Path) -> str:
        """Return why the service cannot write to a directory; empty: it can."""
        system = self.values.get("ProtectSystem")
        if _is_below(path, self._writable()):
            return self.hides(path)
        if system == "strict":
            return f"ReadWritePaths={path} is missing in a drop-in (`systemctl edit {UNIT[:-8]}`)"
        if system == "full" and _is_below(path, _SYSTEM):
            return f"{path}: ProtectSystem= makes it read-only without ReadWritePaths="
        return self.hides(path)

    def makes(self, path: Path) -> bool:
        """Return whether systemd makes a directory at the start, for the user of the service."""
        return _is_below(path, self._made())

    def _made(self) -> list[Path]:
        places = (("/var/lib", "StateDirectory"), ("/run", "RuntimeDirectory"))
        return [
            Path(base, word) for base, name in places for word in self.values.get(name, "").split()
        ]

    def _writable(self) -> list[Path]:
        named = [Path(word.lstrip("-+")) for word in self.values.get("ReadWritePaths", "").split()]
        return [*named, *self._made()]


def _is_below(path: Path, directories: list[Path] | tuple[Path, ...]) -> bool:
    return any(path.is_relative_to(one) for one in directories)


def read_unit(environ: Mapping[str, str], name: str = UNIT) -> Unit:
    """Read a unit; an empty one unless this is the package's program outside the service."""
    if SOURCES not in environ or environ.get("CREDENTIALS_DIRECTORY"):
        return Unit()
    import subprocess

    command = ["systemctl", "show", f"--property={','.join(_PROPERTIES)}", name]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SHOW_S, check=False, env=os.environ
        )
    except (OSError, subprocess.SubprocessError):
        return Unit()
    values = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    return Unit(values) if values.get("LoadState") == "loaded" else Unit()


def become_service_user(environ: Mapping[str, str]) -> None:
    """On the package as root, become the user of the service for the rest of the process.

    PostgreSQL knows that user by its socket (peer authentication), but not root; and directories
    are judged as the service sees them.
    """
    if os.geteuid() != 0 or SOURCES not in environ:
        return
    import pwd

    try:
        entry = pwd.getpwnam(read_unit(environ).user or SERVICE_USER)
    except KeyError:
        return
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
    for name in ("USER", "LOGNAME"):  # the drivers take the name of the user from them
        os.environ[name] = entry.pw_name
    os.environ["HOME"] = entry.pw_dir


def add_unit_environment(environ: MutableMapping[str, str], unit: Unit) -> None:
    """Add the variables of Environment=, which only win over the package's secrets and defaults."""
    lines = environ.get(SOURCES, "").splitlines()
    sources = dict(line.partition("=")[::2] for line in lines)
    for name, value in unit.environment.items():
        source = sources.get(name, "")
        if name in environ and not source.endswith(("/secrets.env", "/defaults.env")):
            continue  # the configuration file, or this shell
        environ[name] = value
        sources[name] = f"Environment= of {UNIT}"
    if lines:
        environ[SOURCES] = "\n".join(f"{name}={source}" for name, source in sources.items())
