"""Latency, size and memory of getRecordings, imports and playback.

    python benchmarks/recordings.py [--count 100000] [--unfiltered 10000] [--repeat 30] [--quick]

Runs the appliance on embedded stores in a process of its own, with --count recordings of 2 formats,
6 metadata and 3 thumbnails (a million takes some minutes to create), calls it over HTTP, imports
a recording of --import-mb while API calls run, and plays a file of 100 MB.
"""

from __future__ import annotations

import argparse
import datetime
import http.client
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):  # run as a script: tests are found from the root
    sys.path[0] = str(ROOT)

from benchmarks.figures import TARGETS  # noqa: E402
from benchmarks.process_figures import cpu_s, peak_mb  # noqa: E402
from benchmarks.recording_flow import measure_import, measure_lists, measure_playback  # noqa: E402
from tests.doubles.appliance_process import ApplianceProcess  # noqa: E402
from tests.doubles.recordings import FILL_LIMIT_S, fill_statements  # noqa: E402
from tests.doubles.settings import SECRET  # noqa: E402
from tests.doubles.signing import sign_url  # noqa: E402
from tests.doubles.store_servers import run_sql  # noqa: E402

READ_BYTES = 1 << 20
TIMEOUT_S = 300.0
COLUMNS = ("median ms", "worst ms", "first ms", "CPU ms", "kB", "peak MB")


@dataclass(frozen=True, slots=True)
class Case:
    """A call to measure."""

    name: str
    query: str
    repeat: int


@dataclass(frozen=True, slots=True)
class Result:
    """The results of one case."""

    median_ms: float
    worst_ms: float
    first_ms: float
    """Median time until the head of the answer."""
    cpu_ms: float
    """CPU time of the appliance per call, without PostgreSQL. Robust on a busy machine."""
    size_bytes: int
    peak_mb: float
    """Peak resident memory (VmHWM) of the appliance after the case."""


def cases(unfiltered: int, repeat: int) -> list[Case]:
    """Return the cases, large answers last because they raise the peak of memory."""
    return [
        Case("10 by meetingID", "meetingID=meeting-77", repeat),
        Case("10 by recordID prefix", "recordID=rec-000077", repeat),
        Case("10 by meta_course", "meta_course=course-77", repeat),
        Case("page of 10", "limit=10&offset=20", repeat),
        Case(f"{unfiltered} unfiltered", f"limit={unfiltered}", max(3, repeat // 10)),
        Case("all", "", 3),
    ]


def measure(appliance: ApplianceProcess, case: Case) -> Result:
    """Repeat a call on one connection, after one call that is not counted; 0: count that one."""
    address = appliance.front
    client = http.client.HTTPConnection("127.0.0.1", address.port, timeout=TIMEOUT_S)
    target = sign_url("/bigbluebutton/api", "getRecordings", case.query, SECRET)
    assert appliance.pid is not None
    times, firsts, size, cpu_began_s = [], [], 0, cpu_s(appliance.pid)
    for number in range(case.repeat + 1):
        began_s = time.perf_counter()
        client.request("GET", target)
        answer = client.getresponse()
        first_s = time.perf_counter()
        size = 0
        tail = b""
        while piece := answer.read(READ_BYTES):
            size += len(piece)
            tail = (tail + piece)[-400:]
        ended_s = time.perf_counter()
        if b"</recordings>" not in tail or not tail.endswith(b"</response>"):
            raise SystemExit(f"{case.name}: not a listing: {tail!r}")
        if not number and case.repeat:
            cpu_began_s = cpu_s(appliance.pid)
        else:
            times.append((ended_s - began_s) * 1000)
            firsts.append((first_s - began_s) * 1000)
    client.close()
    return Result(
        statistics.median(times),
        max(times),
        statistics.median(firsts),
        (cpu_s(appliance.pid) - cpu_began_s) * 1000 / len(times),
        size,
        peak_mb(appliance.pid),
    )


def main(arguments: Sequence[str]) -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100_000, help="recordings in the table")
    parser.add_argument(
        "--unfiltered", type=int, default=10_000, help="recordings of the large answer"
    )
    parser.add_argument("--repeat", type=int, default=30, help="calls of each small case")
    parser.add_argument("--import-mb", type=int, default=2000, help="size of the import (2000)")
    parser.add_argument("--import-files", type=int, default=5000, help="files in it (5000)")
    parser.add_argument("--calls-only", action="store_true", help="no import and no playback")
    parser.add_argument("--quick", action="store_true", help="a hundredth of everything")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args(arguments)
    if options.quick:
        options.count, options.unfiltered, options.repeat = 1000, 100, 3
        options.import_mb, options.import_files = 20, 50
    rows: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory(prefix="sl-bench-") as directory,
        ApplianceProcess(
            Path(directory), LOADBALANCER_SECRET=SECRET, LOG_LEVEL="info"
        ) as appliance,
    ):
        appliance.wait_event("database_ready")
        _measure_calls(appliance, options, rows)
        for connections in (1, 16):
            lists = measure_lists(
                appliance, connections, 1.0 if options.quick else 5.0, options.count
            )
            rows.append({"lists": asdict(lists)})
            print(
                f"10 by meetingID, {connections} connections: {lists.rate:.0f}/s, p50 "
                f"{lists.p50_ms:.1f} ms, p99 {lists.p99_ms:.1f} ms, {lists.cpu_ms:.2f} ms CPU, "
                f"{lists.errors} errors (target at 16: {TARGETS['getRecordings']})",
                flush=True,
            )
        if options.calls_only:
            return _write(options, rows)
        imported = measure_import(
            appliance, Path(directory), options.import_mb, options.import_files
        )
        rows.append({"import": asdict(imported)})
        print(
            f"import of {imported.megabytes:.0f} MB: "
            f"{imported.megabytes / imported.seconds:.0f} MB/s; p99 of the mix "
            f"{imported.calls.quiet_p99_ms:.1f} -> {imported.calls.busy_p99_ms:.1f} ms, "
            f"{imported.calls.errors} errors"
        )
        for clients in (1, 50):
            played = measure_playback(appliance, clients, 3 if options.quick else 50)
            rows.append({"playback": asdict(played)})
            print(
                f"playback, {clients} clients: {played.megabytes_s:.0f} MB/s, "
                f"{played.cpu_ms_per_mb:.2f} ms CPU per MB, {played.grown_mb:.0f} MB more memory"
            )
    return _write(options, rows)


def _write(options: argparse.Namespace, rows: list[dict[str, Any]]) -> int:
    options.output.mkdir(parents=True, exist_ok=True)
    name = f"recordings-{datetime.datetime.now():%Y%m%d-%H%M%S}.json"
    (options.output / name).write_text(json.dumps({"count": options.count, "rows": rows}, indent=1))
    return 0


def _measure_calls(
    appliance: ApplianceProcess, options: argparse.Namespace, rows: list[dict[str, Any]]
) -> None:
    sockets = appliance.state_dir / "stores" / "run"
    run_sql(sockets, ";\n".join(fill_statements(options.count)), limit_s=FILL_LIMIT_S)
    print(f"{options.count} recordings; memory at start {peak_mb(appliance.pid):.0f} MB")
    print(f"{'':24}" + "".join(f"{name:>10}" for name in COLUMNS))
    for case in cases(options.unfiltered, options.repeat):
        found = measure(appliance, case)
        rows.append({"case": case.name, **asdict(found)})
        times = (found.median_ms, found.worst_ms, found.first_ms, found.cpu_ms)
        line = "".join(f"{ms:10.1f}" for ms in times)
        print(
            f"{case.name:24}{line}{found.size_bytes / 1000:10.0f}{found.peak_mb:10.0f}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
