"""A PostgreSQL on a TCP port of the loopback that a test may stop, kill and restart.

Tests that only need a database use tests/doubles/stores.py.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from appliance.system.embedded.state import choose_store_user, find_postgres
from tests.doubles.ports import free_port
from tests.doubles.store_servers import run_sql

_LIMIT_S = 60.0


class PostgresProcess:
    """A cluster with the superuser and database `scalelite`, not started until `start`."""

    def __init__(self, directory: Path, password: str) -> None:
        self.directory = directory
        self.port = free_port()
        self.password = password
        self.process: subprocess.Popen[bytes] | None = None
        self._programs = find_postgres(directory / "data")
        self._user = choose_store_user(directory)
        if self._user is not None:
            os.chown(directory, self._user.uid, self._user.gid)
        self._initialise()

    @property
    def url(self) -> str:
        """Return the DATABASE_URL for TCP with the password."""
        return f"postgresql://scalelite:{self.password}@127.0.0.1:{self.port}/scalelite"

    def _initialise(self) -> None:
        data = self.directory / "data"
        secret = self.directory / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        authentication = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"]
        options = ["--username=scalelite", "--no-sync", "--locale=C.UTF-8", "--encoding=UTF8"]
        made = self._spawn(self._programs.initdb, "-D", str(data), *options, *authentication)
        assert made.wait(_LIMIT_S) == 0, self.log_text()
        self.start()
        self.sql("CREATE DATABASE scalelite", "postgres")
        self.stop()

    def _spawn(self, *argv: str) -> subprocess.Popen[bytes]:
        user = self._user
        with (self.directory / "log").open("ab") as output:
            return subprocess.Popen(
                # The kernel kills it when the test run is killed.
                ["setpriv", "--pdeathsig", "INT", "--", *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                start_new_session=True,
                user=None if user is None else user.uid,
                group=None if user is None else user.gid,
                extra_groups=None if user is None else [],
            )

    def log_text(self) -> str:
        """Return the end of the log."""
        return (self.directory / "log").read_text(errors="replace")[-2000:]

    def start(self) -> None:
        """Start the server and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.directory),
            "shared_buffers": "32MB",
            "fsync": "off",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = self._spawn(
            self._programs.postgres, "-D", str(self.directory / "data"), *options
        )
        program = Path(self._programs.postgres).with_name("pg_isready")
        ready = [str(program), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "1"]
        for _ in range(200):
            assert self.process.poll() is None, self.log_text()
            if subprocess.run(ready, check=False).returncode == 0:
                return
        raise AssertionError(f"not ready: {self.log_text()}")

    def sql(self, statements: str, database: str = "scalelite") -> str:
        """Run statements in psql and return its unaligned output, a line per row."""
        return run_sql(self.directory, statements, database, port=self.port)

    def stop(self, number: signal.Signals = signal.SIGINT) -> None:
        """Stop the server (by default "fast": sessions are ended) and wait for its exit."""
        process, self.process = self.process, None
        if process is not None:
            process.send_signal(number)
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def postgres_process(password: str) -> Iterator[PostgresProcess]:
    """Make a stopped cluster, and remove it at the end of the block."""
    directory = Path(tempfile.mkdtemp(prefix="sl-"))
    server = None
    try:
        server = PostgresProcess(directory, password)
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(directory, ignore_errors=True)
