"""STATE_DIR of the private stores: who owns it, who uses it now, and which servers are installed.

Must not start a process that stays, and never changes a directory that it did not make.
Truth: the file system; Debian's layout of server programs (/usr/lib/postgresql/MAJOR/bin).
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
"""Who runs the stores when we are root, the first that exists: PostgreSQL refuses root."""
SOCKET_PATH_MAX_BYTES = 107
"""sun_path of unix(7) is 108 bytes, one of them for the terminating zero."""
LONGEST_SOCKET_NAME = ".s.PGSQL.5432"


class EmbeddedStoresError(Exception):
    """The private stores cannot be started; the text tells the operator why and what to do."""


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
    """Where the stores live. All but `logs` belong to the store user and are closed to others."""

    base: Path
    sockets: Path
    """A short path for clients; `base / "run"` is the same directory."""
    logs: Path

    @property
    def redis(self) -> Path:
        """Return Redis's working directory."""
        return self.base / "redis"

    @property
    def postgres(self) -> Path:
        """Return PostgreSQL's data directory."""
        return self.base / "postgres"


@contextmanager
def lock_state_dir(state_dir: Path) -> Iterator[None]:
    """Make STATE_DIR ours alone until the block ends, or until the process ends in whatever way.

    The lock is the kernel's (flock), so nothing stale can remain; it is close-on-exec, so the
    stores do not inherit it and an orphaned one does not hold it.
    Raises EmbeddedStoresError: another appliance has it, or the directory cannot be made.
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
    """Return who runs the stores, or None when we are not root: then they run as ourselves.

    As root it is whoever owns the existing stores, so that a user installed later does not lock us
    out of them.
    Raises EmbeddedStoresError: the stores belong to somebody else, or no unprivileged user exists.
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
        "As root the private stores need an unprivileged user to run as: none of "
        f"{', '.join(STORE_USERS)} exists."
    )


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


@contextmanager
def store_directories(state_dir: Path, user: StoreUser | None) -> Iterator[StoreDirectories]:
    """Make what is missing of the stores' directories; what a killed run left in `run` is removed.

    Only to be entered under `lock_state_dir`, and before any store is running.
    Raises EmbeddedStoresError: something else is in the way, or the rights are not enough.
    """
    # Absolute, as the working directory may change, and so that the paths in the URLs hold.
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
    """Make `path` as a directory that only the store user enters; a finished one is left as it is.

    Raises OSError: it cannot be made, or it is not a directory.
    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    # Never follow a link here: as root we would hand a directory elsewhere to the store user.
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, "Not a directory", str(path))
    # Still root's: just made, or made by a run that was killed before this line.
    if user is not None and found.st_uid == 0:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)


def _make_socket_directory(base: Path, user: StoreUser | None) -> Path:
    """Make the directory of the sockets: `run`, or a link to a short one if that is too long."""
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
    # The link lies in a directory of the store user: as root, remove nothing but what we would have
    # made.
    with suppress(FileNotFoundError):
        found = target.lstat()
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == owner
        if ours and target.is_absolute() and target.name.startswith("scalelite-"):
            shutil.rmtree(target, ignore_errors=True)
    run.unlink()


def find_redis(path: str | None = None) -> str:
    """Return the Redis (or Valkey) server program. `path`: a PATH to look in, by default our own.

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
    """Return the newest installed PostgreSQL, or the one that made `cluster` if that exists
    already.

    A cluster is only ever run by the major version that made it. Starts `postgres --version` if
    need be.
    Raises EmbeddedStoresError: none is installed, or not that one.
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
    # Debian's own come last, so that of two with the same version they win.
    for directory in debian_dir.glob("*/bin"):
        initdb, postgres = directory / "initdb", directory / "postgres"
        if directory.parent.name.isdecimal() and initdb.is_file() and postgres.is_file():
            yield PostgresPrograms(int(directory.parent.name), str(initdb), str(postgres))
