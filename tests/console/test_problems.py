"""What is wrong with a pool, and its order."""

from __future__ import annotations

import pytest

from appliance.console.problems import find_problems
from appliance.console.snapshot import Examination, PoolSnapshot, ServerRow, Work
from appliance.doctor.findings import Finding, Level, fail, ok, warn
from appliance.fleet.capacity import Capacity, Demand
from appliance.instruments import LastPoll
from appliance.model import Server, ServerId, ServerState

ENABLED, CORDONED, DISABLED = ServerState.ENABLED, ServerState.CORDONED, ServerState.DISABLED


def server(number: int, **values: object) -> Server:
    """Return a server that takes meetings, with other values."""
    known = {"state": ENABLED, "online": True, "load": 1.0}
    return Server(ServerId(f"bbb{number}"), f"https://bbb{number}", "s", **{**known, **values})  # type: ignore[arg-type]


def snapshot(*servers: Server, failure: str = "", **values: object) -> PoolSnapshot:
    """Return a snapshot of servers whose last poll failed so, or not."""
    rows = tuple(ServerRow(one, one.id, LastPoll(0, 0.1, failure), 0) for one in servers)
    return PoolSnapshot(0, rows, {row.server.id: row for row in rows}, **values)  # type: ignore[arg-type]


def seats(free: int, total: int) -> Capacity:
    """Return a capacity with so many seats."""
    return Capacity(Demand(0, 0, None), 0, total, free, 1, 1)


def texts(seen: PoolSnapshot) -> list[str]:
    """Return the problems in words, with their values."""
    return [one.text.format_map(one.values) for one in find_problems(seen)]


def test_pool_without_faults_has_no_problem() -> None:
    assert not texts(snapshot(server(1), server(2, state=DISABLED, online=False)))


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (snapshot(), "There are no servers yet"),
        (snapshot(vanished=3), "All 3 servers have vanished from Redis"),
        (snapshot(server(1, state=DISABLED)), "No server is enabled"),
        (snapshot(server(1, online=False)), "No enabled server answers"),
        (snapshot(server(1), server(2, online=False)), "bbb2 is enabled and does not answer"),
        (snapshot(server(1), server(2, unstable=True)), "bbb2 answers unreliably"),
        (
            snapshot(server(1, max_users=100), capacity=seats(5, 100)),
            "Only 5 of 100 seats are free",
        ),
        (snapshot(server(1), store_down="refused"), "Redis does not answer"),
        (snapshot(server(1), work=Work(database_down="gone")), "PostgreSQL does not answer"),
        (snapshot(server(1), work=Work(imports_failed=2)), "2 recordings could not be imported"),
        (snapshot(server(1), work=Work(callbacks_failed=1)), "1 calls to front-ends failed"),
    ],
)
def test_problem_is_named_first(seen: PoolSnapshot, expected: str) -> None:
    assert texts(seen)[0].startswith(expected)


def test_reason_of_a_dead_server_is_in_the_advice() -> None:
    seen = snapshot(server(1), server(2, online=False), failure="connection refused")

    (problem,) = find_problems(seen)

    assert problem.level is Level.FAIL
    assert problem.href == "/scalelite/servers/bbb2"
    assert "(connection refused)" in problem.advice.format_map(problem.values)


def test_many_dead_servers_are_one_problem() -> None:
    dead = [server(number, online=False) for number in range(2, 12)]

    assert texts(snapshot(server(1), *dead)) == ["10 servers do not answer"]


def test_findings_of_doctor_are_added_unless_the_snapshot_says_it_anyway() -> None:
    findings: tuple[Finding, ...] = (
        ok("clock", "right"),
        warn("certificate", "ends soon", "renew it"),
        fail("server bbb2", "does not answer", "repair it"),
        fail("redis", "does not answer", "start it"),
        *(warn(f"secret {number}", "is short", "change it") for number in range(6)),
    )
    seen = snapshot(server(1), server(2, online=False), examination=Examination(findings, 0))

    assert texts(seen) == [
        "bbb2 is enabled and does not answer",
        "ends soon",
        "secret: 6 findings of the doctor, the first: is short",
    ]


def test_scarce_seats_are_said_only_if_a_server_has_a_limit() -> None:
    full = seats(0, 400)

    assert not texts(snapshot(server(1), capacity=full))
    assert not texts(snapshot(server(1), server(2, max_users=200, state=CORDONED), capacity=full))
    assert texts(snapshot(server(1), server(2, max_users=200), capacity=full)) == [
        "Only 0 of 400 seats are free"
    ]
