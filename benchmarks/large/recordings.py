"""getRecordings among a million recordings."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from benchmarks.large.pools import pause
from benchmarks.large.scenario import Figure, Setting, scenario
from benchmarks.many_servers import HOST
from benchmarks.process_figures import peak_mb
from benchmarks.recordings import Case, measure
from tests.doubles.appliance_process import ApplianceProcess
from tests.doubles.recordings import FILL_LIMIT_S, fill_statements
from tests.doubles.settings import SECRET
from tests.doubles.store_servers import run_sql

RECORDINGS, QUICK_RECORDINGS = 1_000_000, 12_000
_ROOMS = "INSERT INTO metadata (recording_id, key, value) SELECT id, 'room', 'room-' || id % {0}"
REPEAT = 20
_ALL = "meta_bbb-origin=greenlight&limit=25"
FIRST = (
    ("page of 25 without a filter, counted again", "limit=25"),
    ("the same, in the middle, none nearby known", "limit=25&offset={0}"),
    ("by meta that all have, in the middle, none nearby known", f"{_ALL}&offset={{0}}"),
)
"""Calls that are measured once, since the next one knows what the first has found."""
CASES = (
    ("ten by meetingID", "meetingID=meeting-77", 5.0),
    ("page of 25 by meta with 500 matches", "meta_room=room-7&limit=25", 20.0),
    ("page of 25 by meta that all have", _ALL, 50.0),
    ("the same, offset 5,000", f"{_ALL}&offset=5000", None),
    ("the same, behind the one in the middle", f"{_ALL}&offset={{1}}", None),
    ("page of 25 without a filter", "limit=25", None),
)


@scenario("recordings", "getRecordings among 1,000,000 recordings")
def measure_recordings(setting: Setting) -> Iterator[Figure]:
    """Yield the median time of calls, and the memory after streaming everything."""
    count = setting.sized(RECORDINGS, QUICK_RECORDINGS)
    with run_filled(setting.directory, count) as appliance:
        yield from measure_listings(appliance, count)


@contextlib.contextmanager
def run_filled(directory: Path, count: int) -> Iterator[ApplianceProcess]:
    """Run an appliance that has so many recordings; they are made unless they are there."""
    environ = {"LOG_LEVEL": "info", "METRICS_BIND": f"tcp://{HOST}:0"}
    with ApplianceProcess(directory, LOADBALANCER_SECRET=SECRET, **environ) as appliance:
        appliance.wait_event("database_ready")
        sockets = appliance.state_dir / "stores" / "run"
        if run_sql(sockets, "SELECT count(*) FROM recordings", limit_s=60) == "0":
            rooms = _ROOMS.format(max(1, count // 500)) + " FROM recordings"
            statements = [*fill_statements(count), rooms, "VACUUM ANALYZE recordings, metadata"]
            run_sql(sockets, ";\n".join(statements), limit_s=FILL_LIMIT_S)
        yield appliance


def measure_listings(appliance: ApplianceProcess, count: int) -> Iterator[Figure]:
    """Yield the times of calls, the longest pause, and the memory after streaming everything."""
    middle = count // 2, count // 2 + 25
    for name, query in FIRST:
        found = measure(appliance, Case(name, query.format(*middle), 0))
        yield Figure(name, found.first_ms, "ms")
    for name, query, limit_ms in CASES:
        found = measure(appliance, Case(name, query.format(*middle), REPEAT))
        yield Figure(name, found.median_ms, "ms", limit_ms)
    before_mb = peak_mb(appliance.pid)
    found = measure(appliance, Case("everything", "", 0))
    yield Figure("everything, streamed", found.median_ms / 1000, "s")
    yield Figure("everything, first byte", found.first_ms, "ms")
    yield from pause(appliance, "while they are paged and streamed")
    yield Figure("memory that it adds", found.peak_mb - before_mb, "MB", 20.0)
