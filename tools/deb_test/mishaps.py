"""What happens to a service in its life: it hangs, crashes, loses its stores, is rebooted."""

from __future__ import annotations

from tools.deb_test.first_meeting import MEETING, RECORDING
from tools.deb_test.machine import wait_for
from tools.deb_test.scene import SETTLE_S, UNIT, Scene


def survive_mishaps(scene: Scene) -> None:
    """Run the steps; the meeting and its servers must outlive each of them."""
    hang(scene)
    crash(scene)
    restart_stores(scene)
    start_without_database(scene)
    reload(scene)


def check_meeting(scene: Scene) -> None:
    """Assert that the meeting is known, on a server that is asked."""
    scene.wait_serving()
    running = scene.front.is_running(MEETING)
    assert running == "true", running


def hang(scene: Scene) -> None:
    """Stop the process without ending it, so that only the watchdog can tell."""
    machine = scene.machine
    with scene.step("the watchdog restarts it when it hangs"):
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
    """End the process from outside."""
    with scene.step("it is restarted after a crash, and knows its meetings"):
        pid = scene.main_pid()
        scene.machine.run("kill", "-KILL", pid)
        wait_for(lambda: scene.main_pid() not in (pid, "0"), SETTLE_S, lambda: "another process")
        check_meeting(scene)
        scene.wait_online(len(scene.servers))
        check_count(scene, UNIT)
        # A loop of crashes starts these as often; systemd's own limit is five times in ten seconds.
        before = " ".join((f"{UNIT}-setup", f"{UNIT}-database"))
        scene.machine.shell(f"for _ in 1 2 3 4 5 6 7 8 9; do systemctl start {before}; done")


def check_count(scene: Scene, unit: str) -> None:
    """Assert that the next crash does not cost longer: systemd's delay grows with this count."""
    wait_for(
        lambda: scene.machine.show(unit, "NRestarts") == "0",
        SETTLE_S,
        lambda: f"no restarts counted, there are {scene.machine.show(unit, 'NRestarts')}",
    )


def restart_stores(scene: Scene) -> None:
    """Restart the stores under it; nobody restarts the appliance."""
    machine, pid = scene.machine, scene.main_pid()
    with scene.step("PostgreSQL is restarted under it"):
        machine.run("systemctl", "restart", "postgresql")
        wait_for(lambda: _lists(scene, RECORDING), SETTLE_S, lambda: "the recording again")
        check_meeting(scene)
    with scene.step("its Redis is killed and comes back, with everything that was in it"):
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
    """Meetings must not wait for the recordings' store."""
    machine = scene.machine
    with scene.step("it starts without PostgreSQL, and uses it once it is there"):
        pid = scene.main_pid()
        machine.run("systemctl", "stop", "postgresql")
        machine.run("systemctl", "restart", "--no-block", UNIT)
        wait_for(lambda: scene.main_pid() not in (pid, "0"), SETTLE_S, lambda: "another process")
        check_meeting(scene)
        machine.run("systemctl", "start", "postgresql")
        wait_for(lambda: _lists(scene, RECORDING), SETTLE_S, lambda: "the recording again")
        machine.run("systemctl", "reset-failed")


def reload(scene: Scene) -> None:
    """systemctl reload returns when it was done, and nothing was restarted."""
    with scene.step("a reload is answered"):
        pid = scene.main_pid()
        scene.machine.run("systemctl", "reload", UNIT)
        assert scene.main_pid() == pid
        check_meeting(scene)


def reboot(scene: Scene) -> None:
    """Restart the whole guest."""
    with scene.step("after a reboot of the machine, servers, meetings and recordings are there"):
        scene.machine.reboot()
        check_meeting(scene)
        wait_for(lambda: _lists(scene, RECORDING), SETTLE_S, lambda: "the recording")
        scene.wait_online(len(scene.servers))
        joined = scene.front.join(MEETING)
        assert joined.status == 302, joined.body
