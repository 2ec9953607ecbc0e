"""Checks of the units by systemd, and end-to-end tests with the installed program."""

from __future__ import annotations

from appliance.settings.environment_file import parse_environment_file
from tools.deb_test.machine import CHECKOUT
from tools.deb_test.scene import UNIT, UNITS, Scene

THRESHOLD = 15
"""Maximum exposure level of systemd-analyze, in tenths."""
CHOSEN = ("test_api.py", "test_playback.py", "test_recording_import.py", "test_dialplan.py")
"""Tests that use all libraries of the program."""
PROGRAM = "env PYTHONPATH=/usr/share/scalelite-appliance /usr/bin/python3 -sP -m appliance"

ENVIRONMENT = r"""
# X_COMMENT=1
; X_COMMENT=2
X_PLAIN=1
 X_BLANKS =  two words \t
X_EMPTY=
X_SINGLE='a "b" \$c'
X_DOUBLE="a 'b' \"c\" \$d \e \\ \`"
X_JOINED='one'"two" three
X_LINES='two
lines'
X_CONTINUED=a\
b
X_CONTINUED_TOO="c\
d"
X_ESCAPED=a\,b\\c\ \d
X_HASH=a#b ; c
X_INNER=b'c'"d"
X_EQUALS=a=b
X_TWICE=1
X_TWICE=2
export X_EXPORTED=1
no assignment
X_BLANK_AT_END=a\ \ 
X_TAB=a\tb
"""
"""Valid and invalid lines of a configuration."""


def compare_with_systemd(scene: Scene) -> None:
    """Parse an environment file by systemd and by the launcher, and compare."""
    with scene.step("the launcher parses the configuration like systemd"):
        scene.machine.path("/root/environment").write_text(ENVIRONMENT)
        output = scene.machine.run(
            "systemd-run", "--quiet", "--wait", "--pipe",
            "--property=EnvironmentFile=/root/environment", "env", "-0",
        )  # fmt: skip
        pairs = [line.partition("=")[::2] for line in output.split("\0")]
        expected = {name: value for name, value in pairs if name.startswith("X_")}
        found = parse_environment_file(ENVIRONMENT)
        assert found == expected, {
            name: (found.get(name), expected.get(name))
            for name in found.keys() | expected.keys()
            if found.get(name) != expected.get(name)
        }


def check_units(scene: Scene) -> None:
    """Check the units with systemd-analyze."""
    with scene.step("systemd-analyze: the units are valid and hardened"):
        for unit in (*UNITS, f"{UNIT}-backup"):
            path = f"/usr/lib/systemd/system/{unit}.service"
            output = scene.machine.run("systemd-analyze", "verify", "--man=no", path)
            assert not output, output
            scene.machine.run(
                "systemd-analyze", "security", "--no-pager", "--offline=true",
                f"--threshold={THRESHOLD}", path,
            )  # fmt: skip
    with scene.step("manual page, completion and documents are installed"):
        for path in (
            "/usr/share/man/man8/scalelite-appliance.8.gz",
            "/usr/share/bash-completion/completions/scalelite-appliance",
            "/usr/share/zsh/vendor-completions/_scalelite-appliance",
            "/usr/share/doc/scalelite-appliance/README.Debian",
            "/usr/share/scalelite-appliance/bbb/post_publish_scalelite_appliance.rb",
            "/usr/share/scalelite-appliance/locales/de.yml",
        ):
            assert scene.machine.path(path).is_file(), path


def run_end_to_end_tests(scene: Scene) -> None:
    """Run tests of the checkout with the installed program."""
    with scene.step("end-to-end tests pass with the installed program"):
        tests = [f"{CHECKOUT}/tests/end_to_end/{name}" for name in CHOSEN]
        output = scene.machine.run(
            "env", "-C", CHECKOUT, f"APPLIANCE_COMMAND={PROGRAM}", "PYTHONDONTWRITEBYTECODE=1",
            f"{CHECKOUT}/.venv/bin/python", "-m", "pytest", "-p", "no:cacheprovider", "-x", *tests,
            limit_s=1200,
        )  # fmt: skip
        assert " passed" in output, output
        assert "failed" not in output, output
