"""Run ctl in forks of a process that has imported it, which saves most of what a start takes.

Each command is a process with its own arguments, environment, standard streams and exit code, as
if it was started by a shell. Tests of the start itself (imports, PYTHON… variables, duration) need
a new Python: `start_ctl` in control.py.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
_REQUEST_BYTES = 1 << 20
_STREAMS = 3


def run_forked(
    words: Sequence[str], *, environ: Mapping[str, str], stdin: str, cwd: str, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run `ctl` with these words. Raises TimeoutError."""
    request = json.dumps([[*words], dict(environ), cwd]).encode()
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        given.write(stdin.encode())
        given.seek(0)
        connection.settimeout(timeout_s)
        connection.connect(_start())
        socket.send_fds(connection, [request], [given.fileno(), out.fileno(), err.fileno()])
        answer = connection.recv(64)
        assert answer, "the process that forks ctl has ended"
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode())
    return subprocess.CompletedProcess([*words], int(answer), *texts)


_lock = threading.Lock()


def _start() -> str:
    with _lock:
        return _started(os.getpid())


@cache
def _started(pid: int) -> str:
    """Start the process that forks, once for each process that runs tests; return its address."""
    name = f"forked-ctl-{pid}"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.doubles.forked_ctl", name],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONUTF8": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"

    def stop() -> None:
        process.communicate(timeout=40)

    atexit.register(stop)
    return f"\0{name}"


# --- the process that forks ----------------------------------------------------------------------


def serve(name: str) -> None:
    """Answer requests until standard input ends, as it does when the tests end."""
    from appliance.command_line import run_command  # noqa: F401
    from appliance.ctl.commands import build_parser

    build_parser()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"\0{name}")
        listener.listen(64)
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(connection)
            connection.close()


def _answer(connection: socket.socket) -> NoReturn:
    """Run a command in a fork and answer with its exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    request, fds, _, _ = socket.recv_fds(connection, _REQUEST_BYTES, _STREAMS)
    if (child := os.fork()) == 0:
        connection.close()
        words, environ, cwd = json.loads(request)
        _run(words, environ, cwd, fds)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    connection.send(str(code).encode())
    os._exit(0)


def _run(words: list[str], environ: dict[str, str], cwd: str, fds: list[int]) -> NoReturn:
    for number, fd in enumerate(fds):
        os.dup2(fd, number)
        os.close(fd)
    sys.stdin = open(0, errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stdout = open(1, "w", errors="surrogateescape", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environ)
    from appliance.command_line import run_command

    code = 1
    try:
        code = run_command(["ctl", *words])
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except (Exception, KeyboardInterrupt):
        sys.excepthook(*sys.exc_info())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1])
