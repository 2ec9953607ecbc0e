"""benchmarks/load_generator.py with a simulated BBB server, without an appliance."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from benchmarks.load_generator import Client, Job, Report, Run, fault
from benchmarks.scenarios import SUCCESS, Exchange
from tests.doubles.bbb_process import BbbProcess

EXPECTED = Exchange(b"", b"200", (SUCCESS, b"<running>true</running>"))
HEAD = b"HTTP/1.1 200 \r\ncontent-length: 1\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[BbbProcess]:
    with BbbProcess() as double:
        double.create_meeting("base")
        double.set_users("base", participants=2, listed=True)
        yield double


def run(server: BbbProcess, scenario: str, **changes: object) -> Report:
    assert server.pid is not None
    fields: dict[str, object] = {
        "scenario": scenario,
        "host": "127.0.0.1",
        "port": server.port,
        "connections": 3,
        "warm_up_s": 0.02,
        "seconds": 0.3,
        "secret": server.secret,
        "meetings": ["base"],
        "label": "new",
        "pids": {"appliance": server.pid},
    }
    return Run(Job(**(fields | changes))).measure()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (HEAD + SUCCESS + b"<running>true</running>", None),
        (HEAD + SUCCESS + b"<running>false</running>", "no <running>true</running> in the answer"),
        (HEAD + b"<messageKey>notFound</messageKey>", "notFound"),
        (b"HTTP/1.1 503 \r\n\r\n", "status b'503'"),
    ],
)
def test_answer_is_checked(answer: bytes, problem: str | None) -> None:
    assert fault(answer, EXPECTED) == problem


def test_chunked_answer_is_complete_with_the_last_chunk() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client(listener.getsockname())
        peer, _ = listener.accept()
        with client.sock, peer:
            client.send(Exchange(b"GET / HTTP/1.1\r\n\r\n", b"200", ()))
            head = b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n"
            for part in (head, b"3\r\nabc\r\n", b"1\r\nd"):
                peer.sendall(part)
                assert client.receive() is None
            peer.sendall(b"\r\n0\r\n\r\n")
            assert client.receive() == head + b"3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"


@pytest.mark.parametrize("scenario", ["index", "isMeetingRunning", "getMeetingInfo", "getMeetings"])
def test_requests_are_counted_and_timed(server: BbbProcess, scenario: str) -> None:
    if scenario == "index":
        server.clear_requests()

    report = run(server, scenario)

    assert (report.failure, report.errors, report.samples) == ("", 0, [])
    assert report.requests > 0
    assert report.seconds >= 0.3
    assert report.latency_ms == sorted(report.latency_ms)
    assert 0 < report.cpu_s["appliance"] <= report.seconds + 0.1
    assert report.cpu_s["generator"] > 0


def test_created_meetings_are_ended_after_the_measurement(server: BbbProcess) -> None:
    report = run(server, "create")

    assert (report.failure, report.errors) == ("", 0)
    assert report.requests > 0
    assert list(server.meetings()) == ["base"]


def test_wrong_answers_are_counted_and_described(server: BbbProcess) -> None:
    report = run(server, "isMeetingRunning", secret="wrong")

    assert report.failure == ""
    assert report.errors >= report.requests > 0
    assert report.samples == ["checksumError"]


def test_closed_connections_are_counted_and_replaced(server: BbbProcess) -> None:
    with server.fault("close", "isMeetingRunning", times=2):
        report = run(server, "isMeetingRunning")

    assert report.failure == ""
    assert report.errors == 2
    assert report.requests > 2


def test_run_fails_when_the_connection_is_refused(server: BbbProcess) -> None:
    with BbbProcess() as gone:
        port = gone.port

    assert "refused" in run(server, "index", port=port).failure
