#!/usr/bin/python3
"""Worked example of AUTOSCALE_COMMAND: grows and shrinks a pool of machines of a cloud.

The appliance runs it with a JSON object on standard input (docs/fleet.md). It compares what is
needed with what there is, so it may be run at any time and as often as one likes; after a failure
(exit code 1) the appliance runs it again. It touches only machines that it has made, whose names
begin with SCALE_POOL_PREFIX; a machine's name is the id of its server.

    AUTOSCALE_COMMAND=/usr/local/sbin/scale-pool

Adapt the class Cloud to the command line of your cloud: hcloud, openstack, aws, gcloud, virsh, qm.
A machine starts from an image with BigBlueButton on which the script for recordings
(config/bbb/) is set up. It needs Python 3.11 and nothing else.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PREFIX = os.environ.get("SCALE_POOL_PREFIX", "bbb-auto-")
CLOUD = shlex.split(os.environ.get("SCALE_POOL_CLOUD", "cloud"))
CTL = shlex.split(os.environ.get("SCALE_POOL_CTL", "scalelite-appliance ctl"))
SERVER_OPTIONS = shlex.split(os.environ.get("SCALE_POOL_OPTIONS", ""))
"""For `servers add`, such as --max-users 200."""


class Cloud:
    """The machines. A generic cloud has four commands; a secret goes through standard input."""

    def machines(self) -> dict[str, str]:
        """Return the state (running or stopped) of each machine of the pool by its name."""
        listed = json.loads(run([*CLOUD, "list"]))
        return {one["name"]: one["state"] for one in listed if one["name"].startswith(PREFIX)}

    def create(self, name: str, secret: str) -> str:
        """Begin to make a machine with this secret of bbb-web; return the URL of its API."""
        return run([*CLOUD, "create", name], stdin=secret).strip()

    def start(self, name: str) -> None:
        """Start a machine that has stopped, with the disk that it had."""
        run([*CLOUD, "start", name])

    def delete(self, name: str) -> None:
        """Delete a machine with its disk."""
        run([*CLOUD, "delete", name])


def run(command: list[str], stdin: str = "") -> str:
    """Run a program and return its output; a failure ends this script."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def ctl(*words: str, stdin: str = "") -> str:
    """Run ctl, as the user of the service."""
    return run([*CTL, *words], stdin=stdin)


def main() -> None:
    """Bring the pool closer to what is needed."""
    capacity = json.load(sys.stdin)
    cloud = Cloud()
    machines = cloud.machines()
    servers = {one["id"]: state_of(one) for one in json.loads(ctl("status", "--json"))}
    repair(cloud, machines, servers)
    enabled = [name for name, state in servers.items() if state == "enabled"]
    missing = capacity["desired_servers"] - len(enabled)
    returned = grow(cloud, machines, servers, missing) if missing > 0 else set()
    if missing < 0:
        shrink(machines, capacity["drainable"], -missing)
    stop(cloud, machines, [name for name in capacity["safe_to_stop"] if name not in returned])


def state_of(server: dict[str, Any]) -> str:
    """Return the state of a server; one that a maintenance window keeps out is left alone."""
    window = server.get("maintenance")
    kept_out = window is not None and window["phase"] != "planned"
    return "maintenance" if kept_out else server["state"]


def repair(cloud: Cloud, machines: dict[str, str], servers: dict[str, str]) -> None:
    """Start machines that have stopped: what they have recorded is on their disks.

    A machine without a server is one that this script, interrupted, has not deleted or not added.
    It is deleted only if its server was removed and owes nothing: if Redis has lost the servers,
    all machines are without.
    """
    orphans = [name for name in machines if name not in servers]
    listed = json.loads(ctl("servers", "list", "--retired", "--json")) if orphans else []
    gone = {one["id"] for one in listed if not one["recordings_awaited"]}
    for name in orphans:
        if name in gone:
            cloud.delete(name)
            print(f"deleted {name}, whose server was removed")
        else:
            print(f"{name} is not in the pool: add it, or delete it by hand")
    for name, state in servers.items():
        if machines.get(name) == "stopped" and state != "maintenance":
            cloud.start(name)
            print(f"started {name} again")


def grow(cloud: Cloud, machines: dict[str, str], servers: dict[str, str], count: int) -> set[str]:
    """Take servers back that are being drained, then make new ones; return those taken back."""
    idle = [
        name
        for state in ("cordoned", "disabled")
        for name in machines
        if servers.get(name) == state
    ]
    back = idle[:count]
    for name in back:
        ctl("servers", "enable", name)
        print(f"took {name} back")
    with ThreadPoolExecutor(8) as threads:  # a cloud may take its time for each
        for name in threads.map(lambda _: make(cloud), range(count - len(back))):
            print(f"made {name}")
    return set(back)


def make(cloud: Cloud) -> str:
    """Make a machine with a secret of its own, and add its server; return its name."""
    name, secret = PREFIX + secrets.token_hex(4), secrets.token_hex(32)
    url = cloud.create(name, secret)
    ctl("servers", "add", url, "-", "--id", name, *SERVER_OPTIONS, stdin=secret)
    ctl("servers", "enable", name)  # it takes meetings as soon as it answers
    return name


def shrink(machines: dict[str, str], drainable: list[str], count: int) -> None:
    """Have servers drained; the appliance says when they are empty and owe no recordings."""
    for name in [one for one in drainable if one in machines][:count]:
        ctl("servers", "cordon", name)
        print(f"drains {name}")


def stop(cloud: Cloud, machines: dict[str, str], names: list[str]) -> None:
    """Delete machines that are safe to stop; `servers remove` refuses if that has changed."""
    for name in names:
        if name in machines:
            ctl("servers", "remove", name)
            cloud.delete(name)
            print(f"deleted {name}")


if __name__ == "__main__":
    main()
