"""A short day in a cloud that only the autoscaler's hook grows and shrinks, as processes."""

from __future__ import annotations

from pathlib import Path

from benchmarks.fleet import SHORT, describe, run


def test_short_day_loses_nothing(tmp_path: Path, redis_url: str, database_url: str) -> None:
    result = run(SHORT, tmp_path, redis_url, database_url)

    assert result.problems() == []
    assert result.findings.recordings
    assert result.findings.repeated > 0  # a server died
    assert result.machines > 1
    assert result.server_hours < result.fixed_hours
    assert "| creates refused | 0 |" in describe(result)
