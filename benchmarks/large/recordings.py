"""getRecordings among a million recordings."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.large.scenario import Figure, Setting, scenario
from benchmarks.process_figures import peak_mb
from benchmarks.recordings import Case, measure
from tests.doubles.appliance_process import ApplianceProcess
from tests.doubles.recordings import FILL_LIMIT_S, fill_statements
from tests.doubles.settings import SECRET
from tests.doubles.store_servers import run_sql

RECORDINGS, QUICK_RECORDINGS = 1_000_000, 6_000
_ROOMS = "INSERT INTO metadata (recording_id, key, value) SELECT id, 'room', 'room-' || id % {0}"
REPEAT = 20
CASES = (
    ("ten by meetingID", "meetingID=meeting-77", 5.0),
    ("page of 25 by meta with 500 matches", "meta_room=room-7&limit=25", 20.0),
    ("page of 25 by meta that all have", "meta_bbb-origin=greenlight&limit=25", 50.0),
    ("the same, offset 5,000", "meta_bbb-origin=greenlight&limit=25&offset=5000", None),
    ("page of 25 without a filter", "limit=25", None),
)


@scenario("recordings", "getRecordings among 1,000,000 recordings")
def measure_recordings(setting: Setting) -> Iterator[Figure]:
    """Yield the median time of calls, and the memory after streaming everything."""
    count = setting.sized(RECORDINGS, QUICK_RECORDINGS)
    with ApplianceProcess(setting.directory, LOADBALANCER_SECRET=SECRET, LOG_LEVEL="info") as own:
        own.wait_event("database_ready")
        rooms = _ROOMS.format(max(1, count // 500)) + " FROM recordings"
        statements = [*fill_statements(count), rooms, "ANALYZE metadata"]
        sockets = own.state_dir / "stores" / "run"
        run_sql(sockets, ";\n".join(statements), limit_s=FILL_LIMIT_S)
        for name, query, limit_ms in CASES:
            found = measure(own, Case(name, query, REPEAT))
            yield Figure(name, found.median_ms, "ms", limit_ms)
        before_mb = peak_mb(own.pid)
        found = measure(own, Case("everything", "", 1))
        yield Figure("everything, streamed", found.median_ms / 1000, "s")
        yield Figure("everything, first byte", found.first_ms, "ms")
        yield Figure("memory that it adds", found.peak_mb - before_mb, "MB", 20.0)
