"""Imports onto disks that are full: they wait, and go on when there is room."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import trio

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_S = 50.0
# Who is not root becomes it in a user namespace of his own, and may mount there.
NAMESPACE = ["unshare", *(["--user", "--map-root-user"] if os.geteuid() else []), "--mount"]


async def test_import_waits_while_disks_are_full_and_then_goes_on(
    database_url: str, tmp_path: Path
) -> None:
    command = [*NAMESPACE, sys.executable, "-m", "tests.doubles.full_disk_driver"]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8"}
    with trio.fail_after(DEADLINE_S):
        done = await trio.run_process(
            [*command, database_url, str(tmp_path)],
            cwd=ROOT, env=environ, check=False, capture_stdout=True, capture_stderr=True,
        )  # fmt: skip
    assert done.stdout == b"ok\n", done.stderr.decode()[-4000:]
    assert list((tmp_path / "published").iterdir()) == []  # it was mounted there alone
