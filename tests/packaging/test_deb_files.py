"""Files of packaging/deb agree with the code; tools/deb_test tests the built package."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from appliance.settings.environment_file import parse_environment_file
from appliance.settings.paths import SYSTEM_CONTROL_SOCKET, SYSTEM_STATE_DIR
from appliance.settings.reading import KNOWN_NAMES
from tests.doubles.settings import settings_of

ROOT = Path(__file__).resolve().parents[2]
DEB = ROOT / "packaging" / "deb"
DEBIAN_NAMES = {"pyjwt": "jwt", "pyyaml": "yaml"}
# Not packaged by Debian, hence included in the package, with these dependencies besides trio.
BUILD_MODULES = {"all", "argparse-manpage", "setuptools", "shtab"}
BUNDLED = {"trio-asyncio": {"greenlet"}}
SHELL = sorted(
    path
    for path in [*DEB.rglob("*")]
    if path.is_file() and path.read_bytes()[:2] == b"#!" and b"sh" in path.read_bytes().split()[0]
)


def requirements() -> dict[str, str]:
    """Return the minimum version of each requirement, by its name in lower case."""
    lines = (ROOT / "requirements/runtime.in").read_text().splitlines()
    pairs = [line.split(">=") for line in lines if line and not line.startswith("#")]
    return {name.lower(): minimum for name, minimum in pairs}


def dependencies() -> dict[str, str]:
    """Return the minimum version, or "", of each Python module the package depends on."""
    control = (DEB / "debian/control").read_text()
    # Up to the Recommends and Suggests of the package, without which a feature is off.
    control = "".join(re.split(r"(?m)^(?:Recommends|Suggests):(?:.*\n(?: .*\n)*)", control))
    found = re.findall(r"^ python3-([a-z0-9-]+)(?: \(>= ([0-9.]+)\))?,$", control, re.MULTILINE)
    modules = dict(found)
    return {name: minimum for name, minimum in modules.items() if name not in BUILD_MODULES}


def test_package_depends_on_what_the_appliance_imports() -> None:
    required = {
        DEBIAN_NAMES.get(name, name): minimum
        for name, minimum in requirements().items()
        if name not in BUNDLED
    }
    found = dependencies()

    assert {name: found.get(name) for name in required} == required
    assert found.keys() - required.keys() == {one for more in BUNDLED.values() for one in more}


def test_defaults_of_the_package_select_the_stores_of_the_units() -> None:
    defaults = parse_environment_file((DEB / "defaults.env").read_text())
    stores = settings_of(SECRET_KEY_BASE="k" * 64, **defaults).stores
    redis = (DEB / "libexec/redis").read_text()

    assert defaults.keys() <= KNOWN_NAMES
    assert defaults["STATE_DIR"] == SYSTEM_STATE_DIR
    assert defaults["CTL_SOCKET"] == SYSTEM_CONTROL_SOCKET
    assert not stores.redis_embedded
    assert not stores.database_embedded
    assert defaults["REDIS_URL"].removeprefix("unix://") in redis


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_shell_script_can_be_parsed_and_is_executable(script: Path) -> None:
    shell = script.read_text().split()[0].rpartition("/")[2]
    shell = "bash" if shell == "env" else shell
    checked = subprocess.run([shell, "-n", script], capture_output=True, text=True, check=False)

    assert (checked.returncode, checked.stderr) == (0, "")
    # debhelper makes maintainer scripts executable.
    assert script.stat().st_mode & 0o100 or script.parent.name == "debian"


@pytest.mark.parametrize(
    ("store", "environ", "wanted"),
    [
        ("redis", {}, True),
        ("redis", {"REDIS_URL": ""}, True),
        ("redis", {"REDIS_URL": "redis://r"}, False),
        ("redis", {"REDIS_URL_FILE": "/f"}, False),
        ("redis", {"REDIS_SENTINELS": "s:1"}, False),
        ("database", {}, True),
        ("database", {"DB_PROVISION": "auto"}, True),
        ("database", {"DB_PROVISION": "none"}, False),
        ("database", {"DATABASE_URL": "postgresql://p"}, False),
        ("database", {"DATABASE_URL_FILE": "/f"}, False),
        ("database", {"DB_DISABLED": "True"}, False),
        ("database", {"DB_DISABLED": "false"}, True),
        ("database", {"RECORDING_DISABLED": "yes"}, False),
    ],
)
def test_local_store_is_used_unless_another_is_configured(
    store: str, environ: dict[str, str], wanted: bool
) -> None:
    command = [str(DEB / "libexec/store-wanted"), store]
    path = {"PATH": "/usr/bin:/bin"}

    assert (subprocess.run(command, env={**path, **environ}, check=False).returncode == 0) == wanted


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, False),
        ({"BACKUP_PASSPHRASE": ""}, False),
        ({"BACKUP_PASSPHRASE": "x"}, True),
        ({"BACKUP_PASSPHRASE_FILE": "/f"}, True),
    ],
)
def test_backup_is_made_once_a_passphrase_is_set(environ: dict[str, str], wanted: bool) -> None:
    command = [str(DEB / "libexec/backup"), "--wanted"]
    path = {"PATH": "/usr/bin:/bin"}

    assert (subprocess.run(command, env={**path, **environ}, check=False).returncode == 0) == wanted


@pytest.mark.parametrize(
    ("name", "renewed", "is_taken"),
    [
        ("", "bbb.example.org", True),
        ("bbb.example.org", "bbb.example.org", True),
        ("bbb.example.org", "www.example.org", False),
    ],
)
def test_certbot_hook_installs_the_selected_certificate(
    tmp_path: Path, name: str, renewed: str, is_taken: bool
) -> None:
    script = (DEB / "examples/certbot-deploy-hook").read_text()
    assert "\nname=\n" in script
    taken = tmp_path / "install"
    taken.write_text("#!/bin/sh\necho taken\nexit 1\n")
    taken.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", "-c", script.replace("\nname=\n", f"\nname={name}\n")],
        env={"PATH": str(tmp_path), "RENEWED_LINEAGE": f"/etc/letsencrypt/live/{renewed}"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout == "taken\n", done.returncode == 0) == (is_taken, not is_taken)


def test_certbot_hook_gives_the_key_to_the_user_alone(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    for name in ("install", "mv", "systemctl"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >>{calls}\n')
        (tmp_path / name).chmod(0o755)
    script = DEB / "examples/certbot-deploy-hook"
    environ = {"PATH": str(tmp_path), "RENEWED_LINEAGE": "/l"}

    subprocess.run(["/bin/sh", script], env=environ, check=True)

    made = [line for line in calls.read_text().splitlines() if not line.startswith("systemctl")]
    install = "install -o _scalelite -g _scalelite -m 0400 -T"
    tls = "/etc/scalelite-appliance/tls"
    assert made == [
        # The user may not write where root does.
        f"install -d -o root -g _scalelite -m 0750 {tls}",
        f"{install} /l/fullchain.pem {tls}/.fullchain.pem.new",
        f"mv -fT {tls}/.fullchain.pem.new {tls}/fullchain.pem",
        f"{install} /l/privkey.pem {tls}/.privkey.pem.new",
        f"mv -fT {tls}/.privkey.pem.new {tls}/privkey.pem",
    ]


def test_every_file_of_the_appliance_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]
    installed = {
        path
        for package, globs in patterns.items()
        for one in globs
        for path in (ROOT / package.replace(".", "/")).glob(one)
    }
    files = {path for path in (ROOT / "appliance").rglob("*") if path.is_file()}
    data = {path for path in files if path.suffix != ".py" and "__pycache__" not in path.parts}

    assert data
    assert sorted(map(str, data - installed)) == []


def test_links_of_the_installed_readme_are_to_installed_files() -> None:
    script = DEB / "installed-paths.sed"
    done = subprocess.run(
        ["sed", "-E", "-f", script, ROOT / "README.md"], capture_output=True, text=True, check=True
    )
    installed = {*(DEB / "debian/scalelite-appliance.docs").read_text().split(), "copyright"}

    links = re.findall(r"\]\((?!https?:|/)([^)#]+)", done.stdout)
    assert [one for one in links if one.partition("/")[0] not in installed] == []


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda path: path.name)
def test_installed_document_names_installed_files(page: Path) -> None:
    script = DEB / "installed-paths.sed"
    done = subprocess.run(
        ["sed", "-E", "-f", script, page], capture_output=True, text=True, check=True
    )

    folders = {path.name for path in (ROOT / "config").iterdir() if path.is_dir()}
    repository = re.findall(rf"[^/a-z]config/(?:{'|'.join(folders)})", done.stdout)
    assert repository == []
    named = re.findall(r"/usr/share/scalelite-appliance/([a-z]+/[\w.-]*)", done.stdout)
    assert all((ROOT / "config" / name).exists() for name in named)
