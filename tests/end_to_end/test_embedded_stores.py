"""The appliance on private stores of its own: restart, SIGKILL, users, one at a time."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.doubles.appliance_process import ApplianceProcess, not_started, wait_for
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.store_servers import run_sql


@pytest.fixture(scope="module")
def appliance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApplianceProcess]:
    """Give one appliance on its embedded stores; its tests may restart it."""
    with ApplianceProcess(tmp_path_factory.mktemp("embedded")) as started:
        yield started


@pytest.fixture(scope="module")
def bbb(appliance: ApplianceProcess) -> Iterator[BbbProcess]:
    """Give a server in the pool of the appliance."""
    with BbbProcess() as server:
        appliance.add_server(server)
        yield server


@pytest.fixture(autouse=True)
def running(appliance: ApplianceProcess) -> None:
    """Start the appliance again for whoever comes after a test that failed half-way."""
    if appliance.pid is None:
        appliance.start()


def test_meeting_can_be_created_and_joined(appliance: ApplianceProcess, bbb: BbbProcess) -> None:
    created = appliance.front.create("first")
    joined = appliance.front.join("first")

    assert created.returncode == "SUCCESS"
    assert created.text("meetingID") == "first"
    assert joined.status == 302
    assert joined.location.startswith(bbb.url + "/join?")
    assert "first" in bbb.meetings()


def test_database_is_migrated(appliance: ApplianceProcess) -> None:
    order = [event["event"] for event in appliance.events()]
    assert order.index("database_ready") < order.index("ready")

    sockets = appliance.state_dir / "stores" / "run"
    assert run_sql(sockets, "SELECT count(*) FROM recordings") == "0"
    assert int(run_sql(sockets, "SELECT count(*) FROM schema_migrations")) > 0


def test_doctor_looks_at_both_stores_and_at_what_was_broken(
    appliance: ApplianceProcess, bbb: BbbProcess
) -> None:
    appliance.wait_event("database_ready")
    appliance.ctl("servers", "add", "http://127.0.0.1:9/api", "s", "--id", "dead", "--enable")

    done = appliance.ctl("doctor", "--json")
    removed = appliance.ctl("servers", "remove", "dead")

    found = {one["check"]: one for one in json.loads(done.stdout)["findings"]}
    (good,) = [one["id"] for one in json.loads(appliance.ctl("servers", "--json").stdout)]
    assert (done.returncode, removed.returncode) == (1, 0)
    for check in (
        *("redis", "redis persistence", "redis memory", "clock of Redis"),
        *("postgresql", "postgresql schema", "postgresql persistence", "clock of PostgreSQL"),
        f"server {good}",
    ):
        assert found[check]["level"] == "ok", found[check]
    assert "Connection refused" in found["server dead"]["text"]


def test_meetings_and_servers_are_kept_when_restarted(
    appliance: ApplianceProcess, bbb: BbbProcess
) -> None:
    appliance.front.create("kept")

    assert appliance.terminate() == 0
    assert not appliance.children()
    appliance.start()

    assert appliance.front.info("kept").returncode == "SUCCESS"
    assert [one["url"] for one in appliance.control.get("getStatus")["servers"]] == [bbb.url]


def test_everything_is_kept_when_killed(appliance: ApplianceProcess, bbb: BbbProcess) -> None:
    appliance.front.create("kept-too")
    # AOF everysec: what is a second old is on disk.
    wait_for(lambda: b"kept-too" in _append_only_file(appliance), 40, "in the append-only file")

    appliance.kill()
    appliance.start()

    assert appliance.front.info("kept-too").returncode == "SUCCESS"
    assert appliance.front.create("after-kill").returncode == "SUCCESS"


def _append_only_file(appliance: ApplianceProcess) -> bytes:
    directory = appliance.state_dir / "stores" / "redis" / "appendonlydir"
    return b"".join(part.read_bytes() for part in directory.glob("*.aof"))


def test_children_go_when_the_appliance_is_killed(appliance: ApplianceProcess) -> None:
    assert set(appliance.children().values()) >= {"redis-server", "postgres"}

    appliance.kill()

    wait_for(lambda: not appliance.children(), 40, lambda: f"left: {appliance.children()}")
    appliance.start()


def test_children_run_unprivileged_when_started_as_root(appliance: ApplianceProcess) -> None:
    own = os.geteuid()
    users = set()
    for pid in appliance.children():
        with suppress(FileNotFoundError):  # PostgreSQL's come and go
            users.add(Path(f"/proc/{pid}").stat().st_uid)

    assert users
    assert users == {own} if own else 0 not in users


@pytest.mark.parametrize("name", ["redis-server", "postgres"])
def test_child_is_started_again_when_it_dies(
    appliance: ApplianceProcess, bbb: BbbProcess, name: str
) -> None:
    appliance.wait_event("database_ready")
    store = name.partition("-")[0]
    before = {pid for pid, command in appliance.children().items() if command == name}
    parent = appliance.events("embedded_store_ready", store=store)[-1]["pid"]

    os.kill(parent, signal.SIGKILL)

    wait_for(
        lambda: appliance.events("embedded_store_ready", store=store)[-1]["pid"] not in before,
        40,
        f"{name} is there again",
    )
    wait_for(lambda: appliance.front.fetch("GET", "/health_check").status == 200, 40, "healthy")
    assert appliance.front.create(f"after-{name}").returncode == "SUCCESS"


def test_second_appliance_is_refused_on_the_same_directory(
    appliance: ApplianceProcess, tmp_path: Path
) -> None:
    with not_started(tmp_path, STATE_DIR=str(appliance.state_dir)) as second:
        second.start(wait=False)

        assert second.wait() == 1
        assert str(appliance.state_dir) in second.log_text()
        assert "Traceback" not in second.log_text()
    assert appliance.front.fetch("GET", "/health_check").status == 200


def test_appliance_ends_with_zero_and_leaves_no_child_when_terminated(
    appliance: ApplianceProcess,
) -> None:
    assert appliance.terminate(within_s=40) == 0
    assert not appliance.children()
    assert not appliance.control_socket.exists()
    appliance.start()
