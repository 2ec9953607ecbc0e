"""config/autoscale: the example of AUTOSCALE_COMMAND, against a fake cloud and a fake ctl."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "config" / "autoscale" / "scale_pool.py"
RECORDER = """\
import json, os, sys
state = json.load(open(os.environ["STATE_FILE"]))
tool, words = sys.argv[1], sys.argv[2:]
with open(os.environ["STATE_FILE"] + ".calls", "a") as calls:
    calls.write(json.dumps([tool, *words, *([sys.stdin.read()] if "-" in words else [])]) + "\\n")
if words == ["list"]:
    print(json.dumps(state["machines"]))
elif words[:2] == ["status", "--json"]:
    print(json.dumps(state["servers"]))
elif words[:3] == ["servers", "list", "--retired"]:
    print(json.dumps(state["retired"]))
elif words[0] == "create":
    print("https://" + words[1] + ".example.org/bigbluebutton/api")
elif words[:2] == state.get("refuses"):
    sys.exit("it is refused")
"""


QUESTIONS = (["list"], ["status", "--json"], ["servers", "list", "--retired", "--json"])


@dataclass(frozen=True, slots=True)
class Place:
    """A cloud and a pool with this state."""

    directory: Path

    def scale(
        self, machines: dict[str, str], servers: dict[str, Any], code: int = 0, **capacity: Any
    ) -> list[list[str]]:
        """Run the script; return what it did, without questions."""
        refuses, retired = capacity.pop("refuses", None), capacity.pop("retired", {})
        state = {
            "machines": [{"name": name, "state": word} for name, word in machines.items()],
            "servers": [
                {
                    "id": name,
                    "maintenance": None,
                    **({"state": one} if isinstance(one, str) else one),
                }
                for name, one in servers.items()
            ],
            "refuses": refuses,
            "retired": [
                {"id": name, "recordings_awaited": awaited} for name, awaited in retired.items()
            ],
        }
        file, tool = self.directory / "state", self.directory / "tool.py"
        file.write_text(json.dumps(state))
        calls = self.directory / "state.calls"
        calls.unlink(missing_ok=True)
        tool.write_text(RECORDER)
        given = {"desired_servers": 1, "drainable": [], "safe_to_stop": [], **capacity}
        done = subprocess.run(
            [sys.executable, SCRIPT],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
            env={
                "PATH": os.environ["PATH"],
                "STATE_FILE": str(file),
                "SCALE_POOL_CLOUD": f"{sys.executable} {tool} cloud",
                "SCALE_POOL_CTL": f"{sys.executable} {tool} ctl",
                "SCALE_POOL_OPTIONS": "--tag auto",
            },
        )
        assert done.returncode == code, done.stderr
        if code:
            assert "it is refused" in done.stderr
        made = [json.loads(line) for line in calls.read_text().splitlines()]
        return [one for one in made if one[1:] not in QUESTIONS]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Give a place below the test's directory."""
    return Place(tmp_path)


A, B, C = "bbb-auto-a", "bbb-auto-b", "bbb-auto-c"
UP = {A: "running", B: "running", C: "running"}


def test_nothing_is_done_when_the_pool_is_as_it_should_be(place: Place) -> None:
    servers = {A: "enabled", B: "enabled", "own": "enabled"}

    assert place.scale({A: "running", B: "running"}, servers, desired_servers=3) == []


def test_servers_that_are_being_drained_are_taken_back_before_new_ones_are_made(
    place: Place,
) -> None:
    servers = {A: "enabled", B: "disabled", C: "cordoned"}

    calls = place.scale(UP, servers, desired_servers=4, safe_to_stop=[B])

    assert calls[:2] == [["ctl", "servers", "enable", C], ["ctl", "servers", "enable", B]]
    (create,) = (one for one in calls if one[1] == "create")
    (add,) = (one for one in calls if one[2] == "add")
    name = create[2]
    assert add[3:] == [
        f"https://{name}.example.org/bigbluebutton/api",
        *("-", "--id", name, "--tag", "auto"),
        add[-1],
    ]
    assert len(add[-1]) == 64  # the secret, which is on no command line
    assert calls[-1] == ["ctl", "servers", "enable", name]
    assert len(calls) == 5


def test_surplus_servers_are_drained_and_only_own_machines(place: Place) -> None:
    servers = {A: "enabled", B: "enabled", "own": "enabled"}
    drainable = ["own", B, A]

    assert place.scale(UP, servers, desired_servers=2, drainable=drainable) == [
        ["ctl", "servers", "cordon", B]
    ]


def test_servers_that_are_safe_to_stop_are_removed_and_their_machines_deleted(
    place: Place,
) -> None:
    servers = {A: "enabled", B: "disabled", "own": "disabled"}

    assert place.scale(UP, servers, safe_to_stop=[B, "own"]) == [
        ["ctl", "servers", "remove", B],
        ["cloud", "delete", B],
    ]


def test_machine_is_kept_when_its_server_cannot_be_removed(place: Place) -> None:
    servers = {A: "enabled", B: "disabled"}

    assert place.scale(UP, servers, 1, safe_to_stop=[B], refuses=["servers", "remove"]) == [
        ["ctl", "servers", "remove", B]
    ]


def test_machine_that_has_stopped_is_started_again(place: Place) -> None:
    window = {"state": "disabled", "maintenance": {"phase": "open"}}
    machines = {A: "stopped", B: "stopped"}

    assert place.scale(machines, {A: "enabled", B: window}) == [["cloud", "start", A]]


def test_server_under_maintenance_is_left_alone(place: Place) -> None:
    window = {"state": "disabled", "maintenance": {"phase": "open"}}
    calls = place.scale(UP, {A: "enabled", B: window}, desired_servers=2)

    assert ["ctl", "servers", "enable", B] not in calls
    assert any(one[1] == "create" for one in calls)


def test_machine_is_deleted_later_if_its_server_was_removed_and_owes_nothing(
    place: Place,
) -> None:
    assert place.scale(UP, {A: "enabled"}, retired={B: 0, C: 1}) == [["cloud", "delete", B]]


def test_machines_without_servers_are_not_deleted(place: Place) -> None:
    calls = place.scale(UP, {}, desired_servers=1)

    assert not [one for one in calls if one[1] == "delete"]
