"""First steps of an operator: install, add servers, hold a meeting, play a recording, dial in."""

from __future__ import annotations

import http.client
import json
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from tests.doubles.dialplan import basic, form
from tests.doubles.freeswitch import Gateway
from tests.doubles.recording_tars import recording_tar
from tools.deb_test.machine import wait_for
from tools.deb_test.scene import CONFIGURATION, PORT, SECRETS, SETTLE_S, UNIT, Scene

MEMBER, STRANGER, DELIVERER = "alice", "mallory", "bbb"
"""Users of the guest: of the group of ctl, of no group, and of the group of the spool."""
MEETING, RECORDING = "lecture", "0123456789abcdef-1700000000000"
SLIDE = b"<svg>a slide</svg>"


def hold_first_meeting(scene: Scene, *packages: Path | str) -> None:
    """Run all steps, starting with the installation."""
    install(scene, *packages)
    add_servers(scene)
    ask_doctor(scene)
    hold_meeting(scene)
    import_recording(scene)
    dial_in(scene)
    with scene.step("the journal has no warning and no secret"):
        scene.check_journal()
        failed = scene.machine.run("systemctl", "--failed", "--no-legend", "--plain")
        assert f"{UNIT}" not in failed, failed


def install(scene: Scene, *packages: Path | str) -> None:
    """Install the package, and check the installed files."""
    machine = scene.machine
    with scene.step("apt installs the package with its stores, and the service runs"):
        scene.install(*packages)
        scene.use_secret()
        scene.wait_serving()
        assert machine.show(UNIT, "UnitFileState") == "enabled"
        scene.wait_recordings()  # requires the database
    with scene.step("owners and modes of files are right, and secrets are not readable for others"):
        expected = {
            SECRETS: "600 root:root",
            CONFIGURATION: "640 root:scalelite-appliance",
            "/run/scalelite-appliance/ctl.sock": "660 _scalelite:scalelite-appliance",
            "/run/scalelite-appliance-redis": "700 _scalelite:_scalelite",
            "/var/lib/scalelite-appliance": "700 _scalelite:_scalelite",
            "/var/lib/scalelite-appliance-redis": "700 _scalelite:_scalelite",
            "/var/bigbluebutton/spool": "2770 _scalelite:_scalelite",
            "/var/bigbluebutton/published": "2750 _scalelite:_scalelite",
            "/var/bigbluebutton/playback": "2755 _scalelite:_scalelite",
        }
        found = {path: machine.run("stat", "--format=%a %U:%G", path).strip() for path in expected}
        assert found == expected, found
        machine.run("test", "-r", CONFIGURATION, user="_scalelite")  # docs/migration.md, step 4
        environ = machine.path(f"/proc/{scene.main_pid()}/environ").read_text()
        assert scene.secret() not in environ
    with scene.step("config check shows the origin of each value, and no secret"):
        shown = machine.run("scalelite-appliance", "config", "check", "--json")
        sources = {row["name"]: row["source"] for row in json.loads(shown)["settings"]}
        assert sources["LOADBALANCER_SECRET"] == f"file {SECRETS}"
        assert sources["REDIS_URL"].endswith("defaults.env")
        assert scene.secret() not in shown


def add_servers(scene: Scene) -> None:
    """Add servers as a member of the group."""
    machine = scene.machine
    with scene.step("only members of the group can use ctl"):
        for user in (MEMBER, STRANGER, DELIVERER):
            machine.run("useradd", "--create-home", user)
        machine.run("usermod", "--append", "--groups", UNIT, MEMBER)
        machine.run("usermod", "--append", "--groups", "_scalelite", DELIVERER)
        for server in scene.servers:
            scene.ctl("servers", "add", server.url, server.secret, "--enable", user=MEMBER)
        refused = scene.ctl("status", user=STRANGER, check=False)
        assert "127.0.0.1" not in refused, refused
        assert MEMBER in machine.journal(f"--unit={UNIT}")  # the user of the change
        scene.wait_online(len(scene.servers))


def ask_doctor(scene: Scene) -> None:
    """Run `ctl doctor`."""
    with scene.step("ctl doctor finds no failure"):
        output = scene.ctl("doctor", user=MEMBER)
        assert "FAIL" not in output, output


def hold_meeting(scene: Scene) -> None:
    """Create and join a meeting, and check the status."""
    front, count = scene.front, len(scene.servers)
    with scene.step("a front-end creates a meeting, and users join it"):
        created = front.create(MEETING, record="true")
        assert created.returncode == "SUCCESS", created.body
        joined = front.join(MEETING)
        urls = {f"127.0.0.1:{server.port}" for server in scene.servers}
        assert joined.status == 302, joined.body
        assert urlsplit(joined.location).netloc in urls
        holder = next(server for server in scene.servers if MEETING in server.meetings())
        holder.set_users(MEETING, participants=2, moderators=1)
        assert front.is_running(MEETING) == "true"
        assert front.listed() == [MEETING]
    with scene.step("systemctl status shows servers and meetings"):
        expected = f"{count} of {count} enabled servers online, 1 meetings, 2 users"

        def is_shown() -> bool:
            return expected in scene.machine.show(UNIT, "StatusText")

        scene.ctl("poll", "all")
        wait_for(is_shown, SETTLE_S, lambda: scene.machine.show(UNIT, "StatusText"))


def deliver(scene: Scene, record_id: str, spool: str = "/var/bigbluebutton/spool") -> None:
    """Copy a recording to the spool as a user of the group."""
    with tempfile.TemporaryDirectory() as directory:
        tar = recording_tar(
            Path(directory), record_id, {"presentation": {"1.svg": SLIDE}}, meeting_id=MEETING
        )
        arrived = scene.machine.path(f"/home/{DELIVERER}/{record_id}.tar")
        arrived.write_bytes(tar.read_bytes())
    arrived.chmod(0o644)
    script = f"cp {record_id}.tar {spool}/.new && mv {spool}/.new {spool}/{record_id}.tar"
    scene.machine.run("sh", "-c", f"cd ~{DELIVERER} && {script}", user=DELIVERER)


def import_recording(scene: Scene) -> None:
    """Deliver a recording and play it."""
    with scene.step("a recording is imported from the spool, listed and played"):
        deliver(scene, RECORDING)
        scene.wait_recordings(RECORDING)
        played = scene.front.fetch("GET", f"/presentation/{RECORDING}/1.svg")
        assert (played.status, played.body) == (200, SLIDE)
        where = f"/var/bigbluebutton/published/presentation/{RECORDING}/1.svg"
        owner = scene.machine.run("stat", "--format=%U:%G", where).strip()
        assert owner == "_scalelite:_scalelite", owner
        assert "denied" in scene.machine.run("cat", where, user=STRANGER, check=False)
        spool = scene.machine.path("/var/bigbluebutton/spool")
        wait_for(lambda: not list(spool.glob("*.tar")), SETTLE_S, lambda: "an empty spool")


def dial_in(scene: Scene) -> None:
    """Request the dialplan like a FreeSWITCH gateway."""
    with scene.step("a caller is connected to the meeting"):
        pin = scene.front.info(MEETING).text("voiceBridge")
        gateway = Gateway()
        assert gateway.run(ask_dialplan(scene, form("call")), "+49305550100")
        assert gateway.run(ask_dialplan(scene, form("pin", pin=pin)), pin)
        assert gateway.executed[-1] == ("bridge", f"sofia/external/{pin}@127.0.0.1")


def ask_dialplan(scene: Scene, body: bytes) -> bytes:
    """Post a form as mod_xml_curl does."""
    name, _, value = basic("fsapi", scene.front.secret).partition(": ")
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    try:
        headers = {name: value, "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/fsapi", body, headers)
        answer = connection.getresponse()
        assert answer.status == 200
        return answer.read()
    finally:
        connection.close()
