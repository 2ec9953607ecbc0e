"""Prepare STATE_DIR for the embedded stores: lock, user, directories, installed servers.

Never changes a directory that it did not make. Debian installs the servers of PostgreSQL below
/usr/lib/postgresql/MAJOR/bin.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

DEBIAN_POSTGRES_DIR = Path("/usr/lib/postgresql")
STORE_USERS = ("_scalelite", "postgres", "redis", "nobody")
"""Users that the stores run as when the appliance is root: the first that exists. PostgreSQL
refuses to run as root."""
SOCKET_PATH_MAX_BYTES = 107
"""sun_path of unix(7) is 108 bytes, including the terminating zero."""
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"


class EmbeddedStoresError(Exception):
    """The embedded stores cannot be started; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class StoreUser:
    """The unprivileged user that the stores run as."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class PostgresPrograms:
    """One installed PostgreSQL server."""

    major: int
    initdb: str
    postgres: str


@dataclass(frozen=True, slots=True)
class StoreDirectories:
    """Directories of the stores. All but `logs` belong to the store user, with mode 0700."""

    base: Path
    sockets: Path
    """A short path for clients, to the directory that `base / "run"` names, too."""
    logs: Path

    @property
    def redis(self) -> Path:
        """Return the data directory of Redis."""
        return self.base / "redis"

    @property
    def postgres(self) -> Path:
        """Return the data directory of PostgreSQL."""
        return self.base / "postgres"


@contextmanager
def lock_state_dir(state_dir: Path) -> Iterator[None]:
    """Lock STATE_DIR for this process until the block or the process ends.

    The lock is the kernel's (flock), so it cannot become stale. It is close-on-exec: the stores do
    not inherit it, so an orphaned store does not hold it.
    Raises EmbeddedStoresError: another appliance holds it, or the directory cannot be made.
    """
    try:
        state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(state_dir / "stores.lock", flags, 0o600)
    except OSError as error:
        raise EmbeddedStoresError(
            f"STATE_DIR {state_dir} cannot be used: {error.strerror}"
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise EmbeddedStoresError(
                f"STATE_DIR {state_dir} is in use by another scalelite-appliance"
                f" (process {holder}). Stop it, or choose another STATE_DIR."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def choose_store_user(state_dir: Path) -> StoreUser | None:
    """Return the user that the stores run as; None: not root, so they run as the current user.

    For root it is the owner of existing stores, so that a user that is installed later does not
    make them inaccessible.
    Raises EmbeddedStoresError: the stores belong to another user, or no unprivileged user exists.
    """
    base = state_dir / "stores"
    owner = base.lstat() if base.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise EmbeddedStoresError(
                f"{base} belongs to user {_user_name(owner.st_uid)}: start as root or as that user,"
                " or choose another STATE_DIR."
            )
        return None
    if owner is not None and owner.st_uid != 0:
        return StoreUser(owner.st_uid, owner.st_gid)
    for name in STORE_USERS:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return StoreUser(entry.pw_uid, entry.pw_gid)
    raise EmbeddedStoresError(
        "The embedded stores cannot run as root, and none of the users"
        f" {', '.join(STORE_USERS)} exists."
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@contextmanager
def store_directories(state_dir: Path, user: StoreUser | None) -> Iterator[StoreDirectories]:
    """Make missing directories of the stores, and empty `run`, where a killed run left sockets.

    Enter it under `lock_state_dir`, before any store runs.
    Raises EmbeddedStoresError: a path is no directory, or the permissions do not suffice.
    """
    # Absolute: the URLs hold these paths, and the working directory may change.
    base = state_dir.absolute() / "stores"
    try:
        make_store_directory(base, user)
        make_store_directory(base / "redis", user)
        sockets = _make_socket_directory(base, user)
    except OSError as error:
        raise EmbeddedStoresError(
            f"{error.filename or base} cannot be used: {error.strerror}"
        ) from error
    try:
        yield StoreDirectories(base=base, sockets=sockets, logs=state_dir.absolute())
    finally:
        with suppress(OSError):
            _remove_socket_directory(base, user)


def make_store_directory(path: Path, user: StoreUser | None) -> None:
    """Make `path` as a directory for the store user alone; an existing one is left as it is.

    Raises OSError: it cannot be made, or it is no directory.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    # A link is not followed: root would hand a directory elsewhere to the store user.
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(path))
    # Owned by root: just made, or made by a run that was killed before this line.
    if user is not None and found.st_uid == 0:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)


def _make_socket_directory(base: Path, user: StoreUser | None) -> Path:
    """Make the directory of the sockets: `run`, or a link to a shorter path if it is too long."""
    _remove_socket_directory(base, user)
    run = base / "run"
    if len(os.fsencode(run / LONGEST_SOCKET_NAME)) <= SOCKET_PATH_MAX_BYTES:
        make_store_directory(run, user)
        return run
    parent = Path("/run") if user is not None else _runtime_dir()
    short = Path(tempfile.mkdtemp(prefix="scalelite-", dir=parent))
    if user is not None:
        os.chown(short, user.uid, user.gid, follow_symlinks=False)
    run.symlink_to(short)
    return short


def _runtime_dir() -> Path:
    given = Path(os.environ.get("XDG_RUNTIME_DIR", ""))
    return given if given.is_absolute() and os.access(given, os.W_OK) else Path("/tmp")


def _remove_socket_directory(base: Path, user: StoreUser | None) -> None:
    run = base / "run"
    if not run.is_symlink():
        shutil.rmtree(run, ignore_errors=True)
        return
    target = run.readlink()
    owner = os.geteuid() if user is None else user.uid
    # The store user owns the directory of the link, so root removes only a target like its own.
    with suppress(FileNotFoundError):
        found = target.lstat()
        is_own = stat.S_ISDIR(found.st_mode) and found.st_uid == owner
        if is_own and target.is_absolute() and target.name.startswith("scalelite-"):
            shutil.rmtree(target, ignore_errors=True)
    run.unlink()


def find_redis(path: str | None = None) -> str:
    """Return the server program of Redis or Valkey. `path`: by default PATH of the environment.

    Raises EmbeddedStoresError: none is installed.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name, path=path)
        if found is not None:
            return found
    raise EmbeddedStoresError(
        "No Redis server was found on PATH: install the Debian package redis-server"
        " (or valkey-server), or set REDIS_URL."
    )


def find_postgres(
    cluster: Path, debian_dir: Path = DEBIAN_POSTGRES_DIR, path: str | None = None
) -> PostgresPrograms:
    """Return the newest installed PostgreSQL, or the one that made `cluster` if that exists.

    Only the major version that made a cluster can run it. May run `postgres --version`.
    Raises EmbeddedStoresError: none is installed, or not the one that made the cluster.
    """
    installed = {programs.major: programs for programs in _installed_postgres(debian_dir, path)}
    if not installed:
        raise EmbeddedStoresError(
            f"No PostgreSQL server was found under {debian_dir}/*/bin or on PATH: install the"
            " Debian package postgresql, or set DATABASE_URL."
        )
    if not cluster.exists():
        return installed[max(installed)]
    try:
        major = int((cluster / "PG_VERSION").read_text("ascii"))
    except (OSError, ValueError):
        raise EmbeddedStoresError(f"{cluster} is not a PostgreSQL data directory.") from None
    if major not in installed:
        raise EmbeddedStoresError(
            f"{cluster} was made by PostgreSQL {major}, but only"
            f" {', '.join(map(str, sorted(installed)))} is installed: install the Debian package"
            f" postgresql-{major}, or move the data with pg_dump and remove the directory."
        )
    return installed[major]


def _installed_postgres(debian_dir: Path, path: str | None) -> Iterator[PostgresPrograms]:
    on_path = (shutil.which("initdb", path=path), shutil.which("postgres", path=path))
    if on_path[0] is not None and on_path[1] is not None:
        with suppress(OSError, subprocess.SubprocessError):
            answer = subprocess.run(
                [on_path[1], "--version"], capture_output=True, text=True, timeout=10, check=True
            )
            if match := re.search(r"\(PostgreSQL\) (\d+)", answer.stdout):
                yield PostgresPrograms(int(match[1]), on_path[0], on_path[1])
    # Debian's come last and override one on PATH with the same version.
    for directory in debian_dir.glob("*/bin"):
        initdb, postgres = directory / "initdb", directory / "postgres"
        if directory.parent.name.isdecimal() and initdb.is_file() and postgres.is_file():
            yield PostgresPrograms(int(directory.parent.name), str(initdb), str(postgres))
