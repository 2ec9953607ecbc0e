"""SIGTERM, SIGINT and SIGHUP: requests under way are answered, then it ends with 0, always."""

from __future__ import annotations

import http.client
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.doubles.appliance_client import PREFIX, XML
from tests.doubles.appliance_process import ApplianceProcess, not_started, wait_for, wait_for_more
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.store_servers import RedisServer

ENDS_S = 20.0
"""Less than the 25 s that a request under way is given."""


@pytest.fixture(scope="module")
def bbb() -> Iterator[BbbProcess]:
    """Give one simulated server."""
    with BbbProcess() as server:
        yield server


@pytest.fixture
def appliance(
    tmp_path: Path, redis_server: RedisServer, redis_namespace: str, bbb: BbbProcess
) -> Iterator[ApplianceProcess]:
    """Give an appliance that the test may stop, with the server in its pool."""
    stores = {"REDIS_URL": redis_server.url, "REDIS_NAMESPACE": redis_namespace}
    more = {"DB_DISABLED": "true", "SECRET_KEY_BASE": "k" * 64, "POLL_INTERVAL": "600"}
    more["RESPONSE_TIMEOUT"] = "60"
    with ApplianceProcess(tmp_path, **stores, **more) as started:
        bbb.forget_meetings()
        bbb.clear_requests()
        started.add_server(bbb)
        yield started
        bbb.clear_faults()


@pytest.fixture(scope="module", autouse=True)
def stuck(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, bbb: BbbProcess
) -> Iterator[tuple[ApplianceProcess, float]]:
    """Give an appliance that was stopped while others are stuck, and when that was.

    For the whole module: it takes 25 s, in which the other tests run.
    """
    directory = tmp_path_factory.mktemp("stuck")
    environ = {"REDIS_URL": redis_server.url, "REDIS_NAMESPACE": "stuck", "RESPONSE_TIMEOUT": "60"}
    more = {"DB_DISABLED": "true", "SECRET_KEY_BASE": "k" * 64, "POLL_INTERVAL": "600"}
    with BbbProcess() as hanging, not_started(directory, **environ, **more) as appliance:
        appliance.start().add_server(hanging)
        front, address = appliance.front, ("127.0.0.1", appliance.front.port)
        create = front.target("create", {"meetingID": "stalled"}).encode()
        document = f"Content-Type: {XML}\r\nContent-Length: 99\r\n\r\n<modules>".encode()
        listing = f"GET {front.target('getMeetings')} HTTP/1.1\r\nHost: h\r\n\r\n".encode()
        with ExitStack() as stack:
            sends_no_more, reads_nothing, waits = (
                stack.enter_context(socket.create_connection(address, 5)) for _ in range(3)
            )
            sends_no_more.sendall(b"POST " + create + b" HTTP/1.1\r\nHost: h\r\n" + document)
            reads_nothing.setblocking(False)
            for number in range(300):
                hanging.create_meeting(f"filler {number}")
            with suppress(BlockingIOError):
                for _ in range(2000):
                    reads_nothing.sendall(listing)
            hanging.add_fault("hang", "create")
            asked = front.target("create", {"meetingID": "hangs"})
            waits.sendall(f"GET {asked} HTTP/1.1\r\nHost: h\r\n\r\n".encode())
            wait_for(lambda: hanging.requests("create"), 40, "sent")
            appliance.signal(signal.SIGTERM)
            yield appliance, time.monotonic()


def is_refused(port: int) -> bool:
    """Return whether nobody listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), 2).close()
    except ConnectionRefusedError:
        return True
    return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_request_in_flight_is_answered_and_new_ones_are_refused(
    appliance: ApplianceProcess, bbb: BbbProcess, number: signal.Signals
) -> None:
    bbb.add_fault("delay", "create", seconds=60)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(appliance.front.create, "slow")
        wait_for(lambda: bbb.requests("create"), 40, "sent")

        appliance.signal(number)
        wait_for(lambda: is_refused(appliance.front.port), 40, "refused")
        assert not slow.done()
        bbb.clear_faults()

        assert slow.result().returncode == "SUCCESS"
    assert slow.result().text("meetingID") == "slow"
    assert appliance.wait(within_s=ENDS_S) == 0
    appliance.start()
    assert appliance.front.info("slow").returncode == "SUCCESS"


def test_request_in_flight_on_a_kept_connection_is_answered_too(
    appliance: ApplianceProcess, bbb: BbbProcess
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", appliance.front.port, timeout=40)
    connection.request("GET", "/health_check")
    assert connection.getresponse().read() == b"success"
    bbb.add_fault("delay", "getMeetings", seconds=60, times=1)
    connection.request("GET", appliance.front.target("getMeetings"))
    wait_for(lambda: len(bbb.requests("getMeetings")) >= 2, 40, "sent")

    appliance.signal(signal.SIGTERM)
    appliance.wait_event("stopping")
    bbb.clear_faults()

    assert b"noMeetings" in connection.getresponse().read()
    assert appliance.wait(within_s=ENDS_S) == 0
    connection.close()


def test_idle_clients_do_not_delay_the_end(appliance: ApplianceProcess) -> None:
    port = appliance.front.port
    with ExitStack() as stack:
        for number in range(300):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
            if number % 3 == 1:
                client.sendall(b"GET /health_check HTTP/1.1\r\nHost: h\r\n")  # never ends
            if number % 3 == 2:
                client.sendall(b"GET /health_check HTTP/1.1\r\nHost: h\r\n\r\n")
                assert client.recv(4096).startswith(b"HTTP/1.1 200")
        assert appliance.front.fetch("GET", "/health_check").status == 200

        assert appliance.terminate(within_s=ENDS_S) == 0


def test_second_signal_stops_at_once(appliance: ApplianceProcess, bbb: BbbProcess) -> None:
    bbb.add_fault("delay", "create", seconds=60)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(appliance.front.create, "slow")
        wait_for(lambda: bbb.requests("create"), 40, "sent")
        appliance.signal(signal.SIGTERM)
        appliance.wait_event("stopping")

        appliance.signal(signal.SIGTERM)

        assert appliance.wait(within_s=ENDS_S) == 0
        with pytest.raises((OSError, http.client.HTTPException)):
            slow.result()


def test_hangup_changes_nothing(appliance: ApplianceProcess, bbb: BbbProcess) -> None:
    bbb.add_fault("delay", "create", seconds=60)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(appliance.front.create, "slow")
        wait_for(lambda: bbb.requests("create"), 40, "sent")
        for _ in range(3):
            appliance.signal(signal.SIGHUP)
        appliance.wait_event("reloading")
        bbb.clear_faults()

        assert slow.result().returncode == "SUCCESS"
    assert appliance.front.info("slow").returncode == "SUCCESS"


def test_hangup_goes_on_in_a_new_file_where_the_log_was_rotated(
    appliance: ApplianceProcess,
) -> None:
    old = appliance.log_file.with_suffix(".1")
    appliance.log_file.rename(old)
    appliance.signal(signal.SIGHUP)

    wait_for(appliance.log_file.exists, 10, "the new file")
    assert appliance.front.info("unknown").key == "notFound"
    wait_for(lambda: '"call": "getMeetingInfo"' in appliance.log_text(), 10, "a line in it")
    assert '"event": "reloading"' in old.read_text()


def test_stop_under_load_breaks_no_answer(appliance: ApplianceProcess) -> None:
    """Whoever is connected gets a whole answer or none; nobody gets half of one."""
    stop, broken, answered = threading.Event(), [], [0]

    def client(name: int, ask: Callable[[str], object]) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            try:
                ask(f"m {name} {count}")
                answered[0] += 1
            except OSError:
                stop.wait(0.01)
            except Exception as error:
                broken.append(repr(error))

    def create(meeting_id: str) -> None:
        assert appliance.front.create(meeting_id).returncode == "SUCCESS"

    threads = [threading.Thread(target=client, args=(number, create)) for number in range(12)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            wait_for_more(answered, 50)
            assert appliance.terminate(within_s=ENDS_S) == 0
            appliance.start()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert broken == []


def test_it_ends_in_time_again_and_again(appliance: ApplianceProcess, bbb: BbbProcess) -> None:
    for number in range(5):
        assert appliance.front.create(f"m{number}").returncode == "SUCCESS"
        assert appliance.terminate(within_s=ENDS_S) == 0
        appliance.start()
    assert appliance.front.fetch("GET", PREFIX).returncode == "SUCCESS"
    assert len(bbb.meetings()) == 5


def test_killed_while_creating_starts_again(appliance: ApplianceProcess, bbb: BbbProcess) -> None:
    bbb.add_fault("delay", "create", seconds=60)
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(appliance.front.create, "slow")
        wait_for(lambda: bbb.requests("create"), 40, "sent")
        appliance.kill()
        with pytest.raises((OSError, http.client.HTTPException)):
            slow.result()
    bbb.clear_faults()

    appliance.start()

    assert appliance.front.create("slow").returncode == "SUCCESS"
    assert list(bbb.meetings()) == ["slow"]


def test_clients_and_servers_that_are_stuck_do_not_hold_up_the_end_for_ever(
    stuck: tuple[ApplianceProcess, float],
) -> None:
    """They get the 25 s of any request; who comes after them must not wait for longer."""
    appliance, stopped_s = stuck

    # Cut off by the last resort, after 40 s, it would end with 1.
    assert appliance.wait(within_s=max(1.0, stopped_s + 60 - time.monotonic())) == 0
    appliance.finish()
