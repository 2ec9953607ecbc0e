"""The Ansible role, run in the guest on itself, and the daily backup that it switches on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from tools.deb_test.first_meeting import hold_meeting
from tools.deb_test.machine import CHECKOUT, wait_for
from tools.deb_test.scene import SETTLE_S, UNIT, Scene
from tools.deb_test.tree import PACKAGES

WANTED = ("ansible-core", "python3-apt")
BACKUPS = "/var/backups/scalelite-appliance"
BACKUP_UNIT = f"{UNIT}-backup"
_PLAYBOOK = f"{CHECKOUT}/deploy/ansible/site.yml"
_INVENTORY = "/root/inventory.yml"
_MEMBER = "alice"
_RECAP = re.compile(r"ok=\d+\s+changed=(\d+)\s+unreachable=0\s+failed=0")


def use_ansible(scene: Scene, package: Path) -> None:
    """Install, configure and add servers by the role; run it again; make backups."""
    machine = scene.machine
    tags = ('it\'s "a" $tag', "", "")
    servers = {
        f"bbb{number}": {"url": server.url, "secret": server.secret, "tag": tag}
        for number, (server, tag) in enumerate(zip(scene.servers, tags, strict=True))
    }
    variables: dict[str, Any] = {
        "ansible_connection": "local",
        "ansible_python_interpreter": "/usr/bin/python3",
        "scalelite_appliance_package": f"{PACKAGES}/{package.name}",
        "scalelite_appliance_settings": {"POLL_INTERVAL": 7, "CONSOLE_SHOW_NAMES": True},
        "scalelite_appliance_secrets": {"BACKUP_PASSPHRASE": 'a "passphrase" of $HOME \\ `x`'},
        "scalelite_appliance_administrators": [_MEMBER],
        "scalelite_appliance_servers": servers,
    }
    with scene.step("the Ansible role installs, configures and adds servers"):
        scene.apt("install", *WANTED)
        machine.run("useradd", "--create-home", _MEMBER)
        assert _play(scene, variables) > 0
        scene.use_secret()
        scene.wait_serving()
        listed = json.loads(scene.ctl("servers", "list", "--json", user=_MEMBER))
        assert {one["id"]: one["tag"] for one in listed} == {
            name: server["tag"] for name, server in servers.items()
        }
        shown = machine.run("scalelite-appliance", "config", "check")
        assert re.search(r"POLL_INTERVAL\W+7\b", shown), shown
    with scene.step("a second run of the role changes nothing, and restarts nothing"):
        pid = scene.main_pid()
        assert _play(scene, variables) == 0
        assert scene.main_pid() == pid
    scene.wait_online(len(servers))
    hold_meeting(scene)
    with scene.step("a run with another setting changes that one, and the meeting goes on"):
        variables["scalelite_appliance_settings"]["POLL_INTERVAL"] = 8
        assert _play(scene, variables) == 2  # the file, and the restart
        scene.wait_serving()
    _make_backups(scene)


def _play(scene: Scene, variables: dict[str, Any]) -> int:
    """Run the playbook and return the number of changes. Raises RuntimeError: it failed."""
    inventory = {"scalelite": {"hosts": {"localhost": variables}}}
    scene.machine.path(_INVENTORY).write_text(json.dumps(inventory))
    command = ("ansible-playbook", "--inventory", _INVENTORY, _PLAYBOOK)
    output = scene.machine.run("env", "ANSIBLE_NOCOLOR=1", *command)
    recap = _RECAP.search(output)
    assert recap, output
    leaked = [server.secret for server in scene.servers if server.secret in output]
    assert not leaked, output
    return int(recap[1])


def _make_backups(scene: Scene) -> None:
    machine = scene.machine
    with scene.step("the daily backup is scheduled, and readable for root alone"):
        assert machine.is_active(f"{BACKUP_UNIT}.timer")
        machine.run("systemctl", "start", f"{BACKUP_UNIT}.service")
        (name,) = machine.run("ls", BACKUPS).split()
        modes = machine.run("stat", "--format=%a %U", BACKUPS, f"{BACKUPS}/{name}").split("\n")
        assert modes[:2] == ["700 root", "600 root"], modes
        document = json.loads(machine.path(f"{BACKUPS}/{name}").read_text())
        assert document["version"] == 1
        assert "made every day" in scene.ctl("doctor")
    with scene.step("it is restored online and offline"):
        checked = scene.ctl("restore", f"{BACKUPS}/{name}", "--dry-run")
        assert "servers" in checked, checked
        machine.run("systemctl", "stop", UNIT)
        scene.ctl("backup", "/root/pool.json", "--offline")
        scene.ctl("restore", "/root/pool.json", "--offline")
        machine.run("systemctl", "start", UNIT)
        scene.wait_serving()
    with scene.step("ctl doctor tells that a backup failed"):
        drop_in = machine.path(f"/etc/systemd/system/{BACKUP_UNIT}.service.d")
        drop_in.mkdir()
        (drop_in / "test.conf").write_text("[Service]\nEnvironment=BACKUP_DIR=/proc/backups\n")
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", f"{BACKUP_UNIT}.service", check=False)
        output = scene.ctl("doctor", check=False)
        assert "the last one failed" in output, output
        (drop_in / "test.conf").unlink()
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", f"{BACKUP_UNIT}.service")
        wait_for(
            lambda: "made every day" in scene.ctl("doctor", check=False),
            SETTLE_S,
            lambda: "a backup that doctor likes",
        )
