"""benchmarks/poll.py and its simulated servers: what they answer, and a short run of everything."""

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
from benchmarks.poll import POOLS, Figures, Window, parse_options, render
from benchmarks.poll_pool import ManyServers

ROOT = Path(__file__).resolve().parents[2]
QUIET = Window(10.0, 1.0, 0.5, 0.1, 3.0, 1.0, 2.0, 3.0, 0)
CYCLE = replace(QUIET, seconds=20.0, appliance_s=6.0, redis_s=2.0)
FIGURES = Figures(100, 20, 10.0, QUIET, CYCLE, 2, (2, 2), 9, 0, 80.0)


@pytest.fixture(name="servers")
def fixture_servers() -> Iterator[ManyServers]:
    with closing(ManyServers(3, 4)) as servers:
        yield servers


def _ask(servers: ManyServers, server: int, call: str) -> bytes:
    url = urlsplit(servers.url(server))
    connection = http.client.HTTPConnection(str(url.hostname), url.port, timeout=40)
    with closing(connection):
        connection.request("GET", f"{url.path}/{call}?checksum=0")
        return connection.getresponse().read()


def test_each_server_lists_its_own_meetings(servers: ManyServers) -> None:
    for server in range(3):
        listed = MeetingListReader().read(_ask(servers, server, "getMeetings")).listed

        assert [m.id for m in listed] == [meeting_id(server, n) for n in range(4)]
        assert {m.participants for m in listed} == {2}


def test_calls_are_counted_by_server_once(servers: ManyServers) -> None:
    _ask(servers, 1, "getMeetings")
    _ask(servers, 1, "getMeetings")
    _ask(servers, 2, "")

    assert servers.tell("counts") == {"getMeetings": [0, 2, 0], "index": [0, 0, 1]}
    assert servers.tell("counts") == {}


def test_first_server_refuses_once_dead_and_lives_again(servers: ManyServers) -> None:
    servers.tell("die")
    with pytest.raises(ConnectionRefusedError):
        _ask(servers, 0, "getMeetings")
    assert _ask(servers, 1, "isMeetingRunning")

    servers.tell("live")
    assert _ask(servers, 0, "isMeetingRunning")


def test_cycle_is_what_polling_adds_to_the_quiet_appliance() -> None:
    assert (FIGURES.appliance_s, FIGURES.redis_s) == (2.0, 0.5)


@pytest.mark.parametrize(
    ("changes", "as_asked"),
    [
        ({}, True),
        ({"polls": (1, 3)}, True),
        ({"polls": (0, 2)}, False),
        ({"polls": (2, 4)}, False),
        ({"others": 1}, False),
        ({"versions": 201}, False),
    ],
)
def test_table_says_whether_requests_are_as_asked(
    changes: dict[str, object], as_asked: bool
) -> None:
    table = render([replace(FIGURES, **changes)])  # type: ignore[arg-type]

    assert table.endswith("yes" if as_asked else "NO")


def test_options_have_defaults_and_a_quick_set() -> None:
    assert parse_options([]).pools == POOLS
    assert len(parse_options(["--quick"]).pools) < len(POOLS)
    assert parse_options(["--pools", "2x3"]).pools == ("2x3",)


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
