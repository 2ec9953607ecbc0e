"""Each way in which a BBB server can fail: the specified answer, and nobody else notices.

The list is that of tests/doubles/bbb_faults.py; a kind that is new there must be added here.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.doubles import bbb_faults
from tests.doubles.appliance_client import Answer
from tests.doubles.appliance_pool import ServedPool
from tests.doubles.appliance_process import wait_for
from tests.doubles.bbb_process import BbbProcess

LIMIT_S = 2.0
SOON_S = 20.0
MEMORY = 40 << 20
ANSWERED = {"delay", "wrong_content_type"}
"""Odd, but answered all the same; gzip is no answer, since we do not ask for it."""

FAULTS: list[dict[str, Any]] = [
    *({"kind": kind} for kind in ("refuse", "hang_accept", "hang", "close", "reset", "half")),
    *({"kind": kind} for kind in ("truncated", "garbage", "empty", "bomb", "external_entity")),
    *({"kind": kind} for kind in ("no_returncode", "not_http", "redirect_loop", "slow_drip")),
    *({"kind": "status", "status": status} for status in (204, 301, 403, 404, 500, 502, 504)),
    {"kind": "status", "status": 503, "executed": True},
    *({"kind": "big"}, {"kind": "big", "size": 0}),
    {"kind": "delay", "seconds": 0.5},
    *({"kind": "wrong_content_type"}, {"kind": "gzip"}),
    {"kind": "failed", "key": "odd", "message": "Odd & <end>"},
]


def name_of(fault: dict[str, Any]) -> str:
    """Name a case by its fault."""
    return "-".join(str(value).split(" ")[0] for value in fault.values())


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """Give short limits, a small one for answers, and polls that go on meanwhile."""
    return {
        "CONNECT_TIMEOUT": "0.5",
        "RESPONSE_TIMEOUT": str(LIMIT_S),
        "RESPONSE_MAX_BYTES": str(4 << 20),
        "POLLER_WAIT_TIMEOUT": "0.5",
        "POLL_INTERVAL": "600",
        "SERVER_UNHEALTHY_THRESHOLD": "1000",
    }


@pytest.fixture
def broken(pool: ServedPool) -> BbbProcess:
    """Give the one server with the tag `broken`, which has the meeting `there`."""
    change = {"id": pool.ids[0], "server": {"tag": "broken"}}
    pool.appliance.control.post("updateServer", change)
    pool.front.create("there", **{"meta_server-tag": "broken!"})
    pool.front.create("elsewhere")
    assert pool.holder("there") is pool.servers[0]
    return pool.servers[0]


def ask_while_others_do(pool: ServedPool, call: str, **params: str) -> Answer:
    """Make a call that meets the fault; meanwhile calls to other servers go on undelayed."""
    before = pool.appliance.memory_bytes()
    meanwhile = 0
    with ThreadPoolExecutor(1) as threads:
        meeting = threads.submit(pool.front.get, call, **params)
        while not meeting.done():
            assert pool.front.info("elsewhere").returncode == "SUCCESS"
            meanwhile += not meeting.done()
            time.sleep(0.02)
    assert pool.appliance.memory_bytes() - before < MEMORY
    answer = meeting.result()
    assert answer.status == 200
    assert answer.took_s < SOON_S
    assert meanwhile or answer.took_s < LIMIT_S
    return answer


def expect(answer: Answer, fault: dict[str, Any], message: str) -> None:
    """Check the answer that a front-end gets."""
    if fault["kind"] in ANSWERED:
        assert (answer.returncode, answer.key) == ("SUCCESS", "")
    elif fault["kind"] == "failed":
        assert (answer.key, answer.message) == ("odd", "Odd & <end>")
    else:
        assert (answer.returncode, answer.key) == ("FAILED", "internalError")
        assert answer.message == message


def test_every_kind_of_fault_is_here() -> None:
    known = {*bbb_faults.LISTENER_KINDS, "delay", *bbb_faults._STRIKES}

    assert {fault["kind"] for fault in FAULTS} == known


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_meeting_info_gets_the_specified_answer(
    pool: ServedPool, broken: BbbProcess, fault: dict[str, Any]
) -> None:
    before = pool.record("there")

    with broken.fault(**fault):
        answer = ask_while_others_do(pool, "getMeetingInfo", meetingID="there")
        assert len(broken.requests("getMeetingInfo")) <= 1

    expect(answer, fault, "Unable to access meeting on server.")
    assert pool.record("there") == before
    answer = pool.front.info("there")  # over a connection that is sound
    assert (answer.returncode, answer.text("meetingID")) == ("SUCCESS", "there")


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_create_gets_the_specified_answer(
    pool: ServedPool, broken: BbbProcess, fault: dict[str, Any]
) -> None:
    params = {"meetingID": "new", "meta_server-tag": "broken!"}

    with broken.fault(**fault):
        answer = ask_while_others_do(pool, "create", **params)

    expect(answer, fault, "Unable to create meeting on server.")
    assert len(broken.requests("create")) <= 2
    if answer.returncode == "SUCCESS":
        assert pool.holder("new") is broken
    else:
        assert pool.record("new") == {}
        wait_for(lambda: not pool.holders("new"), 40, "nothing is left of it")
    retry = pool.front.get("create", **params)
    assert retry.returncode == "SUCCESS"
    assert pool.holder("new") is broken


def test_faults_are_named_once_not_once_per_request(pool: ServedPool, broken: BbbProcess) -> None:
    log = pool.appliance
    before = len([event for event in log.events() if event["level"] == "warning"])

    with broken.fault("status", status=500):
        for _ in range(50):
            assert pool.front.info("there").key == "internalError"

    warnings = [event for event in log.events() if event["level"] == "warning"][before:]
    assert 1 <= len(warnings) <= 4
    assert {pool.ids[0]} == {event.get("server", event.get("subject")) for event in warnings}


def test_many_calls_to_a_hanging_server_delay_no_other(
    pool: ServedPool, broken: BbbProcess
) -> None:
    broken.pause()
    try:
        with ThreadPoolExecutor(48) as threads:
            stuck = [threads.submit(pool.front.info, "there") for _ in range(48)]
            meanwhile = 0
            for number in range(20):
                assert pool.front.create(f"well {number}").returncode == "SUCCESS"
                meanwhile += not any(future.done() for future in stuck)
            answers = [future.result() for future in stuck]
    finally:
        broken.resume()

    assert {answer.key for answer in answers} == {"internalError"}
    assert max(answer.took_s for answer in answers) < SOON_S
    assert meanwhile
    wait_for(lambda: pool.front.info("there").returncode == "SUCCESS", 40, "answered again")
