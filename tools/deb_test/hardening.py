"""What systemd itself says about the units, and the tests of the program on the installed one."""

from __future__ import annotations

from appliance.settings.environment_file import parse_environment_file
from tools.deb_test.machine import CHECKOUT
from tools.deb_test.scene import UNITS, Scene

THRESHOLD = 15
"""Tenths; the specification wants less than 2.0."""
CHOSEN = ("test_api.py", "test_playback.py", "test_recording_import.py", "test_dialplan.py")
"""Tests that meet all of the program's libraries."""
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
"""What people write into the configuration, and what they should not."""


def compare_with_systemd(scene: Scene) -> None:
    """Have systemd read an environment file, and the launcher's parser."""
    with scene.step("the launcher reads the configuration as systemd does"):
        scene.machine.path("/root/environment").write_text(ENVIRONMENT)
        said = scene.machine.run(
            "systemd-run", "--quiet", "--wait", "--pipe",
            "--property=EnvironmentFile=/root/environment", "env", "-0",
        )  # fmt: skip
        pairs = [line.partition("=")[::2] for line in said.split("\0")]
        theirs = {name: value for name, value in pairs if name.startswith("X_")}
        ours = parse_environment_file(ENVIRONMENT)
        assert ours == theirs, {
            name: (ours.get(name), theirs.get(name))
            for name in ours.keys() | theirs.keys()
            if ours.get(name) != theirs.get(name)
        }


def check_units(scene: Scene) -> None:
    """Let systemd judge the units."""
    with scene.step("systemd-analyze: the units are right, and as closed as they should be"):
        for unit in UNITS:
            path = f"/usr/lib/systemd/system/{unit}.service"
            said = scene.machine.run("systemd-analyze", "verify", "--man=no", path)
            assert not said, said
            scene.machine.run(
                "systemd-analyze", "security", "--no-pager", "--offline=true",
                f"--threshold={THRESHOLD}", path,
            )  # fmt: skip
    with scene.step("manual, completion and documents are where they are looked for"):
        for path in (
            "/usr/share/bash-completion/completions/scalelite-appliance",
            "/usr/share/zsh/vendor-completions/_scalelite-appliance",
            "/usr/share/doc/scalelite-appliance/README.Debian",
            "/usr/share/scalelite-appliance/bbb/post_publish_scalelite_appliance.rb",
            "/usr/share/scalelite-appliance/locales/de.yml",
        ):
            assert scene.machine.path(path).is_file(), path


def run_end_to_end_tests(scene: Scene) -> None:
    """Run tests of the checkout, which the guest sees, on the installed program."""
    with scene.step("end-to-end tests of the checkout hold for the installed program"):
        tests = [f"{CHECKOUT}/tests/end_to_end/{name}" for name in CHOSEN]
        said = scene.machine.run(
            "env", "-C", CHECKOUT, f"APPLIANCE_COMMAND={PROGRAM}", "PYTHONDONTWRITEBYTECODE=1",
            f"{CHECKOUT}/.venv/bin/python", "-m", "pytest", "-p", "no:cacheprovider", "-x", *tests,
            limit_s=1200,
        )  # fmt: skip
        assert " passed" in said, said
        assert "failed" not in said, said
