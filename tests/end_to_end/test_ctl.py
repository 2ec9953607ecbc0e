"""`scalelite-appliance ctl` against a running appliance: all commands except `servers`."""

from __future__ import annotations

import os
import pty
import signal
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest

from appliance import __version__
from tests.doubles.appliance_client import MODERATOR_PW
from tests.doubles.appliance_pool import SHORT_TIMEOUTS, ServedPool
from tests.doubles.appliance_process import COMMAND, ROOT, wait_for
from tests.doubles.ctl_program import DONE, FAILED, NOT_RUNNING, ctl, ctl_json, table

STATUS_COLUMNS = (
    "HOSTNAME  STATE  STATUS  MEETINGS  USERS  LARGEST MEETING  VIDEOS  LOAD  BBB VERSION  TAG"
)


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """Configure a pool whose poller never takes a server offline."""
    return {**SHORT_TIMEOUTS, "POLL_INTERVAL": "600", "SERVER_UNHEALTHY_THRESHOLD": "1000"}


# -- status, poll ----------------------------------------------------------------------------------


def test_status_shows_the_pool_in_a_table(pool: ServedPool) -> None:
    for server_id, tag in zip(pool.ids, ("big", "lost", "idle"), strict=True):
        ctl(pool, "servers", "tag", server_id, tag)
    pool.servers[0].create_meeting("m1")
    pool.servers[0].set_users("m1", participants=20, moderators=2, videos=3)
    pool.servers[1].add_fault("refuse")
    ctl(pool, "poll")

    rows = {row["TAG"]: row for row in table(ctl(pool, "status"))}

    assert rows["lost"]["STATUS"] == "unstable"
    assert (rows["idle"]["STATUS"], float(rows["idle"]["LOAD"])) == ("online", 0)
    first = rows["big"]
    assert first == {
        # All three are on one host, so the port tells them apart.
        **{"HOSTNAME": urlsplit(pool.servers[0].url).netloc},
        **{"STATE": "enabled", "STATUS": "online", "MEETINGS": "1"},
        **{"USERS": "20", "LARGEST MEETING": "20", "VIDEOS": "3", "LOAD": first["LOAD"]},
        **{"BBB VERSION": "3.0.10", "TAG": "big"},
    }
    assert float(first["LOAD"]) == 22
    found = {one["id"]: one for one in ctl_json(pool, "status")}
    assert found[pool.ids[0]]["users"] == 20
    assert found[pool.ids[1]]["status"] == "unstable"


def test_status_of_an_empty_pool_is_the_header(empty_pool: ServedPool) -> None:
    assert ctl(empty_pool, "status") == f"{STATUS_COLUMNS}\n"
    assert ctl_json(empty_pool, "status") == []


def test_status_is_watched_until_interrupted(pool: ServedPool) -> None:
    parent, child = pty.openpty()
    watch = subprocess.Popen(
        [*COMMAND, "ctl", "status", "--watch", "--interval", "0.1"],
        env={**pool.appliance.environ, "TERM": "xterm"},
        cwd=ROOT,
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
    )
    os.close(child)
    try:
        shown = b""
        while shown.count(b"HOSTNAME") < 3:
            shown += os.read(parent, 4096)
        watch.send_signal(signal.SIGINT)
        assert watch.wait(40) == DONE
    finally:
        watch.kill()
        watch.wait()
        os.close(parent)
    assert b"Traceback" not in shown


@pytest.mark.parametrize("what", ["", "all", "servers", "meetings", "versions"])
def test_poll_shows_each_result(pool: ServedPool, what: str) -> None:
    pool.servers[2].add_fault("status", status=500)
    words = ["poll", what] if what else ["poll"]

    rows = table(ctl(pool, *words))

    assert len(rows) == 3
    text = ctl(pool, *words)
    assert text.count("3.0.10") >= 2
    assert text.count(" ok") == 2
    assert sum(one["succeeded"] for one in ctl_json(pool, *words)) == 2


# -- meetings --------------------------------------------------------------------------------------


def test_meetings_are_listed_shown_and_ended(pool: ServedPool) -> None:
    pool.front.create("a b", name="A & B", meta_course="Physics ü")
    pool.front.create("m2")
    holder = pool.holder("a b")

    rows = table(ctl(pool, "meetings", "list"))
    assert [row["MEETING ID"] for row in rows] == ["a b", "m2"]
    assert rows[0]["SERVER ID"] == pool.id_of(holder)
    assert [row["id"] for row in ctl_json(pool, "meetings", "list", "m2")] == ["m2"]
    assert "MeetingID: a b\n" in ctl(pool, "meetings")

    info = ctl(pool, "meetings", "info", "a b")
    assert "Meeting ID: a b\n" in info
    assert "\tMeeting Name: A & B\n" in info
    assert "\t\tcourse: Physics ü\n" in info
    assert MODERATOR_PW not in info
    assert ctl_json(pool, "meetings", "info", "a b")["metadata"]["course"] == "Physics ü"

    assert "--yes" in ctl(pool, "meetings", "end", "a b", code=FAILED)
    assert "--yes" in ctl(pool, "meetings", "end", code=FAILED)
    assert "a b" in holder.meetings()
    assert ctl(pool, "meetings", "end", "a b", "--yes") == "Clearing Meeting id=a b\n"
    assert pool.holders("a b") == []
    ctl(pool, "meetings", "end", "--yes")
    assert pool.holders("m2") == []
    assert ctl_json(pool, "meetings", "list") == []


def test_meetings_commands_refuse_unknown_ids(pool: ServedPool) -> None:
    for words in (("list", "unknown"), ("info", "unknown"), ("end", "unknown", "--yes")):
        assert "unknown" in pool.appliance.ctl("meetings", *words).stderr
        assert pool.appliance.ctl("meetings", *words).returncode == FAILED


# -- the rest --------------------------------------------------------------------------------------


def test_rake_spelling_works(empty_pool: ServedPool) -> None:
    pool, server = empty_pool, empty_pool.servers[0]
    pool.appliance.sensitive.add(server.secret)

    added = ctl(pool, f"servers:add[{server.url},{server.secret},2.0]").splitlines()
    server_id = added[1].removeprefix("id: ")
    assert ctl(pool, f"servers:enable[{server_id}]").endswith("OK\n")
    assert ctl(pool, "poll:all") == ""
    assert "\tload multiplier: 2.0\n" in ctl(pool, "servers")
    assert "HOSTNAME" in ctl(pool, "status")
    pool.front.create("m1")
    assert "OK" in ctl(pool, f"servers:panic[{server_id}]")
    assert pool.front.info("m1").key == "notFound"


def test_commands_without_an_appliance_end_with_three(pool: ServedPool) -> None:
    appliance = pool.appliance
    environ = {**appliance.environ, "CTL_SOCKET": f"{appliance.control_socket}.none"}
    for words in (["status"], ["servers", "list"], ["meetings", "list"], ["poll"], ["servers"]):
        done = subprocess.run(
            [*COMMAND, "ctl", *words], env=environ, cwd=ROOT, capture_output=True, check=False
        )
        assert (done.returncode, done.stdout) == (NOT_RUNNING, b"")
        assert b"not running" in done.stderr


def test_version_and_config_check_need_no_appliance(pool: ServedPool) -> None:
    assert ctl(pool, "version") == f"scalelite-appliance {__version__}\n"
    assert ctl_json(pool, "version") == {"version": __version__}
    shown = ctl(pool, "config", "check")
    assert "POLL_INTERVAL" in shown
    assert pool.front.secret not in shown
    assert len(ctl(pool, "secret", "generate").strip()) >= 40


def test_every_command_explains_itself(pool: ServedPool) -> None:
    for words in (
        *([], ["servers"], ["servers", "add"], ["servers", "drain"], ["status"]),
        *(["meetings"], ["meetings", "end"], ["poll"], ["config"]),
    ):
        assert ctl(pool, *words, "--help").startswith("usage: scalelite-appliance ctl")


def test_changes_are_logged_with_who_made_them(pool: ServedPool) -> None:
    ctl(pool, "servers", "cordon", pool.ids[0])

    event = pool.appliance.wait_event("server_state_set", server=pool.ids[0], state="cordoned")
    assert f"uid={os.geteuid()}" in event["by"]


def test_control_socket_is_closed_to_others(pool: ServedPool) -> None:
    mode = pool.appliance.control_socket.stat().st_mode

    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) in (0o600, 0o660)


def test_control_socket_answers_while_servers_hang(pool: ServedPool) -> None:
    for server in pool.servers:
        server.add_fault("hang", "create")
    with ThreadPoolExecutor(1) as threads:
        creates = threads.submit(pool.front.create_all, [f"m{number}" for number in range(8)], 8)
        wait_for(lambda: pool.requests("create") == 8, 40, "sent")

        assert len(pool.appliance.control.get("getStatus")["servers"]) == 3
        assert not creates.done()
        assert {answer.key for answer in creates.result()} == {"internalError"}
