"""`ctl backup` and `ctl restore`: a trial on embedded stores moves to external ones, in use."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.doubles.appliance_process import ApplianceProcess, run_program
from tests.doubles.bbb_process import BbbProcess

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApplianceProcess]:
    """Give an appliance on embedded stores."""
    directory = tmp_path_factory.mktemp("trial")
    with ApplianceProcess(directory, POLL_INTERVAL="600", BACKUP_PASSPHRASE=PASSPHRASE) as started:
        started.sensitive.add(PASSPHRASE)
        yield started


@pytest.fixture(scope="module")
def bbbs(trial: ApplianceProcess) -> Iterator[list[BbbProcess]]:
    """Give two servers in its pool, with a meeting."""
    with BbbProcess() as one, BbbProcess() as two:
        for server in (one, two):
            trial.add_server(server)
        trial.front.create("math")
        trial.ctl("tokens", "add", "monitoring", "--role", "viewer")
        yield [one, two]


def test_backup_needs_a_passphrase_and_asks_nothing(
    trial: ApplianceProcess, bbbs: list[BbbProcess], tmp_path: Path
) -> None:
    bare = {name: text for name, text in trial.environ.items() if name != "BACKUP_PASSPHRASE"}
    path, empty, given = tmp_path / "pool.json", tmp_path / "empty", tmp_path / "given"
    empty.write_text("\n")
    given.write_text(f"{PASSPHRASE}\n")

    refused = run_program("ctl", "backup", str(path), environ=bare, stdin="x\n")
    blank = run_program("ctl", "backup", str(path), "--passphrase-file", str(empty), environ=bare)
    assert (refused.returncode, blank.returncode) == (1, 1)
    assert "no passphrase is given" in refused.stderr
    assert blank.stderr == f"{empty}: the passphrase is empty\n"
    assert not path.exists()

    by_file = run_program("ctl", "backup", str(path), "--passphrase-file", str(given), environ=bare)
    assert by_file.returncode == 0, by_file.stderr
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = json.loads(path.read_text())
    assert document["version"] == 1
    assert not [server.secret for server in bbbs if server.secret in path.read_text()]
    checked = trial.ctl("restore", str(path), "--dry-run", "--json")
    found = json.loads(checked.stdout)
    assert found["dry_run"] is True
    assert found["objects"]["servers"] == {"total": 2, "added": 0, "kept": 2, "replaced": 0}


def test_restore_refuses_what_it_cannot_use(
    trial: ApplianceProcess, bbbs: list[BbbProcess], tmp_path: Path
) -> None:
    path = tmp_path / "pool.json"
    assert trial.ctl("backup", str(path)).returncode == 0
    wrong = tmp_path / "wrong"
    wrong.write_text("another passphrase")
    before = trial.ctl("status", "--json").stdout

    refused = trial.ctl("restore", str(path), "--passphrase-file", str(wrong), "--replace")
    assert (refused.returncode, refused.stderr) == (
        *(1, "the passphrase is not that of this backup\n"),
    )
    assert trial.ctl("restore", str(tmp_path / "none")).returncode == 1
    path.write_text(path.read_text()[:-20])
    cut_off = trial.ctl("restore", str(path), "--replace")
    assert (cut_off.returncode, "damaged" in cut_off.stderr) == (1, True)

    assert trial.ctl("status", "--json").stdout == before


def test_rotation_names_backups_by_day(
    trial: ApplianceProcess, bbbs: list[BbbProcess], tmp_path: Path
) -> None:
    old = tmp_path / "pool-2020-01-01.json"
    for name in (old.name, *(f"pool-2021-02-0{n}.json" for n in range(1, 9)), "notes"):
        (tmp_path / name).touch()

    made = json.loads(trial.ctl("backup", str(tmp_path), "--rotate", "--json").stdout)

    assert Path(made["file"]).parent == tmp_path
    assert os.path.getsize(made["file"]) > 0
    assert (tmp_path / "notes").exists()
    assert (tmp_path / "pool-2021-02-08.json").exists()


def test_trial_moves_to_external_stores_with_its_meetings(
    trial: ApplianceProcess,
    bbbs: list[BbbProcess],
    both_stores: dict[str, str],
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "pool.json")
    trial.terminate()
    stopped = trial.ctl("backup", path)
    assert (stopped.returncode, "--offline" in stopped.stderr) == (3, True)
    done = trial.ctl("backup", path, "--offline")
    assert done.returncode == 0, done.stderr

    secret = {"LOADBALANCER_SECRET": trial.environ["LOADBALANCER_SECRET"]}
    new = ApplianceProcess(
        tmp_path, POLL_INTERVAL="600", BACKUP_PASSPHRASE=PASSPHRASE, **both_stores, **secret
    )
    restored = new.ctl("restore", path, "--offline")
    assert restored.returncode == 0, restored.stderr
    with new:
        new.sensitive |= trial.sensitive
        (holder,) = [server for server in bbbs if "math" in server.meetings()]
        assert new.front.join("math").location.startswith(f"{holder.url}/join?")
        assert new.front.create("math").text("messageKey") == "duplicateWarning"
        assert [one["name"] for one in json.loads(new.ctl("tokens", "--json").stdout)] == [
            "monitoring"
        ]
        new.poll()
        assert new.front.is_running("math") == "false"  # nobody has joined it yet
        assert sum("math" in server.meetings() for server in bbbs) == 1

        again = new.ctl("restore", path)
        assert again.returncode == 0, again.stderr
        assert new.wait_event("backup_restored", mode="empty")["by"].startswith("uid=")
        (entry,) = json.loads(new.ctl("audit", "--json").stdout)[:1]
        assert (entry["call"], entry["result"]) == ("restoreBackup", "done")
        new.control.post(
            "addServer", {"server": {"url": "http://127.0.0.1:9/bigbluebutton/api", "secret": "x"}}
        )
        conflict = new.ctl("restore", path)
        assert (conflict.returncode, "--merge" in conflict.stderr) == (1, True)
        assert new.ctl("restore", path, "--merge").returncode == 0
        assert new.ctl("restore", path, "--replace").returncode == 0
        assert len(json.loads(new.ctl("servers", "--json").stdout)) == 2
    trial.start()
