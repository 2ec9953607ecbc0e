"""Upgrade, removal, purge, reinstallation, and restoring a backup."""

from __future__ import annotations

import re
from pathlib import Path

from tools.deb_test.failures import check_meeting
from tools.deb_test.first_meeting import MEETING, RECORDING
from tools.deb_test.machine import wait_for
from tools.deb_test.packages import OLDER, ROOT
from tools.deb_test.scene import CONFIGURATION, SECRETS, SETTLE_S, UNIT, Scene

EDITED = "POLL_INTERVAL=7"
BACKUP = ROOT / "docs" / "backup.md"


def upgrade(scene: Scene, package: Path) -> None:
    """Upgrade from the older version, with an edited configuration."""
    machine = scene.machine
    with scene.step("an upgrade keeps configuration and secrets, and does not restart Redis"):
        scene.configure(POLL_INTERVAL="7")
        scene.wait_serving()
        assert scene.build_number() == OLDER, scene.build_number()
        secrets = machine.path(SECRETS).read_bytes()
        pid, redis = scene.main_pid(), scene.main_pid(f"{UNIT}-redis")
        scene.install(package)
        check_meeting(scene)
        version = machine.run("dpkg-query", "--show", "--showformat=${Version}", UNIT)
        assert scene.build_number() == version != OLDER
        assert EDITED in machine.path(CONFIGURATION).read_text()
        assert machine.path(SECRETS).read_bytes() == secrets
        assert scene.main_pid() != pid
        assert scene.main_pid(f"{UNIT}-redis") == redis
        mode = machine.run("stat", "--format=%a %U:%G", CONFIGURATION).strip()
        assert mode == "640 root:scalelite-appliance", mode
        machine.path(f"{CONFIGURATION}.dpkg-dist").unlink(missing_ok=True)
    with scene.step("a disabled service stays disabled"):
        machine.run("systemctl", "disable", "--now", UNIT)
        scene.apt("install", "--reinstall", f"/srv/packages/{package.name}")
        assert machine.show(UNIT, "UnitFileState") == "disabled"
        assert not machine.is_active(UNIT)
        machine.run("systemctl", "enable", "--now", UNIT)
        check_meeting(scene)


def remove_and_restore(scene: Scene, package: Path) -> None:
    """Back up, remove, purge, reinstall and restore, with the commands of docs/backup.md."""
    machine = scene.machine
    with scene.step("the commands of docs/backup.md create a backup"):
        machine.shell(commands_of(BACKUP, "Back up"))
    secrets = machine.path(SECRETS).read_bytes()
    with scene.step("removal stops all processes and keeps configuration and data"):
        scene.apt("remove", UNIT)
        left = machine.run("pgrep", "--uid", "_scalelite", "--list-full", check=False)
        assert not left, left
        assert machine.path(SECRETS).read_bytes() == secrets
        assert EDITED in machine.path(CONFIGURATION).read_text()
        assert list(machine.path("/var/lib/scalelite-appliance-redis").iterdir())
    with scene.step("a purge keeps only recordings, database and users"):
        scene.apt("purge", UNIT)
        script = (
            "find / -xdev -path /proc -prune -o -path /sys -prune -o -name '*scalelite*' -print"
        )
        left = machine.shell(script)
        assert not _unexpected(left), _unexpected(left)
        assert machine.path(f"/var/bigbluebutton/published/presentation/{RECORDING}").is_dir()
        listed = machine.run("psql", "-l", user="postgres")
        assert "scalelite" in listed
    with scene.step("a reinstallation has new secrets and the old recordings"):
        scene.install(package)
        assert machine.path(SECRETS).read_bytes() != secrets
        scene.use_secret()
        scene.wait_serving()
        scene.wait_recordings(RECORDING)
        assert scene.front.is_running(MEETING) == "false"
    with scene.step("the commands of docs/backup.md restore the backup"):
        machine.run(
            "runuser", "-u", "postgres", "--", "psql", "-c", "DROP DATABASE scalelite WITH (FORCE)"
        )
        machine.shell(commands_of(BACKUP, "Restore"))
        assert machine.path(SECRETS).read_bytes() == secrets
        scene.use_secret()
        check_meeting(scene)
        scene.wait_recordings(RECORDING)
        wait_for(lambda: scene.front.join(MEETING).status == 302, SETTLE_S, lambda: "a join")


def _unexpected(listing: str) -> list[str]:
    kept = re.compile(
        r"^/(?:srv/packages|var/cache/apt|var/backups/scalelite|var/bigbluebutton/recording/scalelite"
        r"|etc/systemd/system/scalelite-appliance\.service\.d|var/log/journal|tmp|var/tmp|root"
        r"|usr/share/(?:man|doc))"
    )
    return [line for line in listing.split("\n") if line and not kept.match(line)]


def commands_of(document: Path, heading: str) -> str:
    """Return the commands (indented lines) below a heading of a document."""
    text = document.read_text()
    begin = text.index(f"## {heading}\n")
    end = text.find("\n## ", begin)
    lines = text[begin : end if end > 0 else len(text)].splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith("    "))
