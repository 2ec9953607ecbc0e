"""What doctor finds without the appliance: units, journal, configuration, mode of the secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.ctl.down import (
    explain_backup_unit,
    explain_journal,
    explain_redis_unit,
    explain_unit,
    inspect_configuration,
    inspect_secrets_file,
)


@pytest.mark.parametrize(
    ("shown", "text", "advice"),
    [
        (
            "LoadState=loaded\nActiveState=failed\nResult=exit-code\nExecMainStatus=1\n",
            "scalelite-appliance.service is failed (exit-code, exit code 1)",
            "journalctl -u scalelite-appliance",
        ),
        (
            "LoadState=loaded\nActiveState=failed\nResult=exit-code\nExecMainStatus=78\n",
            "scalelite-appliance.service is failed (exit-code, exit code 78)",
            "config check",
        ),
        (
            "LoadState=loaded\nActiveState=activating\nSubState=auto-restart\nNRestarts=7\n",
            "scalelite-appliance.service is activating (restarted 7 times)",
            "journalctl -u scalelite-appliance",
        ),
        (
            "LoadState=loaded\nActiveState=inactive\nResult=success\n",
            "scalelite-appliance.service is inactive",
            "systemctl enable --now",
        ),
        (
            "LoadState=loaded\nActiveState=activating\nStatusText=waiting for Redis: refused\n",
            "scalelite-appliance.service is activating: waiting for Redis: refused",
            "systemctl status",
        ),
    ],
)
def test_unit_is_explained(shown: str, text: str, advice: str) -> None:
    finding = explain_unit(shown)

    assert finding is not None
    assert finding["text"] == text
    assert advice in finding["advice"]


def test_unit_that_is_not_installed_is_no_finding() -> None:
    assert explain_unit("LoadState=not-found\nActiveState=inactive\n") is None
    assert explain_unit("") is None


@pytest.mark.parametrize(
    ("shown", "is_found"),
    [
        ("LoadState=loaded\nActiveState=failed\nResult=signal\n", True),
        ("LoadState=loaded\nActiveState=activating\nSubState=auto-restart\n", True),
        ("LoadState=loaded\nActiveState=active\n", False),
        ("LoadState=loaded\nActiveState=inactive\nResult=exec-condition\n", False),
        ("LoadState=not-found\nActiveState=inactive\n", False),
    ],
)
def test_redis_of_the_package_is_named_when_it_has_failed(shown: str, is_found: bool) -> None:
    finding = explain_redis_unit(shown)

    assert (finding is not None) == is_found
    if finding is not None:
        assert finding["text"].startswith("scalelite-appliance-redis.service is ")
        assert "journalctl -u scalelite-appliance-redis" in finding["advice"]


def test_last_line_of_the_journal_is_shown() -> None:
    finding = explain_journal("first\ncannot listen on tcp://0.0.0.0:80\n")

    assert finding is not None
    assert finding["text"] == "cannot listen on tcp://0.0.0.0:80"
    assert explain_journal("") is None


def test_configuration_is_checked(tmp_path: Path) -> None:
    good = {
        "LOADBALANCER_SECRET": "s" * 32,
        "STATE_DIR": str(tmp_path),
        "CTL_SOCKET": str(tmp_path / "ctl.sock"),
        "BIND": "tcp://127.0.0.1:0",
    }

    assert inspect_configuration(good)["level"] == "ok"
    bad = inspect_configuration({**good, "PORT": "high", "POLL_INTERVAL": "often"})
    assert bad["level"] == "fail"
    assert "PORT" in bad["text"]
    assert "config check" in bad["advice"]
    refused = inspect_configuration({**good, "STATE_DIR": "/dev/null/state"})
    assert (refused["level"], "/dev/null is not a directory" in refused["text"]) == ("fail", True)


@pytest.mark.parametrize(("mode", "level"), [(0o600, "ok"), (0o640, "fail"), (0o604, "fail")])
def test_mode_of_the_secrets_is_judged(mode: int, level: str, tmp_path: Path) -> None:
    path = tmp_path / "secrets.env"
    path.write_text("LOADBALANCER_SECRET=s\n")
    path.chmod(mode)

    finding = inspect_secrets_file(str(path))

    assert finding is not None
    assert finding["level"] == level
    assert inspect_secrets_file(str(tmp_path / "gone")) is None


@pytest.mark.parametrize(
    ("shown", "environ", "level", "text"),
    [
        ("ActiveState=inactive\nResult=exec-condition\n", {}, "ok", "none is made"),
        ("ActiveState=inactive\nResult=success\n", {"BACKUP_PASSPHRASE": "x"}, "ok", "every day"),
        (
            "ActiveState=failed\nResult=exit-code\nExecMainStatus=3\n",
            {"BACKUP_PASSPHRASE_FILE": "/f"},
            "fail",
            "scalelite-appliance-backup.service is failed (exit-code, exit code 3)",
        ),
    ],
)
def test_failed_backup_is_told(shown: str, environ: dict[str, str], level: str, text: str) -> None:
    finding = explain_backup_unit(f"LoadState=loaded\n{shown}", environ)

    assert finding is not None
    assert finding["level"] == level
    assert text in finding["text"]
    assert explain_backup_unit("LoadState=not-found\n", environ) is None
