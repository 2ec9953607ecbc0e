"""Wrong configurations: `config check` fails exactly when the start does, and doctor says why."""

from __future__ import annotations

from tools.deb_test.https import EXAMPLES
from tools.deb_test.machine import wait_for
from tools.deb_test.scene import SETTLE_S, UNIT, Scene

CHECK = "scalelite-appliance config check"
FOLDER = f"/etc/systemd/system/{UNIT}.service.d"
HELD = 3001
"""A port that another program holds."""


def try_configurations(scene: Scene) -> None:
    """Run the steps; the service runs with its own configuration afterwards."""
    machine = scene.machine
    with scene.step("config check as root accepts the configuration and the ports of the service"):
        machine.shell(CHECK)
    with scene.step("a port below 1024 requires the drop-in, for config check and for the start"):
        expect_failure(scene, "Permission denied; ports below 1024", PORT="443")
        machine.shell(f"mkdir -p {FOLDER} && cp {EXAMPLES}/privileged-port.conf {FOLDER}/")
        machine.shell(f"systemctl daemon-reload && {CHECK} && systemctl restart {UNIT} && {CHECK}")
        machine.shell(f"rm {FOLDER}/privileged-port.conf && systemctl daemon-reload")
    with scene.step("a port that another program holds is refused, and taken once it is free"):
        holder = f"systemd-run --unit=holder python3 -m http.server {HELD}"
        machine.shell(holder)
        wait_for(lambda: holds(scene), SETTLE_S, lambda: "a program on the port")
        expect_failure(scene, "Address already in use", PORT=str(HELD))
        machine.run("systemctl", "stop", "holder")
        wait_for(lambda: machine.is_active(UNIT), SETTLE_S, lambda: "the service by itself")
        machine.shell(CHECK)
    with scene.step("an invalid configuration is exit code 78, and not tried again"):
        expect_failure(scene, 'PORT="high": expected', code=78, PORT="high")
        assert machine.show(UNIT, "ActiveState") == "failed"
        assert machine.show(UNIT, "ExecMainStatus") == "78"
        scene.configure(PORT="3000")
        scene.wait_serving()
    with scene.step("root uses the database as the service does, and Redis logs to the journal"):
        machine.run("scalelite-appliance", "database", "migrate")
        # Exit code 1: there are no servers yet.
        found = machine.run("scalelite-appliance", "takeover", "check", "--local", check=False)
        assert "writable directories: 4" in found, found
        assert "tables of Scalelite: 5" in found, found
        redis = machine.journal(f"--unit={UNIT}-redis", "--output=json", "--identifier=redis")
        assert '"_TRANSPORT":"syslog"' in redis, redis[-500:]


def holds(scene: Scene) -> bool:
    """Return whether the other program listens."""
    return "200" in scene.machine.run(
        *("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}"),
        f"http://127.0.0.1:{HELD}/",
        check=False,
    )


def expect_failure(scene: Scene, reason: str, *, code: int = 1, **settings: str) -> None:
    """Assert that check, start and doctor agree about a configuration."""
    machine = scene.machine
    scene.edit(**settings)
    checked = machine.run("sh", "-c", f"{CHECK} 2>&1; echo code $?")
    assert reason in checked, checked
    assert checked.rstrip().endswith(f"code {code}"), checked
    started = machine.run("systemctl", "restart", UNIT, check=False)
    assert "failed" in started, started
    for words in ("ctl doctor", "ctl"):
        said = machine.run("sh", "-c", f"scalelite-appliance {words} 2>&1; echo code $?")
        assert reason in said, said
        assert said.rstrip().endswith("code 3"), said
