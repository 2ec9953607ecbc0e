"""The other ways to have stores: Valkey for Redis, and stores on other machines."""

from __future__ import annotations

from pathlib import Path

from tests.doubles.postgres_process import postgres_process
from tests.doubles.redis_processes import redis_process
from tools.deb_test.first_meeting import MEETING, add_servers, hold_meeting, import_recording
from tools.deb_test.machine import wait_for
from tools.deb_test.mishaps import check_meeting
from tools.deb_test.scene import SECRETS, SETTLE_S, UNIT, Scene
from tools.deb_test.tree import PACKAGES


def use_valkey(scene: Scene, package: Path) -> None:
    """Install with valkey-server, which Debian has beside redis-server, before a first boot."""
    machine = scene.machine
    with scene.step(
        "installed into a system that does not run, as by an image's builder, it rests"
    ):
        # Without /run no maintainer script sees a systemd.
        names = f"{PACKAGES}/{package.name} valkey-server"
        apt = "apt-get --yes --quiet --no-install-recommends install"
        machine.run(
            "unshare", "--mount", "sh", "-euc", f"mount -t tmpfs tmpfs /run && {apt} {names}"
        )
        assert not machine.is_active(UNIT)
        assert not machine.path(SECRETS).exists()  # or all copies of the image had the same
    with scene.step("at its first boot it runs, with valkey-server instead of redis-server"):
        machine.reboot()
        scene.use_secret()
        scene.wait_serving()
        scene.wait_recordings()
        command = machine.path(f"/proc/{scene.main_pid(f'{UNIT}-redis')}/comm").read_text()
        assert command.startswith("valkey"), command
        assert machine.show("redis-server", "LoadState") == "not-found"
    add_servers(scene)
    hold_meeting(scene)
    with scene.step("a Valkey that was killed has everything again"):
        machine.run("kill", "-KILL", scene.main_pid(f"{UNIT}-redis"))
        wait_for(
            lambda: scene.front.is_running(MEETING) == "true", SETTLE_S, lambda: "the meeting again"
        )
        scene.check_secrets()


def use_external_stores(scene: Scene, package: Path, external: Path) -> None:
    """Install with the empty package, and name stores that are elsewhere."""
    machine = scene.machine
    with redis_process() as redis, postgres_process("the-password-of-the-test") as postgres:
        postgres.start()
        with scene.step("the empty package stands in for the stores"):
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
        with scene.step("after a reboot it waits for no store of its own"):
            machine.reboot()
            check_meeting(scene)
            assert "scalelite" not in machine.run("systemctl", "--failed", "--no-legend", "--plain")
            assert "the-password-of-the-test" not in machine.journal()
