"""Alternative stores: Valkey instead of Redis, and stores on other hosts."""

from __future__ import annotations

from pathlib import Path

from tests.doubles.postgres_process import postgres_process
from tests.doubles.redis_processes import redis_process
from tools.deb_test.failures import check_meeting
from tools.deb_test.first_meeting import MEETING, add_servers, hold_meeting, import_recording
from tools.deb_test.machine import wait_for
from tools.deb_test.scene import SECRETS, SETTLE_S, UNIT, Scene
from tools.deb_test.tree import PACKAGES


def use_valkey(scene: Scene, package: Path) -> None:
    """Install with valkey-server before the first boot."""
    machine = scene.machine
    with scene.step(
        "an installation in a system that is not running, such as an image, starts nothing"
    ):
        # With an empty /run, maintainer scripts find no running systemd.
        names = f"{PACKAGES}/{package.name} valkey-server"
        apt = "apt-get --yes --quiet --no-install-recommends install"
        machine.run(
            "unshare", "--mount", "sh", "-euc", f"mount -t tmpfs tmpfs /run && {apt} {names}"
        )
        assert not machine.is_active(UNIT)
        assert not machine.path(SECRETS).exists()  # all copies of the image would share them
    with scene.step("the service runs at the first boot, with valkey-server"):
        machine.reboot()
        scene.use_secret()
        scene.wait_serving()
        scene.wait_recordings()
        command = machine.path(f"/proc/{scene.main_pid(f'{UNIT}-redis')}/comm").read_text()
        assert command.startswith("valkey"), command
        assert machine.show("redis-server", "LoadState") == "not-found"
    add_servers(scene)
    hold_meeting(scene)
    with scene.step("Valkey is restarted after a crash, with all its data"):
        machine.run("kill", "-KILL", scene.main_pid(f"{UNIT}-redis"))
        wait_for(
            lambda: scene.front.is_running(MEETING) == "true", SETTLE_S, lambda: "the meeting again"
        )
        scene.check_secrets()


def use_external_stores(scene: Scene, package: Path, external: Path) -> None:
    """Install with the empty package, and configure external stores."""
    machine = scene.machine
    with redis_process() as redis, postgres_process("the-password-of-the-test") as postgres:
        postgres.start()
        with scene.step("the empty package replaces the stores"):
            scene.install(package, external)
            assert "no Redis is installed" in machine.journal(f"--unit={UNIT}-redis")
            scene.use_secret()
            scene.configure(DATABASE_URL=postgres.url, REDIS_URL=redis.tcp_url, DB_PROVISION="none")
            scene.wait_serving()
            assert not machine.is_active(f"{UNIT}-redis")
            assert machine.show("postgresql", "LoadState") == "not-found"
        add_servers(scene)
        hold_meeting(scene)
        import_recording(scene)
        with scene.step("after a reboot the service does not wait for local stores"):
            machine.reboot()
            check_meeting(scene)
            assert "scalelite" not in machine.run("systemctl", "--failed", "--no-legend", "--plain")
            assert "the-password-of-the-test" not in machine.journal()
