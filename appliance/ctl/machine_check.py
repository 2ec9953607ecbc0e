"""The check of a valid configuration on this machine: files, ports, directories.

`config check` runs it. On the package as root everything is tried as the user of the service, in a
child process. Blocking; nothing is changed, and each port is released at once.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from appliance.ctl.unit import BACKUP_UNIT, Unit, read_unit
from appliance.settings import Settings
from appliance.settings.addresses import leaves_ipv4
from appliance.settings.model import Bind
from appliance.system.host_facts import authorities_problem, certificate_problem

_BIND_CAPABILITY = "cap_net_bind_service"
_PRIVILEGED_START = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
_DROP_IN = "/usr/share/doc/scalelite-appliance/examples/privileged-port.conf"


@dataclass(frozen=True, slots=True)
class MachineFindings:
    """The problems of the configuration on this machine."""

    problems: tuple[str, ...] = ()
    """The appliance would not start, or not serve an address."""
    warnings: tuple[str, ...] = ()


def check_machine(settings: Settings, unit: Unit) -> MachineFindings:
    """Try what the start of the appliance does on this machine."""
    files = _run_as(unit.user, partial(_check_files, settings, unit))
    own = _own_ports(settings.control.socket_path)
    console = settings.console.binds if settings.console.enabled else ()
    serving = [*settings.web.binds, *settings.fsapi.binds, *console]
    addresses = _check_addresses(serving, own, unit)
    # Without its listener for metrics, the appliance runs all the same.
    metrics = _check_addresses(settings.metrics.binds, own, unit)
    directories = _run_as(unit.user, partial(_check_directories, settings, unit))
    recordings = _run_as(unit.user, partial(_check_recordings, settings, unit))
    programs = _run_as(unit.user, partial(_check_programs, settings, unit))
    warnings = (*metrics, *recordings, *programs)
    return MachineFindings((*files, *addresses, *directories, *_check_boto3(settings)), warnings)


def check_backups(environ: Mapping[str, str]) -> list[str]:
    """Return why the daily backups of the package would fail."""
    directory = environ.get("BACKUP_DIR", "").strip()
    if directory and read_unit(environ, BACKUP_UNIT).protects(Path(directory)):
        text = (
            "its options make it read-only without ReadWritePaths=, or hide it; use a directory"
            " below /var, for example"
        )
        return [f"BACKUP_DIR: {directory} cannot be used by {BACKUP_UNIT}: {text}"]
    return []


def _check_boto3(settings: Settings) -> list[str]:
    from appliance.recordings.objects.bucket_client import Boto3Missing, check_boto3

    try:
        if settings.s3.enabled and not settings.stores.database_disabled:
            check_boto3()
    except Boto3Missing as error:
        return [str(error)]
    return []


# --- as the user of the service ------------------------------------------------------------------


def _run_as(user: str, check: Callable[[], list[str]]) -> list[str]:
    """Run a check as a user; as the own one if this process may not change it."""
    import json
    import pwd

    try:
        entry = pwd.getpwnam(user) if user and os.geteuid() == 0 else None
    except KeyError:
        return [f"there is no user {user}, which the service runs as"]
    if entry is None or entry.pw_uid == 0:
        return check()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.close(reader)
            os.initgroups(user, entry.pw_gid)
            os.setgid(entry.pw_gid)
            os.setuid(entry.pw_uid)
            with open(writer, "w") as out:
                json.dump(check(), out)
            status = 0
        finally:
            os._exit(status)
    os.close(writer)
    with open(reader) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    found: list[str] = json.loads(text) if text else [f"the check failed as user {user}"]
    return found


# --- files ---------------------------------------------------------------------------------------


def _check_files(settings: Settings, unit: Unit) -> list[str]:
    found = []
    cert, key = settings.web.tls_cert_file, settings.web.tls_key_file
    pairs = [("TLS_CERT_FILE and TLS_KEY_FILE", (cert, key))] if cert and key else []
    if of_redis := settings.redis_certificate():
        pairs.append(("REDIS_URL (ssl_certfile, ssl_keyfile)", of_redis))
    for name, pair in pairs:
        hidden = [hint for path in pair if (hint := unit.hides(path))]
        if problem := hidden[0] if hidden else certificate_problem(*pair):
            found.append(f"{name} cannot be used{_by()}: {problem}")
    for name, ca_file in settings.authorities():
        problem = unit.hides(ca_file) or authorities_problem(ca_file)
        if problem:
            found.append(f"{name} cannot be used{_by()}: {problem}")
    return found


def _check_programs(settings: Settings, unit: Unit) -> list[str]:
    import shutil

    if not settings.fleet.autoscale_command:
        return []
    name = settings.fleet.autoscale_command[0]
    problem = unit.hides(Path(name)) if "/" in name else ""
    if not problem and shutil.which(name) is None:
        problem = f"{name} is not a program that can be run{_by()}"
    return [f"AUTOSCALE_COMMAND: {problem}"] if problem else []


def _by() -> str:
    import pwd

    try:
        return f" by {pwd.getpwuid(os.geteuid()).pw_name}"
    except KeyError:
        return f" by user {os.geteuid()}"


# --- addresses -----------------------------------------------------------------------------------


def _check_addresses(binds: Sequence[Bind], own: Callable[[int], bool], unit: Unit) -> list[str]:
    # Everything except a privileged port that a drop-in allows is tried as the user of the service.
    allowed = _BIND_CAPABILITY in unit.capabilities
    first_free = _first_unprivileged_port()
    found = []
    for bind in binds:
        user = "" if allowed and 0 < bind.port < first_free else unit.user
        attempt = partial(_try_address, bind, own, first_free, leaves_ipv4(bind, binds))
        found += _run_as(user, attempt)
    return found


def _first_unprivileged_port() -> int:
    try:
        return int(Path(_PRIVILEGED_START).read_text())
    except (OSError, ValueError):
        return 1024


def _try_address(
    bind: Bind, own: Callable[[int], bool], first_free: int, only_ipv6: bool
) -> list[str]:
    if bind.scheme == "unix":
        return _check_socket(Path(bind.path), f"BIND {bind}")
    try:
        places = socket.getaddrinfo(bind.host, bind.port, type=socket.SOCK_STREAM)
    except OSError as error:
        return [f"cannot listen on {bind}: {error.strerror}"]
    family, kind, protocol, _, address = places[0]
    with socket.socket(family, kind, protocol) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only_ipv6)
        try:
            tried.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE and own(bind.port):
                return []
            hint = ""
            if error.errno == errno.EACCES and bind.port < first_free:
                hint = f"; ports below {first_free} require the drop-in {_DROP_IN}"
            return [f"cannot listen on {bind}: {error.strerror}{hint}"]
    return []


def _own_ports(control_socket: Path) -> Callable[[int], bool]:
    """Return a test whether the running appliance listens on a port."""
    pid = _running_pid(control_socket)
    inodes = _socket_inodes(pid) if pid else frozenset()

    def is_own(port: int) -> bool:
        # Without permission for its descriptors, it is assumed that the port is its own.
        return bool(pid) and (not inodes or not inodes.isdisjoint(_listeners(port)))

    return is_own


def _running_pid(control_socket: Path) -> int:
    """Return the process that listens on the control socket; 0: none does."""
    import struct

    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(control_socket))
            size = struct.calcsize("3i")
            peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        except OSError:
            return 0
    pid: int = struct.unpack("3i", peer)[0]
    return pid


def _socket_inodes(pid: int) -> frozenset[str]:
    found = set()
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            if target.startswith("socket:["):
                found.add(target[8:-1])
    except OSError:
        return frozenset()
    return frozenset(found)


def _listeners(port: int) -> frozenset[str]:
    """Return the inodes of the sockets that listen on a port. Source: proc_net(5)."""
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(fields[9])
    return frozenset(found)


# --- directories ---------------------------------------------------------------------------------


def _check_directories(settings: Settings, unit: Unit) -> list[str]:
    stores = settings.stores
    found = _check_socket(settings.control.socket_path, "CTL_SOCKET", unit)
    if stores.redis_embedded or stores.database_embedded:
        found += _check_place(stores.state_dir, "STATE_DIR", unit)
    return found


def _check_recordings(settings: Settings, unit: Unit) -> list[str]:
    recordings = settings.recordings
    if recordings.disabled or settings.stores.database_disabled:
        return []
    places: Iterable[tuple[Path, str]] = (
        (recordings.spool_dir, "RECORDING_SPOOL_DIR"),
        (recordings.work_dir, "RECORDING_WORK_DIR"),
        (recordings.publish_dir, "RECORDING_PUBLISH_DIR"),
        (recordings.unpublish_dir, "RECORDING_UNPUBLISH_DIR"),
    )
    return [text for path, name in places for text in _check_place(path, name, unit)]


def _check_socket(path: Path, name: str, unit: Unit | None = None) -> list[str]:
    """Check that a Unix socket can be made: in place of one at most."""
    if path.exists() and not path.is_socket():
        return [f"{name}: {path} exists and is not a socket"]
    return _check_place(path.parent, name, unit)


def _check_place(path: Path, name: str, unit: Unit | None = None) -> list[str]:
    """Check that files can be made in a directory, or the directory itself."""
    if unit is not None and (hint := unit.protects(path)):
        return [f"{name}: {path} cannot be written by the service: {hint}"]
    if unit is not None and unit.makes(path) and not path.exists():
        return []
    try:
        there = next(one for one in (path, *path.parents) if one.exists())
    except OSError as error:
        return [f"{name}: {path}: {error.strerror}"]
    if not there.is_dir():
        return [f"{name}: {there} is not a directory"]
    if there.parts[1:2] in (("proc",), ("sys",)):  # where root seems to have every right
        return [f"{name}: no file can be made in {there}"]
    if os.access(there, os.W_OK | os.X_OK, effective_ids=True):
        return []
    if there == path:
        return [f"{name}: {path} cannot be written{_by()}"]
    return [f"{name}: {path} is missing and cannot be made{_by()}"]
