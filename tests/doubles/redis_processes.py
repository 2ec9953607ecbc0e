"""Redis servers that a test may kill, stop, restart and configure, on a Unix socket and TCP.

Tests that only need a Redis use tests/doubles/stores.py.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import hiredis
import trio

from appliance.redis.client import RedisAddress, RedisClient, Script, open_redis_client
from tests.doubles.ports import free_port

_READY_S = 40.0

DURABLE = ("--appendonly", "yes", "--appendfsync", "no")
"""Options of a Redis that keeps its data when it is killed and does not wait for the disk."""


class RedisProcess:
    """A redis-server with a directory of its own, not started until `start`."""

    def __init__(self, directory: Path, *options: str, port: int | None = None) -> None:
        self.directory = directory
        self.socket_path = directory / "redis.sock"
        self.port = free_port() if port is None else port
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def unix_url(self) -> str:
        """Return the REDIS_URL for the Unix socket."""
        return f"unix://{self.socket_path}"

    @property
    def tcp_url(self) -> str:
        """Return the REDIS_URL for TCP."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the process without waiting until it is ready."""
        self.process = _spawn(
            *("redis-server", *self._ports(), "--unixsocket", str(self.socket_path)),
            *("--dir", str(self.directory), "--save", "", "--bind", "127.0.0.1"),
            *("--enable-debug-command", "yes", *self.options),
        )

    def _ports(self) -> tuple[str, ...]:
        if "--tls-cert-file" in self.options:
            return ("--port", "0", "--tls-port", str(self.port))
        return ("--port", str(self.port))

    def wait_ready(self) -> None:
        """Wait until it answers, even with an error such as a missing password."""
        wait_until(lambda: self.ask("PING") is not None)

    def ask(self, *args: str) -> object:
        """Send a command on a new connection; return the reply, which may be an error."""
        reader = hiredis.Reader(encoding="utf-8")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(40)
            connection.connect(str(self.socket_path))
            connection.sendall(hiredis.pack_command(args))  # type: ignore[arg-type]
            while (reply := reader.gets()) is False:
                reader.feed(connection.recv(65_536))
        return reply

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server."""
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill the server and wait for its exit."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(40)
            self.process = None


def _spawn(*argv: str) -> subprocess.Popen[bytes]:
    # setpriv: the kernel kills the server when the test run is killed.
    return subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--", *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_until(condition: Callable[[], bool]) -> None:
    """Poll until `condition()` is true; OSError, as of a missing socket, counts as false."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        with suppress(OSError):
            if condition():
                return
        time.sleep(0.005)
    raise AssertionError("not ready in time")


async def eventually(condition: Callable[[], bool]) -> None:
    """Poll as `wait_until` does, without blocking other tasks."""
    with trio.fail_after(_READY_S):
        while True:
            with suppress(OSError):
                if condition():
                    return
            await trio.sleep(0.002)


@contextmanager
def short_directory() -> Iterator[Path]:
    """Make a directory whose path is short enough for Unix sockets (107 bytes)."""
    made = Path(tempfile.mkdtemp(prefix="sl-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def redis_process(*options: str) -> Iterator[RedisProcess]:
    """Run an empty Redis until the block ends; `options` are redis-server arguments."""
    with short_directory() as directory:
        server = RedisProcess(directory, *options)
        server.start()
        try:
            server.wait_ready()
            yield server
        finally:
            server.kill()


def _openssl(directory: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


@contextmanager
def tls_redis_process(directory: Path) -> Iterator[RedisProcess]:
    """Run a Redis that accepts only TLS, for "localhost", with its CA in ca.crt."""
    (directory / "empty.cnf").write_text("[req]\ndistinguished_name = name\n[name]\n")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    for name, signer, *extensions in (
        ("ca", (), "basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"),
        ("redis", ("-CA", "ca.crt", "-CAkey", "ca.key"), "subjectAltName=DNS:localhost"),
    ):
        files = ("-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}")
        extra = [part for extension in extensions for part in ("-addext", extension)]
        _openssl(directory, "req", "-x509", "-config", "empty.cnf", *curve, *files, *signer, *extra)
    certificate, key, authority = (
        str(directory / name) for name in ("redis.crt", "redis.key", "ca.crt")
    )
    with redis_process(
        *("--tls-cert-file", certificate, "--tls-key-file", key, "--tls-ca-cert-file", authority),
        *("--tls-auth-clients", "no"),
    ) as server:
        yield server


@contextmanager
def sentinel_process(master_port: int, *, quorum: int = 1) -> Iterator[int]:
    """Run a Sentinel with short timeouts for the master "pool"; give its port."""
    port = free_port()
    with short_directory() as directory:
        configuration = directory / "sentinel.conf"
        configuration.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {directory}\n"
            f"sentinel monitor pool 127.0.0.1 {master_port} {quorum}\n"
            "sentinel down-after-milliseconds pool 1500\n"
            "sentinel failover-timeout pool 2000\n"
        )
        process = _spawn("redis-server", str(configuration), "--sentinel")
        try:
            wait_until(lambda: _listens(port))
            yield port
        finally:
            process.kill()
            process.wait(40)


def _listens(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), 1):
        return True


@asynccontextmanager
async def connected_client(
    url: str, *scripts: Script, deadline_s: float = 40.0, log: object = None
) -> AsyncIterator[RedisClient]:
    """Open a client and wait until it is connected."""
    async with open_redis_client(
        RedisAddress(url),
        scripts=scripts,
        deadline_s=deadline_s,
        log=log,  # type: ignore[arg-type]
    ) as client:
        with trio.fail_after(40):
            await client.wait_connected()
        yield client


class LogBook:
    """A logger that records events."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []

    def info(self, event: str, **fields: object) -> None:
        """Record an INFO event."""
        self.events.append((event, str(fields)))

    def warning(self, event: str, **fields: object) -> None:
        """Record a WARNING event."""
        self.events.append((event, str(fields)))

    debug = error = warning

    @property
    def names(self) -> list[str]:
        """Return the names of the events, in order."""
        return [name for name, _ in self.events]
