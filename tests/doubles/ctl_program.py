"""Run the ctl program with a running appliance, and parse its output."""

from __future__ import annotations

import json
from typing import Any

from tests.doubles.appliance_pool import ServedPool

DONE, FAILED, USAGE, NOT_RUNNING = 0, 1, 2, 3


def ctl(pool: ServedPool, *words: str, code: int = DONE, stdin: str = "") -> str:
    """Run ctl, check its exit code, and return its output, or its error message."""
    done = pool.appliance.ctl(*words, stdin=stdin)
    assert done.returncode == code, (words, done.stdout, done.stderr)
    if code == DONE:
        assert done.stderr == ""
        return done.stdout
    if code == FAILED:
        assert len(done.stderr.strip().splitlines()) == 1
    assert "Traceback" not in done.stderr
    return done.stderr.strip()


def ctl_json(pool: ServedPool, *words: str) -> Any:
    """Run ctl with --json and return the parsed output."""
    return json.loads(ctl(pool, *words, "--json"))


def table(text: str) -> list[dict[str, str]]:
    """Parse an aligned table into rows by column name."""
    header, *lines = text.rstrip("\n").splitlines()
    names = [name.strip() for name in header.split("  ") if name.strip()]
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    return [dict(zip(names, row, strict=False)) for row in rows]
