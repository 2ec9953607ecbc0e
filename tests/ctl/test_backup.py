"""Which backups of a directory are kept, and which files are refused.

The commands: tests/end_to_end/test_backup.py.
"""

from __future__ import annotations

import os
from datetime import date, timedelta
from pathlib import Path

from appliance.ctl.backup import choose_old
from tests.doubles.control import run_ctl


def test_seven_days_and_the_last_of_four_weeks_are_kept() -> None:
    """For a year of days, each of which ends with a rotation."""
    there: set[str] = set()
    for number in range(365):
        day = date(2026, 1, 1) + timedelta(days=number)
        there.add(f"pool-{day}.json")
        there -= set(choose_old(there))

        kept = sorted(date.fromisoformat(name[5:15]) for name in there)
        assert set(kept) >= {day - timedelta(days=n) for n in range(min(number + 1, 7))}
        if number > 40:
            sundays = [day - timedelta(days=day.isoweekday() + 7 * n) for n in range(4)]
            assert set(sundays) <= set(kept)
            assert len(kept) <= 7 + 4
            assert set(kept) <= {day - timedelta(days=n) for n in range(7)} | set(sundays)


def test_days_without_a_backup_count_no_week_and_no_day() -> None:
    names = [f"pool-2026-{month:02}-15.json" for month in range(1, 13)]

    assert choose_old(names) == [f"pool-2026-{month:02}-15.json" for month in range(5, 0, -1)]


def test_other_files_are_left_alone() -> None:
    names = ["notes", "pool-2026-13-45.json", "pool-2020-01-01.json.old", ".pool-2020-01-01.json"]

    assert choose_old(names) == []


def test_pipe_and_standard_output_are_refused_with_what_to_do(tmp_path: Path) -> None:
    passphrase = {"BACKUP_PASSPHRASE": "p"}
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR)  # so that nothing waits for the other end
    socket = tmp_path / "ctl.sock"

    read = run_ctl(socket, "restore", str(pipe), **passphrase)
    os.close(end)
    written = run_ctl(socket, "backup", "-", **passphrase)

    assert (read.code, written.code) == (1, 1)
    assert read.err.startswith(f"{pipe}: it can be read only once, and is checked before")
    assert written.err.startswith("name a file: ")
    assert not Path("-").exists()
