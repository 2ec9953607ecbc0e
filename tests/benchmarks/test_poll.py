"""benchmarks/poll.py and its simulated servers: their answers, and a short run."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from appliance.bbb.meeting_list import MeetingListReader
from benchmarks.many_servers import meeting_id
from benchmarks.poll import Figures, Window, parse_options, render
from benchmarks.poll_pool import ManyServers

ROOT = Path(__file__).resolve().parents[2]
QUIET = Window(10.0, 1.0, 0.5, 0.1, 3.0, 1.0, 2.0, 3.0, 0)
CYCLE = replace(QUIET, seconds=20.0, appliance_s=6.0, redis_s=2.0)
FIGURES = Figures(100, 20, 10.0, QUIET, CYCLE, 2, (2, 2), 9, 0, 80.0)


@pytest.fixture(name="servers")
def fixture_servers() -> Iterator[ManyServers]:
    with closing(ManyServers(3, 4)) as servers:
        yield servers


def _call(servers: ManyServers, server: int, call: str) -> bytes:
    url = urlsplit(servers.url(server))
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=40)
    with closing(connection):
        connection.request("GET", f"{url.path}/{call}?checksum=0")
        return connection.getresponse().read()


def test_each_server_lists_its_own_meetings(servers: ManyServers) -> None:
    for server in range(3):
        listed = MeetingListReader().read(_call(servers, server, "getMeetings")).listed

        assert [m.id for m in listed] == [meeting_id(server, n) for n in range(4)]
        assert {m.participants for m in listed} == {2}


def test_calls_are_counted_per_server_until_they_are_read(servers: ManyServers) -> None:
    _call(servers, 1, "getMeetings")
    _call(servers, 1, "getMeetings")
    _call(servers, 2, "")

    assert servers.command("counts") == {"getMeetings": [0, 2, 0], "index": [0, 0, 1]}
    assert servers.command("counts") == {}


def test_first_server_refuses_connections_between_die_and_live(servers: ManyServers) -> None:
    servers.command("die")
    with pytest.raises(ConnectionRefusedError):
        _call(servers, 0, "getMeetings")
    assert _call(servers, 1, "isMeetingRunning")

    servers.command("live")
    assert _call(servers, 0, "isMeetingRunning")


def test_cpu_time_of_a_cycle_excludes_that_of_the_quiet_appliance() -> None:
    assert (FIGURES.appliance_s, FIGURES.redis_s) == (2.0, 0.5)


@pytest.mark.parametrize(
    ("changes", "as_expected"),
    [
        ({}, True),
        ({"polls": (1, 3)}, True),
        ({"polls": (0, 2)}, False),
        ({"polls": (2, 4)}, False),
        ({"others": 1}, False),
        ({"versions": 201}, False),
    ],
)
def test_table_shows_whether_the_calls_are_as_expected(
    changes: dict[str, object], as_expected: bool
) -> None:
    table = render([replace(FIGURES, **changes)])  # type: ignore[arg-type]

    assert table.endswith("yes" if as_expected else "NO")


@pytest.mark.parametrize("pools", ["3", "0x2", "ax2", "1x2x3"])
def test_wrong_pools_are_refused(pools: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_options(["--pools", pools])

    assert "must be like" in capsys.readouterr().err


def test_run_leaves_a_table_and_json(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "benchmarks/poll.py", "--quick", "--pools", "3x5", "--no-deaths"),
            *("--output", tmp_path),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    (figures,) = tmp_path.glob("poll-*.json")
    (pool,) = json.loads(figures.read_text())["pools"]
    assert (pool["servers"], pool["cycle"]["wrong"], pool["others"]) == (3, 0, 0)
