"""What works without a running appliance: config check, secret generate, version."""

from __future__ import annotations

import re

from appliance import __version__
from tests.doubles.control import Done, run_ctl

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
    done = run_ctl(NOWHERE, "config", "check", LOADBALANCER_SECRET="s3cr3t-s3cr3t", PORT="8123")

    assert (done.code, done.err) == (0, "")
    rows = {line.split()[0]: line.split()[1:] for line in done.out.splitlines()}
    assert rows["PORT"] == ["8123", "environment"]
    assert rows["CTL_SOCKET"] == [NOWHERE, "environment"]
    assert "s3cr3t" not in done.out
    document = run_ctl(NOWHERE, "config", "check", "--json", LOADBALANCER_SECRET="s3cr3t").json
    assert any(row["name"] == "PORT" for row in document["settings"])


def test_wrong_configuration_is_named_and_exit_code_1() -> None:
    done = run_ctl(NOWHERE, "config", "check", PORT="many", POLL_INTERVAL="-1")

    assert (done.code, done.out) == (1, "")
    for name in ("PORT", "POLL_INTERVAL", "LOADBALANCER_SECRET"):
        assert name in done.err
    assert "Traceback" not in done.err
