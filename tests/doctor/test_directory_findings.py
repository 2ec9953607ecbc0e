"""Directories: level and advice for each problem."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from appliance.doctor.directory_findings import Place, judge_file_systems, judge_places
from appliance.doctor.findings import Level
from appliance.system.disk_facts import MISSING, NOT_A_DIRECTORY, DirectoryFacts

GOOD = DirectoryFacts("/rec/work", "", device=1, free_bytes=50 << 30, size_bytes=100 << 30)
PLACE = Place("work", GOOD, "RECORDING_WORK_DIR")


@pytest.mark.parametrize(
    ("changes", "level", "advice"),
    [
        ({}, Level.OK, ""),
        ({"problem": MISSING}, Level.FAIL, "install -d -o bbb -g bbb -m 2750 /rec/work"),
        ({"problem": MISSING, "creatable": True}, Level.WARN, "mount"),
        ({"problem": NOT_A_DIRECTORY}, Level.FAIL, "RECORDING_WORK_DIR"),
        ({"problem": "Permission denied"}, Level.FAIL, "chown bbb /rec/work"),
        ({"problem": "Read-only file system"}, Level.FAIL, "ReadWritePaths=/rec/work"),
        ({"problem": "Permission denied"}, Level.FAIL, "findmnt -T /rec/work"),
        ({"free_bytes": 500 << 20}, Level.FAIL, "df -h /rec/work"),
        ({"free_bytes": 5 << 30}, Level.WARN, "df -h /rec/work"),
        ({"free_bytes": 20 << 30, "size_bytes": 1 << 40}, Level.WARN, "df -h"),
        ({"free_inodes": 0.01}, Level.WARN, "df -i /rec/work"),
    ],
)
def test_directory_is_judged(changes: dict[str, Any], level: Level, advice: str) -> None:
    (finding,) = judge_places([replace(PLACE, facts=replace(GOOD, **changes))], "bbb")

    assert (finding.check, finding.level) == ("directory work", level)
    assert "/rec/work" in finding.text
    assert advice in finding.advice
    assert bool(finding.advice) == (level is not Level.OK)


def test_missing_spool_is_advised_with_group_write_permission() -> None:
    (finding,) = judge_places([Place("spool", DirectoryFacts("/s", MISSING), "X")], "bbb")

    assert "install -d -o bbb -g bbb -m 2770 /s" in finding.advice


def test_different_file_systems_are_reported() -> None:
    other = Place("published", replace(GOOD, device=2), "X")
    gone = Place("unpublished", replace(GOOD, problem=MISSING), "Y")

    (same,) = judge_file_systems([PLACE, replace(other, facts=GOOD), gone])
    (different,) = judge_file_systems([PLACE, other, gone])

    assert (same.level, same.text) == (Level.OK, "work and published are on the same file system")
    assert different.level is Level.WARN
    assert "recordings are copied" in different.text
    assert judge_file_systems([PLACE, gone]) == []
