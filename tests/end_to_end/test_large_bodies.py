"""Documents of many megabytes go through the appliance without being held in its memory."""

from __future__ import annotations

import hashlib
import select
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.doubles.appliance_client import XML
from tests.doubles.appliance_pool import SHORT_TIMEOUTS, ServedPool
from tests.doubles.appliance_process import wait_for

SIZE = 64 << 20
CHUNK = b"<!-- slides -->" * 4096
LIMIT = 80 << 20
FLAT = 24 << 20
"""What memory may grow by while SIZE goes through: buffers and the allocator, not the body."""


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """Give a limit just above SIZE."""
    limit = {"REQUEST_MAX_BYTES": str(LIMIT), "RESPONSE_TIMEOUT": "8"}
    return {**SHORT_TIMEOUTS, "POLL_INTERVAL": "600", **limit}


def pieces(size: int) -> Iterator[bytes]:
    """Yield a body of about `size` bytes."""
    for _ in range(size // len(CHUNK)):
        yield CHUNK


@pytest.mark.parametrize("call", ["create", "insertDocument"])
@pytest.mark.parametrize("chunked", [False, True])
def test_large_document_is_streamed_on_with_flat_memory(
    pool: ServedPool, call: str, chunked: bool
) -> None:
    digest = hashlib.sha256()
    for piece in pieces(SIZE):
        digest.update(piece)
    size = SIZE // len(CHUNK) * len(CHUNK)
    if call == "insertDocument":
        pool.front.create("large")
    before, peak, done = pool.appliance.memory_bytes(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            peak[0] = max(peak[0], pool.appliance.memory_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        length = None if chunked else size
        answer = pool.front.post_xml(call, pieces(SIZE), length=length, meetingID="large")
    finally:
        done.set()
        watcher.join()

    assert answer.returncode == "SUCCESS"
    request = pool.holder("large").requests(call)[-1]
    assert (request["body_size"], request["body_sha256"]) == (size, digest.hexdigest())
    assert peak[0] - before < FLAT


@pytest.mark.parametrize("call", ["create", "insertDocument"])
def test_larger_than_the_limit_is_refused_before_it_is_sent(pool: ServedPool, call: str) -> None:
    """Say so at once when the length tells, so that nobody uploads for nothing."""
    if call == "insertDocument":
        pool.front.create("huge")
    target = pool.front.target(call, {"meetingID": "huge"})
    head = (
        f"POST {target} HTTP/1.1\r\nHost: h\r\nContent-Type: {XML}\r\n"
        f"Content-Length: {LIMIT + 1}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", pool.front.port), 10) as connection:
        connection.sendall(head.encode() + b"<modules>")
        answer = connection.recv(65_536)

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert call == "insertDocument" or pool.requests("create") == 0
    assert pool.front.create("after").returncode == "SUCCESS"


def test_endless_body_is_refused_and_cut_off(pool: ServedPool) -> None:
    target = pool.front.target("create", {"meetingID": "endless"})
    head = (
        f"POST {target} HTTP/1.1\r\nHost: h\r\nContent-Type: {XML}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n"
    )
    chunk = b"%x\r\n%s\r\n" % (len(CHUNK), CHUNK)
    answer, limit_s = b"", time.monotonic() + 30
    with socket.create_connection(("127.0.0.1", pool.front.port), 10) as connection:
        connection.sendall(head.encode())
        try:
            while time.monotonic() < limit_s:
                connection.sendall(chunk)
                if answer:
                    time.sleep(0.01)  # the rest of it should not take all the processor
                elif select.select([connection], [], [], 0)[0]:
                    answer = connection.recv(65_536)
        except OSError:
            limit_s = 0  # it has closed: it had enough

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert limit_s == 0
    wait_for(lambda: pool.record("endless") == {}, 40, "no record")
    assert pool.front.create("after").returncode == "SUCCESS"


def test_client_that_goes_away_leaves_nothing_behind(pool: ServedPool) -> None:
    target = pool.front.target("create", {"meetingID": "gone"})
    head = (
        f"POST {target} HTTP/1.1\r\nHost: h\r\nContent-Type: {XML}\r\n"
        f"Content-Length: {SIZE}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", pool.front.port), 10) as connection:
        connection.sendall(head.encode() + CHUNK * 40)

    wait_for(lambda: pool.record("gone") == {}, 40, "no record")
    assert pool.holders("gone") == []
    assert pool.front.create("gone").returncode == "SUCCESS"


def test_documents_fail_over_while_nothing_of_them_was_sent(pool: ServedPool) -> None:
    with pool.servers[0].fault("refuse"):
        for size in (1000, 4 << 20):
            for number in range(6):
                meeting_id = f"d{size}-{number}"
                answer = pool.front.post_xml("create", b"x" * size, meetingID=meeting_id)
                assert answer.returncode == "SUCCESS"
                assert pool.record(meeting_id)["server_id"] != pool.ids[0]


@pytest.mark.parametrize(
    ("fault", "size", "moves"),
    [
        ({"kind": "status", "status": 500}, 1000, True),
        ({"kind": "status", "status": 500}, SIZE // 4, False),
        ({"kind": "close"}, 1000, False),
        ({"kind": "close"}, SIZE // 4, False),
        ({"kind": "reset"}, SIZE // 4, False),
    ],
)
def test_server_that_fails_before_it_has_the_document(
    pool: ServedPool, fault: dict[str, Any], size: int, moves: bool
) -> None:
    """A small document is replayed where that is safe; a large one that has begun never is."""
    for server in pool.servers[:2]:
        server.add_fault(call="create", early=True, **fault)
    for number in range(3):
        answer = pool.front.post_xml("create", b"x" * size, meetingID=f"m{number}")
        server_id = pool.record(f"m{number}").get("server_id")
        assert answer.status == 200
        if answer.returncode == "SUCCESS":
            assert server_id == pool.ids[2]
        else:
            assert (answer.key, server_id) == ("internalError", None)
            assert not moves
    for server in pool.servers:
        server.clear_faults()
    assert pool.front.post_xml("create", b"x" * size, meetingID="m0").returncode == "SUCCESS"
