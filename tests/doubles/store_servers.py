"""Redis and PostgreSQL servers for tests, on Unix sockets in short temporary directories.

Both run without syncing to disk; durability is tested in test_embedded.py. Most tests use the
fixtures of tests/doubles/stores.py; these context managers are for tests that stop or kill their
server.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from appliance.system.embedded.state import StoreUser, choose_store_user, find_postgres

START_DEADLINE_S = 40.0


@dataclass(frozen=True, slots=True)
class RedisServer:
    """A running redis-server (or valkey-server) on a Unix socket."""

    socket_path: Path
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Return the REDIS_URL, `unix:///…`."""
        return f"unix://{self.socket_path}"

    def command(self, *args: str) -> bytes:
        """Send a command and return the raw reply."""
        return redis_command(self.socket_path, *args)


def redis_command(socket_path: Path, *args: str) -> bytes:
    """Send a command on a new connection and return the raw reply."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(40)
        connection.connect(str(socket_path))
        parts = [f"*{len(args)}\r\n".encode()]
        parts += [b"$%d\r\n%s\r\n" % (len(a.encode()), a.encode()) for a in args]
        connection.sendall(b"".join(parts))
        return connection.recv(1 << 20)


@contextmanager
def private_redis(directory: Path | None = None, *options: str) -> Iterator[RedisServer]:
    """Run a private Redis, empty and without persistence, until the block ends.

    `directory` must be short (Unix socket paths are limited to 107 bytes); the default is a new
    temporary directory. `options` are further arguments of redis-server, such as
    `"--appendonly", "yes"`.
    """
    with _directory(directory) as where:
        path = where / "redis.sock"
        binary = shutil.which("redis-server") or shutil.which("valkey-server")
        assert binary is not None, "redis-server or valkey-server is not installed"
        where_options = ["--port", "0", "--unixsocket", str(path), "--dir", str(where)]
        argv = [binary, *where_options, "--save", "", *options]
        with _child(argv, where / "redis.log", signal.SIGTERM) as process:
            server = RedisServer(path, process)
            _poll(lambda: server.command("PING") == b"+PONG\r\n", process, where / "redis.log")
            yield server


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running PostgreSQL on a Unix socket, whose superuser is `scalelite`."""

    socket_dir: Path
    process: subprocess.Popen[bytes]

    def url(self, database: str = "postgres") -> str:
        """Return the DATABASE_URL of a database."""
        return f"postgresql://scalelite@/{database}?host={self.socket_dir}"

    def sql(self, statements: str, database: str = "postgres") -> str:
        """Run statements in psql and return its unaligned output, a line per row."""
        return run_sql(self.socket_dir, statements, database)

    def is_running(self) -> bool:
        """Return whether it runs."""
        return self.process.poll() is None

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """Create an empty database, give its name, and drop it."""
        name = f"t{uuid.uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE template0")
        try:
            yield name
        finally:
            if self.is_running():
                self.sql(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


class DatabaseSupply:
    """New databases of a server, made and dropped by a psql of its own while the tests run.

    The next one is made while the last one is in use, since that takes a tenth of a second and more
    under load, much more than most tests with a database.
    """

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._template = template
        self._psql = subprocess.Popen(
            [*_psql(server.socket_dir), "postgres"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._next = self._begin()

    def _run(self, statement: str, mark: str) -> None:
        assert self._psql.stdin is not None
        self._psql.stdin.write(f"{statement};\n\\echo {mark}\n")
        self._psql.stdin.flush()

    def _begin(self) -> str:
        name = f"t{uuid.uuid4().hex[:12]}"
        self._run(f"CREATE DATABASE {name} TEMPLATE {self._template}", name)
        return name

    @contextmanager
    def take(self) -> Iterator[str]:
        """Give the name of a new database, which is dropped after the block."""
        name = self._next
        assert self._psql.stdout is not None
        said = ""
        while not said.endswith(f"{name}\n"):
            line = self._psql.stdout.readline()
            assert line, f"psql has ended: {said}"
            said += line
        self._next = self._begin()
        try:
            yield name
        finally:
            self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", "dropped")

    def close(self) -> None:
        """End psql; the databases go with their server."""
        self._psql.communicate(timeout=40)


def _psql(socket_dir: Path, port: int = 5432) -> list[str | Path]:
    psql = (
        shutil.which("psql") or Path(find_postgres(Path("/nonexistent")).postgres).parent / "psql"
    )
    place = ["-h", str(socket_dir), "-p", str(port), "-U", "scalelite"]
    return [psql, "-XqAt", "-v", "ON_ERROR_STOP=1", *place]


def run_sql(
    socket_dir: Path,
    statements: str,
    database: str = "scalelite",
    *,
    port: int = 5432,
    limit_s: float = 30.0,
) -> str:
    """Run statements in psql and return its unaligned output, a line per row.

    Raises AssertionError: psql's error text; TimeoutExpired.
    """
    done = subprocess.run(
        [*_psql(socket_dir, port), database],
        input=statements,
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@contextmanager
def private_postgres(directory: Path | None = None) -> Iterator[PostgresServer]:
    """Run a private PostgreSQL, with the databases of initdb only, until the block ends.

    `directory` must be empty, short, and accessible to the user of the server if the tests run as
    root; the default is a new temporary directory.
    """
    with _directory(directory) as where:
        programs = find_postgres(where / "data")
        user = choose_store_user(where)
        if user is not None:
            os.chown(where, user.uid, user.gid)
        log = where / "postgres.log"
        common = ["-D", str(where / "data")]
        initdb = [programs.initdb, *common, "--username=scalelite", "--auth=trust", "--no-sync"]
        with _child(
            [*initdb, "--locale=C.UTF-8", "--encoding=UTF8"], log, signal.SIGTERM, user
        ) as made:
            assert made.wait(60) == 0, log.read_text()[-2000:]
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(where),
            "max_connections": "100",
            "shared_buffers": "32MB",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
        }
        options = [word for k, v in settings.items() for word in ("-c", f"{k}={v}")]
        with _child([programs.postgres, *common, *options], log, signal.SIGINT, user) as process:
            server = PostgresServer(where, process)
            _poll(lambda: server.sql("SELECT 1") == "1", process, log)
            yield server


@contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    if given is not None:
        yield given
        return
    made = Path(tempfile.mkdtemp(prefix="sl-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _child(
    argv: list[str], log: Path, stop: signal.Signals, user: StoreUser | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    # setpriv makes the kernel stop the server when pytest is killed.
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", stop.name.removeprefix("SIG"), "--", *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=None if user is None else user.uid,
            group=None if user is None else user.gid,
            extra_groups=None if user is None else [],
        )
    try:
        yield process
    finally:
        # A test may have paused it: a stopped process handles no other signal.
        process.send_signal(signal.SIGCONT)
        process.send_signal(stop)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _poll(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline:
        ended = process.poll()
        assert ended is None, f"server ended with {ended}: {log.read_text()[-2000:]}"
        with suppress(OSError, AssertionError):
            if ready():
                return
        time.sleep(0.005)
    raise AssertionError(f"server not ready in {START_DEADLINE_S} s: {log.read_text()[-2000:]}")
