"""The faults of Scalelite that this appliance must not repeat, each by its number.

FAULTS says where each is tested; those that no other file of this folder is about are tested here.
Truth: spec/scalelite-faults.md.
"""

from __future__ import annotations

import ast
import time
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from tests.doubles.appliance_client import MODERATOR_PW
from tests.doubles.appliance_pool import SHORT_TIMEOUTS, ServedPool
from tests.doubles.appliance_process import ApplianceProcess, wait_for

ASKED_FOR = {*range(1, 13), 26, *range(29, 34), 36}
FAULTS: dict[int, tuple[str, ...]] = {
    1: ("test_polling::test_lost_server_is_out_within_seconds_and_its_meetings_are_detached",),
    2: (
        "test_create_failover::test_create_is_never_sent_twice_to_a_server",
        "test_scalelite_faults::test_fault_2_no_call_is_repeated_and_no_timeout_doubled",
    ),
    3: ("test_scalelite_faults::test_fault_3_get_meetings_is_partial_concurrent_and_bounded",),
    4: (
        "test_create_failover::test_create_moves_to_another_server",
        "test_create_failover::test_reservation_is_undone_where_the_create_failed",
    ),
    5: (
        "test_ctl_servers::test_servers_remove_is_refused_while_there_are_meetings",
        "test_scalelite_faults::test_fault_5_meeting_of_a_server_that_is_gone_is_unknown",
    ),
    6: ("test_polling::test_expiry_is_pushed_on_while_the_meeting_is_seen",),
    7: (
        "test_polling::test_meeting_that_ended_vanishes",
        "test_scalelite_faults::test_fault_7_leaked_entries_are_swept",
    ),
    8: ("test_scalelite_faults::test_fault_8_end_forgets_after_the_word_of_the_server",),
    9: (
        "test_polling::test_lost_server_is_out_within_seconds_and_its_meetings_are_detached",
        "test_scalelite_faults::test_fault_9_broken_xml_is_a_failure_and_changes_no_load",
    ),
    10: ("test_scalelite_faults::test_fault_10_entities_of_a_server_are_refused",),
    11: ("test_two_appliances::test_32_creates_of_one_new_meeting_give_one_meeting",),
    12: (
        "test_stop::test_it_ends_in_time_again_and_again",
        "test_stop::test_stop_under_load_breaks_no_answer",
        "test_stop::test_clients_and_servers_that_are_stuck_do_not_hold_up_the_end_for_ever",
    ),
    26: ("test_start::test_bad_configuration_is_one_message_and_nothing_starts",),
    29: ("test_scalelite_faults::test_fault_29_longest_duration_holds_after_all_merging",),
    30: ("test_api::test_any_parameter_name_is_passed_on_in_order",),
    31: (
        "test_ctl::test_status_shows_the_pool_in_a_table",
        "test_scalelite_faults::test_fault_31_moderators_are_counted_once_if_told_so",
    ),
    32: (
        "test_api::test_long_query_reaches_the_server_as_a_form",
        "test_api::test_too_long_query_is_refused_before_it_is_read",
    ),
    33: ("test_external_stores::test_calls_fail_within_a_second_and_recover_when_redis_is_lost",),
    36: ("test_scalelite_faults::test_fault_36_nothing_signed_is_logged",),
}


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """Give what the tests of this file need beside short timeouts."""
    return {
        **SHORT_TIMEOUTS,
        "POLL_INTERVAL": "600",
        "MAX_MEETING_DURATION": "90",
        "DEFAULT_CREATE_PARAMS": "duration=600",
        "LOAD_COUNT_MODERATORS_TWICE": "false",
        "SERVER_UNHEALTHY_THRESHOLD": "1000",  # unstable, however often the poller itself looks
    }


def test_every_fault_has_its_test() -> None:
    here = Path(__file__).parent
    missing = []
    for number, names in FAULTS.items():
        for module, _, function in (name.partition("::") for name in names):
            tree = ast.parse((here / f"{module}.py").read_text())
            if function not in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}:
                missing.append((number, f"{module}::{function}"))

    assert set(FAULTS) == ASKED_FOR
    assert missing == []


def test_fault_2_no_call_is_repeated_and_no_timeout_doubled(pool: ServedPool) -> None:
    pool.front.create("m1")
    holder = pool.holder("m1")
    holder.add_fault("hang")

    for call in ("getMeetingInfo", "isMeetingRunning", "create"):
        answer = pool.front.get(call, meetingID="m1", password=MODERATOR_PW)
        assert answer.key == "internalError"
        assert len(holder.requests(call)) == (2 if call == "create" else 1)


def test_fault_3_get_meetings_is_partial_concurrent_and_bounded(pool: ServedPool) -> None:
    for number in range(6):
        pool.front.create(f"m{number}")
    slow, dead, well = pool.servers
    slow.add_fault("delay", "getMeetings", seconds=0.3)
    well.add_fault("delay", "getMeetings", seconds=0.3)
    dead.add_fault("hang", "getMeetings")

    answer = pool.front.get("getMeetings")

    assert answer.took_s < 20
    listed = pool.front.listed()
    assert listed == [f"m{number}" for number in range(6)]
    slow.clear_faults()
    dead.clear_faults()
    slow.add_fault("truncated", "getMeetings")
    assert pool.front.listed() == listed


def test_fault_5_meeting_of_a_server_that_is_gone_is_unknown(pool: ServedPool) -> None:
    """As Scalelite leaves it: the server is deleted, the meeting's record is still there."""
    pool.front.create("m1")
    gone = pool.id_of(pool.holder("m1"))
    for key, command in (("servers", "SREM"), ("server_enabled", "SREM"), ("server_load", "ZREM")):
        pool.keys.ask(command, key, gone)
    pool.keys.ask("DEL", f"server:{gone}")
    assert pool.record("m1")["server_id"] == gone

    assert pool.front.info("m1").key == "notFound"
    assert pool.front.is_running("m1") == "false"
    assert pool.front.join("m1").key == "notFound"
    assert pool.front.get("end", meetingID="m1").key == "notFound"
    assert pool.front.create("m1").returncode == "SUCCESS"
    assert pool.record("m1")["server_id"] in pool.ids
    assert pool.record("m1")["server_id"] != gone


def test_fault_7_leaked_entries_are_swept(pool: ServedPool) -> None:
    """The first sweep is made at start; that an earlier one saw the entries is written here."""
    seen_ms = int((time.time() - 65) * 1000)
    pool.keys.ask("SADD", "meetings", "leaked")
    pool.keys.ask("HSET", "voice_bridges", "987654321", "leaked")
    pool.keys.ask("ZADD", "appliance:stale_meetings", seen_ms, "leaked")
    pool.keys.ask("ZADD", "appliance:stale_voice_bridges", seen_ms, "987654321 leaked")
    pool.keys.ask("SADD", "meetings", "just-now")
    pool.front.create("kept")
    kept_bridge = pool.record("kept")["voice_bridge"]

    assert pool.appliance.terminate() == 0
    pool.keys.ask("DEL", "appliance:lease-sweep")
    pool.appliance.start()

    wait_for(lambda: pool.keys.ask("SISMEMBER", "meetings", "leaked") == 0, 40, "swept")
    wait_for(lambda: pool.keys.ask("HKEYS", "voice_bridges") == [kept_bridge], 40, "swept")
    assert pool.keys.ask("SISMEMBER", "meetings", "just-now") == 1
    assert pool.front.info("kept").returncode == "SUCCESS"


def test_fault_8_end_forgets_after_the_word_of_the_server(pool: ServedPool) -> None:
    pool.front.create("m1")
    holder = pool.holder("m1")
    with holder.fault("failed", "end", key="invalidPassword", message="No."):
        assert pool.front.get("end", meetingID="m1", password="x").key == "invalidPassword"
    assert pool.front.info("m1").returncode == "SUCCESS"

    holder.end_meeting("m1", callback=False)

    assert pool.front.get("end", meetingID="m1", password=MODERATOR_PW).key == "notFound"
    assert pool.record("m1") == {}


@pytest.mark.parametrize("kind", ["truncated", "half", "garbage", "empty", "no_returncode"])
def test_fault_9_broken_xml_is_a_failure_and_changes_no_load(pool: ServedPool, kind: str) -> None:
    pool.front.create("m1")
    holder = pool.holder("m1")
    holder.set_users("m1", participants=50)
    pool.appliance.poll()
    assert pool.load(holder) == 50

    holder.add_fault(kind)
    results = {result["id"]: result for result in pool.appliance.poll()}

    assert not results[pool.id_of(holder)]["succeeded"]
    assert pool.load(holder) == 50
    assert pool.appliance.status(pool.id_of(holder)) == "unstable"
    answer = pool.front.info("m1")
    assert (answer.key, answer.status) == ("internalError", 200)


@pytest.mark.parametrize("kind", ["external_entity", "bomb"])
@pytest.mark.parametrize("call", ["create", "getMeetingInfo", "isMeetingRunning", "getMeetings"])
def test_fault_10_entities_of_a_server_are_refused(pool: ServedPool, kind: str, call: str) -> None:
    pool.front.create("m1")
    for server in pool.servers:
        server.add_fault(kind, call)

    answer = pool.front.get(call, meetingID="m1")

    if call == "getMeetings":  # what the store knows stands for the servers
        assert b"<meetingID>m1</meetingID>" in answer.body
    else:
        assert answer.key == "internalError"
    for word in (b"DOCTYPE", b"ENTITY", b"root:", b"haha"):
        assert word not in answer.body


def test_fault_29_longest_duration_holds_after_all_merging(pool: ServedPool) -> None:
    wanted = {"": "90", "0": "90", "600": "90", "45": "45", "x": "90"}
    for number, (given, sent) in enumerate(wanted.items()):
        params = {"duration": given} if given else {}
        pool.front.create(f"m{number}", **params)
        query = parse_qs(pool.holder(f"m{number}").requests("create")[-1]["query"])
        assert query["duration"] == [sent], given


def test_fault_31_moderators_are_counted_once_if_told_so(pool: ServedPool) -> None:
    pool.front.create("m1")
    holder = pool.holder("m1")
    holder.set_users("m1", participants=20, moderators=7)

    pool.appliance.poll()

    assert pool.load(holder) == 20


def test_fault_36_nothing_signed_is_logged(pool: ServedPool, appliance: ApplianceProcess) -> None:
    """The log is at debug here; the launcher looks for each checksum it has made, too."""
    front = pool.front
    front.create("m1", welcome="welcome-text-5d2a")
    location = front.join("m1", fullName="Ada Lovelace-77c3").location
    front.fetch("GET", front.target("create", "meetingID=m2") + "0")  # a wrong checksum
    front.fetch("POST", front.target("end", {}), b"password=x&checksum=" + b"a" * 64)
    with pool.holder("m1").fault("hang", "getMeetingInfo"):
        front.info("m1")
    for server in pool.servers:
        server.add_fault("not_http")
    front.create("m3")
    front.get("getMeetings")

    text = appliance.log_text()
    signed = parse_qs(location.partition("?")[2])["checksum"][0]
    for word in (signed, "checksum=", "fullName=", "password=", "welcome-text-5d2a"):
        assert word not in text
    appliance.check_log()
