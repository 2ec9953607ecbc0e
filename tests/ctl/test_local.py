"""Commands without a running appliance: config check, secret generate, database migrate …"""

from __future__ import annotations

import os
import pwd
import re
import subprocess
import sys
from pathlib import Path

from appliance import __version__
from tests.doubles.control import Done, ctl_environment, run_ctl
from tests.doubles.ports import free_port
from tests.doubles.redis_processes import short_directory

NOWHERE = "/nonexistent/ctl.sock"


def test_version_is_that_of_the_package() -> None:
    assert run_ctl(NOWHERE, "version") == Done(0, f"scalelite-appliance {__version__}\n", "")
    assert run_ctl(NOWHERE, "version", "--json").json == {"version": __version__}


def test_generated_secrets_are_long_and_differ() -> None:
    first, second = run_ctl(NOWHERE, "secret", "generate"), run_ctl(NOWHERE, "secret", "generate")

    assert re.fullmatch(r"[0-9a-f]{64}\n", first.out)
    assert first.out != second.out
    assert len(run_ctl(NOWHERE, "secret", "generate", "--json").json["secret"]) == 64


def test_configuration_is_shown_without_its_secrets() -> None:
    port = str(free_port())
    done = run_ctl(NOWHERE, "config", "check", LOADBALANCER_SECRET="s3cr3t-s3cr3t", PORT=port)

    assert "Traceback" not in done.err
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines()}
    assert rows["PORT"] == [port, "environment"]
    assert rows["CTL_SOCKET"] == [NOWHERE, "environment"]
    assert "s3cr3t" not in done.out
    document = run_ctl(NOWHERE, "config", "check", "--json", LOADBALANCER_SECRET="s3cr3t").json
    assert any(row["name"] == "PORT" for row in document["settings"])


def test_invalid_configuration_has_the_exit_code_of_run() -> None:
    done = run_ctl(NOWHERE, "config", "check", PORT="many", POLL_INTERVAL="-1")

    assert (done.code, done.out) == (78, "")
    for name in ("PORT", "POLL_INTERVAL", "LOADBALANCER_SECRET"):
        assert name in done.err
    assert "Traceback" not in done.err


EXTERNAL = {
    "LOADBALANCER_SECRET": "s" * 32,
    "SECRET_KEY_BASE": "k" * 32,
    "REDIS_URL": "redis://127.0.0.1:1",
}
UP_TO_DATE = "nothing to do: the database has the schema of this version\n"


def test_database_is_migrated_once(empty_database_url: str) -> None:
    environ = {**EXTERNAL, "DATABASE_URL": empty_database_url}

    first = run_ctl(NOWHERE, "database", "migrate", **environ)

    assert (first.code, first.err) == (0, "")
    assert first.out.splitlines()[0] == "applied 0001_appliance"
    assert run_ctl(NOWHERE, "database", "migrate", **environ) == Done(0, UP_TO_DATE, "")
    again = run_ctl(NOWHERE, "database", "migrate", "--json", **environ)
    assert again.json == {"applied": []}


def test_embedded_database_is_migrated_too() -> None:
    with short_directory() as directory:
        environ = {"LOADBALANCER_SECRET": "s" * 32, "STATE_DIR": str(directory / "state")}

        done = run_ctl(NOWHERE, "database", "migrate", **environ)

        assert (done.code, done.err) == (0, "")
        assert done.out.startswith("applied 0001_appliance\n")


def test_root_uses_the_stores_of_the_package_as_its_user(database_url: str, tmp_path: Path) -> None:
    fake = tmp_path / "systemctl"
    fake.write_text("#!/bin/sh\necho LoadState=loaded\necho User=nobody\n")
    fake.chmod(0o755)
    environ = {
        **EXTERNAL,
        "DATABASE_URL": database_url,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "APPLIANCE_SOURCES": "PORT=/etc/default/scalelite-appliance",
    }
    program = (
        "import getpass, os; from appliance.ctl.unit import become_service_user as become;"
        "become(os.environ); print(os.geteuid(), getpass.getuser())"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**ctl_environment(NOWHERE), **environ},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    name = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    assert done.stdout.split() == [str(pwd.getpwnam(name).pw_uid), name]
    if os.geteuid() == 0:
        # The socket of this PostgreSQL is in a directory of root: another user gets no further.
        refused = run_ctl(NOWHERE, "database", "migrate", **environ)
        assert (refused.code, "Permission denied" in refused.err) == (1, True)


def test_database_that_cannot_be_migrated_is_one_line_and_exit_code_1() -> None:
    gone = {**EXTERNAL, "DATABASE_URL": "postgresql://127.0.0.1:1/none"}
    done = run_ctl(NOWHERE, "database", "migrate", **gone)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("the database was not migrated: ")
    assert len(done.err.splitlines()) == 1

    none = run_ctl(NOWHERE, "database", "migrate", **EXTERNAL, DB_DISABLED="true")
    assert none == Done(1, "", "there is no database: DB_DISABLED or RECORDING_DISABLED is set\n")
    bad = run_ctl(NOWHERE, "database", "migrate", PORT="many")
    assert bad.code == 1
    assert any(line.strip().startswith("PORT=") for line in bad.err.splitlines())
