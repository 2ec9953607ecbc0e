"""Failures of the service and its surroundings: hang, crash, restarted stores, reboot."""

from __future__ import annotations

from tools.deb_test.first_meeting import MEETING, RECORDING
from tools.deb_test.machine import wait_for
from tools.deb_test.scene import SETTLE_S, UNIT, Scene


def survive_failures(scene: Scene) -> None:
    """Run the steps; the meeting and its servers must survive each of them."""
    hang(scene)
    crash(scene)
    restart_stores(scene)
    start_without_database(scene)
    reload(scene)


def check_meeting(scene: Scene) -> None:
    """Assert that the meeting runs, as its server reports."""
    scene.wait_serving()
    running = scene.front.is_running(MEETING)
    assert running == "true", running


def hang(scene: Scene) -> None:
    """Stop the process without ending it; only the watchdog notices."""
    machine = scene.machine
    with scene.step("the watchdog restarts a hanging service"):
        scene.drop_in("[Service]\nWatchdogSec=10\nTimeoutAbortSec=2\n")
        scene.wait_serving()
        pid = scene.main_pid()
        machine.run("kill", "-STOP", pid)
        wait_for(
            lambda: scene.main_pid() not in (pid, "0"),
            SETTLE_S,
            lambda: machine.show(UNIT, "SubState"),
        )
        assert "Watchdog timeout" in machine.journal(f"--unit={UNIT}")
        check_meeting(scene)
        scene.remove_drop_in()
        check_meeting(scene)


def crash(scene: Scene) -> None:
    """Kill the process."""
    with scene.step("the service is restarted after a crash and has its meetings"):
        pid = scene.main_pid()
        scene.machine.run("kill", "-KILL", pid)
        wait_for(lambda: scene.main_pid() not in (pid, "0"), SETTLE_S, lambda: "another process")
        check_meeting(scene)
        scene.wait_online(len(scene.servers))
        check_count(scene, UNIT)
        # Repeated crashes start these units as often; the default limit is 5 starts in 10 s.
        before = " ".join((f"{UNIT}-setup", f"{UNIT}-database"))
        scene.machine.shell(f"for _ in 1 2 3 4 5 6 7 8 9; do systemctl start {before}; done")


def check_count(scene: Scene, unit: str) -> None:
    """Assert that the counter was reset, with which systemd increases the restart delay."""
    wait_for(
        lambda: scene.machine.show(unit, "NRestarts") == "0",
        SETTLE_S,
        lambda: f"no restarts counted, there are {scene.machine.show(unit, 'NRestarts')}",
    )


def restart_stores(scene: Scene) -> None:
    """Restart the stores without restarting the appliance."""
    machine, pid = scene.machine, scene.main_pid()
    with scene.step("a restart of PostgreSQL is tolerated"):
        machine.run("systemctl", "restart", "postgresql")
        wait_for(lambda: _lists(scene, RECORDING), SETTLE_S, lambda: "the recording again")
        check_meeting(scene)
    with scene.step("Redis is restarted after a crash, with all its data"):
        machine.run("kill", "-KILL", scene.main_pid(f"{UNIT}-redis"))
        wait_for(lambda: machine.is_active(f"{UNIT}-redis"), SETTLE_S, lambda: "Redis again")
        wait_for(
            lambda: scene.front.is_running(MEETING) == "true", SETTLE_S, lambda: "the meeting again"
        )
        assert scene.main_pid() == pid
        scene.wait_online(len(scene.servers))
        check_count(scene, f"{UNIT}-redis")


def _lists(scene: Scene, record_id: str) -> bool:
    answer = scene.front.get("getRecordings")
    return record_id in answer.body.decode()


def start_without_database(scene: Scene) -> None:
    """Start without PostgreSQL, which meetings do not need."""
    machine = scene.machine
    with scene.step("the service starts without PostgreSQL, and uses it as soon as it runs"):
        pid = scene.main_pid()
        machine.run("systemctl", "stop", "postgresql")
        machine.run("systemctl", "restart", "--no-block", UNIT)
        wait_for(lambda: scene.main_pid() not in (pid, "0"), SETTLE_S, lambda: "another process")
        check_meeting(scene)
        machine.run("systemctl", "start", "postgresql")
        wait_for(lambda: _lists(scene, RECORDING), SETTLE_S, lambda: "the recording again")
        machine.run("systemctl", "reset-failed")


def reload(scene: Scene) -> None:
    """Reload the service; it is not restarted."""
    with scene.step("a reload is confirmed"):
        pid = scene.main_pid()
        scene.machine.run("systemctl", "reload", UNIT)
        assert scene.main_pid() == pid
        check_meeting(scene)


def reboot(scene: Scene) -> None:
    """Restart the whole guest."""
    with scene.step("servers, meetings and recordings survive a reboot"):
        scene.machine.reboot()
        check_meeting(scene)
        wait_for(lambda: _lists(scene, RECORDING), SETTLE_S, lambda: "the recording")
        scene.wait_online(len(scene.servers))
        joined = scene.front.join(MEETING)
        assert joined.status == 302, joined.body
