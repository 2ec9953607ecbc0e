"""Run one embedded server as a child process: start, watch, restart, stop.

What differs between Redis and PostgreSQL is in `ChildSpec`. Which processes work in a data
directory is read from /proc: a process id in a file may belong to another process by now.

No child outlives the appliance. A clean exit stops it. When the appliance is killed, the kernel
stops it (PR_SET_PDEATHSIG, set by setpriv of util-linux after the change of user, which would clear
it); if that fails, the next start does. The kernel sends the signal when the THREAD that forked
ends. `trio.run_process` forks in a worker thread that ends when idle, so `spawn` does not use it
and must run in the main thread.
Source: prctl(2), PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import trio

from appliance.log import Log
from appliance.system.embedded.state import EmbeddedStoresError, StoreUser

SERVER_NAMES = frozenset({"postgres", "redis-server", "valkey-server"})
"""Only these are stopped when they work in a data directory, not an operator's shell."""
FIRST_RESTART_S, LAST_RESTART_S = 1.0, 60.0
STOP_DEADLINE_S = 10.0
"""After it a server is killed: it recovers at the next start and loses no data."""
POLL_S = 0.005
LOG_MAX_BYTES = 1_000_000
QUIET_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
"""The whole environment of a child: that of the appliance holds secrets."""


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to run one server."""

    name: str
    directory: Path
    """Its data directory, which is also its current directory once it runs."""
    argv: Callable[[str], list[str]]
    """Returns its command line, given a path to the data directory that needs no access to the
    directories above it."""
    stop_signal: signal.Signals
    log_file: Path
    user: StoreUser | None
    clear_leftovers: Callable[[], None]
    """Removes files of a killed server; called when none is running."""
    is_ready: Callable[[], Awaitable[bool]]


class Child:
    """A server that runs until `stop`."""

    def __init__(self, spec: ChildSpec, log: Log) -> None:
        self._spec = spec
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at_s = 0.0

    @property
    def pid(self) -> int | None:
        """Return the process id while the server runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    async def start(self) -> None:
        """Start the server and wait until it answers, without a time limit while it runs.

        Raises EmbeddedStoresError: it exited; the text holds the last lines of its log.
        """
        spec = self._spec
        await end_strays(spec.directory, spec.stop_signal, self._log)
        spec.clear_leftovers()
        self._started_at_s = trio.current_time()
        self._process = spawn(
            spec.argv, spec.directory, spec.user, spec.log_file, death_signal=spec.stop_signal
        )
        report_at_s = self._started_at_s + 5
        while not await self._answers():
            if self._process.poll() is not None:
                how = describe_exit(self._process.returncode)
                raise EmbeddedStoresError(
                    f"The embedded {spec.name} did not start ({how})."
                    f" The end of {spec.log_file}:\n{last_lines(spec.log_file)}"
                )
            if trio.current_time() >= report_at_s:
                report_at_s += 5
                waited_s = round(trio.current_time() - self._started_at_s)
                self._log.info("embedded_store_starting", store=self._spec.name, waited_s=waited_s)
            await trio.sleep(POLL_S)
        ready_ms = round((trio.current_time() - self._started_at_s) * 1000)
        self._log.info(
            "embedded_store_ready", store=self._spec.name, pid=self._process.pid, ms=ready_ms
        )

    async def _answers(self) -> bool:
        with trio.move_on_after(2):
            return await self._spec.is_ready()
        return False

    async def keep_running(self) -> None:
        """Restart the server when it exits, after 1 s, doubling to 60 s while it fails."""
        delay_s = FIRST_RESTART_S
        while True:
            if self._process is not None:
                code = await wait_exit(self._process)
                if trio.current_time() - self._started_at_s > LAST_RESTART_S:
                    delay_s = FIRST_RESTART_S
                self._log.warning(
                    "embedded_store_ended",
                    store=self._spec.name,
                    exit=describe_exit(code),
                    restart_in_s=delay_s,
                )
            await trio.sleep(delay_s)
            delay_s = min(delay_s * 2, LAST_RESTART_S)
            try:
                await self.start()
            except (EmbeddedStoresError, OSError) as error:
                self._process = None
                self._log.error(
                    "embedded_store_restart_failed",
                    store=self._spec.name,
                    error=str(error),
                    retry_in_s=delay_s,
                )

    async def stop(self) -> None:
        """Stop the server cleanly, and kill it after a deadline. Not cancellable."""
        with trio.CancelScope(shield=True):
            process = self._process
            if process is not None and process.poll() is None:
                process.send_signal(self._spec.stop_signal)
                with trio.move_on_after(STOP_DEADLINE_S):
                    await wait_exit(process)
                if process.poll() is None:
                    self._log.warning(
                        "embedded_store_killed", store=self._spec.name, waited_s=STOP_DEADLINE_S
                    )
                    process.kill()
                    await wait_exit(process)
            # Child processes of PostgreSQL outlive a killed postmaster for a moment.
            await end_strays(self._spec.directory, signal.SIGKILL, self._log)


def spawn(
    argv: Callable[[str], list[str]],
    directory: Path,
    user: StoreUser | None,
    log_file: Path,
    *,
    death_signal: signal.Signals,
    stdin: bytes = b"",
) -> subprocess.Popen[bytes]:
    """Start a program on a data directory as the store user, in a new process group (no Ctrl-C).

    Not in a new session: the kernel shares processors between sessions first, and a store would
    wait for work of low priority in that of the appliance. Source: sched(7), "autogroup".

    The directory is passed as an open descriptor and named `/proc/self/fd/N`, because the store
    user may lack access to a directory above it (root's home, pytest's tmp_path). `stdin` must fit
    into a pipe (64 KiB).
    Raises EmbeddedStoresError: the program cannot be started.
    """
    try:
        with _open_directory(directory) as path, _open_log(log_file) as output:
            process = subprocess.Popen(
                _with_death_signal(argv(path), death_signal),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=QUIET_ENVIRONMENT,
                pass_fds=(int(Path(path).name),),
                process_group=0,
                user=None if user is None else user.uid,
                group=None if user is None else user.gid,
                extra_groups=None if user is None else [],
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise EmbeddedStoresError(f"{argv('')[0]} cannot be started: {error}") from error
    assert process.stdin is not None
    with process.stdin as pipe, suppress(BrokenPipeError):
        pipe.write(stdin)
    return process


@contextmanager
def _open_directory(directory: Path) -> Iterator[str]:
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _with_death_signal(command: list[str], number: signal.Signals) -> list[str]:
    setpriv = shutil.which("setpriv")
    if setpriv is None:  # not Debian; the next start stops the orphans
        return command
    return [setpriv, "--pdeathsig", number.name.removeprefix("SIG"), "--", *command]


def _open_log(path: Path) -> BinaryIO:
    with suppress(FileNotFoundError):
        if path.stat().st_size > LOG_MAX_BYTES:
            path.replace(path.with_suffix(".log.old"))
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "ab", buffering=0)


def last_lines(path: Path, count: int = 5) -> str:
    """Return the last lines of a log file; an empty text if it cannot be read."""
    try:
        text = path.read_bytes()[-4000:].decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-count:])


def describe_exit(code: int) -> str:
    """Return `exit code 1` or `SIGKILL` for subprocess's return code."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


async def wait_exit(process: subprocess.Popen[bytes]) -> int:
    """Wait until the process has ended, reap it and return its code (negative: a signal)."""
    if process.poll() is None:
        descriptor = os.pidfd_open(process.pid)
        try:
            await trio.lowlevel.wait_readable(descriptor)
        finally:
            os.close(descriptor)
    return process.wait()


async def end_strays(directory: Path, stop_signal: signal.Signals, log: Log) -> None:
    """Stop the servers that an earlier run left working in `directory`; kill them after a deadline.

    Raises EmbeddedStoresError: one does not exit.
    """
    strays = _signal_strays(directory, stop_signal)
    if not strays:
        return
    if stop_signal != signal.SIGKILL:
        log.warning("embedded_store_orphans_found", pids=strays)
    for last_signal in (None, signal.SIGKILL):
        if last_signal is not None:
            _signal_strays(directory, last_signal)
        with trio.move_on_after(STOP_DEADLINE_S):
            while True:
                if not _strays(directory):
                    return
                await trio.sleep(POLL_S)
    raise EmbeddedStoresError(
        f"Processes {_strays(directory)} of an earlier run in {directory} cannot be stopped."
    )


def _signal_strays(directory: Path, number: signal.Signals) -> list[int]:
    signalled = []
    for pid in _strays(directory):
        with suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                # Checked again: with an open descriptor the id cannot pass to another process.
                if pid in _strays(directory):
                    signal.pidfd_send_signal(descriptor, number)
                    signalled.append(pid)
            finally:
                os.close(descriptor)
    return signalled


def _strays(directory: Path) -> list[int]:
    try:
        wanted = os.stat(directory)
    except FileNotFoundError:
        return []
    return [
        int(entry)
        for entry in os.listdir("/proc")
        if entry.isdecimal() and _is_server_in(entry, (wanted.st_dev, wanted.st_ino))
    ]


def _is_server_in(pid: str, inode: tuple[int, int]) -> bool:
    # OSError: the process has exited, or belongs to another user.
    with suppress(OSError):
        found = os.stat(f"/proc/{pid}/cwd")
        if (found.st_dev, found.st_ino) == inode:
            return Path(f"/proc/{pid}/comm").read_text().strip() in SERVER_NAMES
    return False
