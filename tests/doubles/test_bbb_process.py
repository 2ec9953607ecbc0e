"""Starting, stopping, pausing and restarting simulated BBB servers."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.doubles.bbb_calls import TIMEOUT_S, fetch
from tests.doubles.bbb_process import SCRIPT, BbbProcess, open_bbb_servers


async def test_servers_start_together_restart_and_stop() -> None:
    async with open_bbb_servers(3) as servers:
        assert len({server.port for server in servers}) == 3
        first = servers[0]
        first.create_meeting("m1")
        port = first.port
        first.restart()
        assert (first.port, first.meetings()) == (port, {})
        assert fetch(first.url)[0] == 200
    assert first.pid is None
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), 1).close()


def test_paused_server_does_not_answer_until_resumed() -> None:
    with BbbProcess() as server:
        server.pause()
        with pytest.raises(TimeoutError):
            fetch(server.url, timeout_s=0.2)
        server.resume()
        assert fetch(server.url)[0] == 200


@pytest.mark.parametrize("how", ["stdin", "term"])
def test_server_exits_on_sigterm_or_when_its_parent_is_gone(how: str) -> None:
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "--secret", "s", "--with-parent"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout:
        assert b'"port"' in process.stdout.readline()
        started = time.monotonic()
        if how == "stdin":
            process.stdin.close()
        else:
            process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0
        process.stdin.close()
    assert time.monotonic() - started < TIMEOUT_S
