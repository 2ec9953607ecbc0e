"""Speed and memory of imports, lists and playback, and API latency during an import.

Called by recordings.py on its running appliance.
"""

from __future__ import annotations

import random
import shutil
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import SHARES
from benchmarks.load_generator import Job, Report
from benchmarks.measuring import Generator
from benchmarks.process_figures import cpu_s, rss_mb
from benchmarks.scenarios import Workload, base_creates
from tests.doubles.appliance_process import ApplianceProcess
from tests.doubles.bbb_process import bbb_servers
from tests.doubles.recording_tars import metadata_xml

RECORD_ID = "rec-bench-import"
IMPORT_LIMIT_S = 900.0
MIX_CONNECTIONS, MIX_RATE = 8, 300.0
"""The API calls made during an import: well below the appliance's maximum."""
SLICE_S = 2.0
READ_BYTES = 256 * 1024
PLAYBACK_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class CallsBeside:
    """The latency of API calls before and during imports, as medians over slices of SLICE_S, so
    that a short disturbance does not count."""

    quiet_p50_ms: float
    busy_p50_ms: float
    quiet_p99_ms: float
    busy_p99_ms: float
    quiet_busy: float
    busy_busy: float
    """CPU time of the appliance, in cores."""
    errors: int
    p99_ratio: float
    """During imports to before: the median of all turns."""


@dataclass(frozen=True, slots=True)
class ImportResult:
    """The result of one import."""

    megabytes: float
    seconds: float
    calls: CallsBeside


@dataclass(frozen=True, slots=True)
class ListResult:
    """The result of getRecordings by meetingID on keep-alive connections."""

    connections: int
    rate: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    """CPU time of the appliance per call, without PostgreSQL."""
    errors: int


@dataclass(frozen=True, slots=True)
class PlaybackResult:
    """The result of playback by one number of clients."""

    clients: int
    megabytes_s: float
    cpu_ms_per_mb: float
    grown_mb: float
    """Greatest increase of the appliance's resident memory."""


def write_tar(directory: Path, megabytes: int, files: int) -> Path:
    """Write the tar of a recording with that many files of incompressible bytes."""
    root = directory / "source"
    folder = root / "presentation" / RECORD_ID
    folder.mkdir(parents=True)
    size = megabytes * 1_000_000 // files
    content = random.Random(1).randbytes(size)
    for number in range(files):
        below = folder / f"{number % 50:02}"
        below.mkdir(exist_ok=True)
        (below / f"{number}.bin").write_bytes(content)
    (folder / "metadata.xml").write_text(metadata_xml(RECORD_ID))
    tar = directory / f"{RECORD_ID}.tar"
    command = ["tar", "--create", "--file", str(tar), "presentation"]
    subprocess.run(command, cwd=root, check=True)
    shutil.rmtree(root)
    return tar


def measure_import(
    appliance: ApplianceProcess, directory: Path, megabytes: int, files: int
) -> ImportResult:
    """Measure the import of a recording while the mix of API calls runs."""
    tar = write_tar(directory, megabytes, files)
    target = Path(appliance.environ["RECORDING_SPOOL_DIR"]) / tar.name
    calls = measure_calls_beside(appliance, [lambda: tar.rename(target)])
    found = appliance.events("recording_imported", recordings=[RECORD_ID])
    return ImportResult(megabytes, found[0]["took_s"], calls)


def measure_calls_beside(
    appliance: ApplianceProcess, begins: Sequence[Callable[[], object]]
) -> CallsBeside:
    """Measure the mix of API calls before and during imports, which each of `begins` puts in the
    spool, in turn, since the machine's speed changes within a minute.
    """
    with (
        bbb_servers(3) as servers,
        Generator(own_session=appliance.own_session) as generator,
    ):
        for server in servers:
            appliance.add_server(server)
        appliance.poll()
        meetings = [f"bench-{number}" for number in range(20)]
        for exchange in base_creates(Workload(appliance.front.secret, meetings, "")):
            _ask(appliance, exchange.request)
        for server in servers:
            for meeting in server.meetings():
                server.set_users(meeting, participants=2, moderators=1, listed=True)
        turns = [
            (
                [_measure_mix(appliance, generator, meetings, f"quiet{n}-{m}") for m in range(4)],
                _measure_import(appliance, generator, meetings, begin, f"busy{n}"),
            )
            for n, begin in enumerate(begins)
        ]
    quiet, busy = ([one for turn in turns for one in turn[side]] for side in (0, 1))
    return CallsBeside(
        statistics.median(map(_p50, quiet)),
        statistics.median(map(_p50, busy)),
        statistics.median(map(_p99, quiet)),
        statistics.median(map(_p99, busy)),
        _busy(quiet),
        _busy(busy),
        sum(each.errors for each in busy + quiet),
        statistics.median(
            statistics.median(map(_p99, during)) / statistics.median(map(_p99, before))
            for before, during in turns
        ),
    )


def _measure_import(
    appliance: ApplianceProcess,
    generator: Generator,
    meetings: Sequence[str],
    begin: Callable[[], object],
    label: str,
) -> list[Report]:
    found: list[Report] = []
    began_s = time.monotonic()
    begin()
    while any(Path(appliance.environ["RECORDING_SPOOL_DIR"]).glob("*.tar")):
        if time.monotonic() - began_s > IMPORT_LIMIT_S:
            raise SystemExit(f"not imported after {IMPORT_LIMIT_S:g} s")
        found.append(_measure_mix(appliance, generator, meetings, f"{label}-{len(found)}"))
    return found


def _busy(reports: Sequence[Report]) -> float:
    return sum(one.cpu_s["appliance"] for one in reports) / sum(one.seconds for one in reports)


def _measure_mix(
    appliance: ApplianceProcess, generator: Generator, meetings: Sequence[str], label: str
) -> Report:
    assert appliance.pid is not None
    return generator.do(
        Job(
            scenario="mix",
            host="127.0.0.1",
            port=appliance.front.port,
            connections=MIX_CONNECTIONS,
            warm_up_s=0.0,
            seconds=SLICE_S,
            secret=appliance.front.secret,
            meetings=list(meetings),
            label=label,
            pids={"appliance": appliance.pid},
            rate=MIX_RATE,
        )
    )


def measure_lists(
    appliance: ApplianceProcess, connections: int, seconds: float, recordings: int
) -> ListResult:
    """Measure requests for the ten recordings of a meeting, for many meetings in turn."""
    assert appliance.pid is not None
    meetings = [f"meeting-{number}" for number in range(1, min(recordings // 10, 500))]
    with Generator() as generator:
        report = generator.do(
            Job(
                scenario="getRecordings",
                host="127.0.0.1",
                port=appliance.front.port,
                connections=connections,
                warm_up_s=0.5,
                seconds=seconds,
                secret=appliance.front.secret,
                meetings=meetings,
                label="lists",
                pids={"appliance": appliance.pid},
            )
        )
    return ListResult(
        connections,
        report.requests / report.seconds,
        report.latency_ms[SHARES.index(0.5)],
        _p99(report),
        report.cpu_s["appliance"] * 1000 / max(report.requests, 1),
        report.errors,
    )


def _p50(report: Report) -> float:
    return report.latency_ms[SHARES.index(0.5)]


def _p99(report: Report) -> float:
    return report.latency_ms[SHARES.index(0.99)]


def _ask(appliance: ApplianceProcess, request: bytes) -> None:
    with socket.create_connection(("127.0.0.1", appliance.front.port), 10) as client:
        client.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        while client.recv(READ_BYTES):
            pass


def measure_playback(appliance: ApplianceProcess, clients: int, total: int) -> PlaybackResult:
    """Measure `clients` that fetch a file of PLAYBACK_BYTES `total` times, in two ranges each."""
    path = Path(appliance.environ["RECORDING_PUBLISH_DIR"]) / "presentation" / RECORD_ID
    file = path / "video.webm"
    if not file.exists():
        file.write_bytes(random.Random(2).randbytes(PLAYBACK_BYTES))
    pid = appliance.pid
    assert pid is not None
    before_mb, before_cpu_s = rss_mb(pid), cpu_s(pid)
    left = [total]
    lock, got = threading.Lock(), [0] * clients
    grown = 0.0

    def fetch(number: int) -> None:
        while True:
            with lock:
                if not left[0]:
                    return
                left[0] -= 1
            got[number] += _fetch(appliance.front.port)

    began_s = time.monotonic()
    threads = [threading.Thread(target=fetch, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        grown = max(grown, rss_mb(pid) - before_mb)
        time.sleep(0.05)
    seconds = time.monotonic() - began_s
    megabytes = sum(got) / 1e6
    if round(megabytes) != round(total * PLAYBACK_BYTES / 1e6):
        expected = total * PLAYBACK_BYTES / 1e6
        raise SystemExit(f"received {megabytes:.0f} MB instead of {expected:.0f}")
    used_ms = (cpu_s(pid) - before_cpu_s) * 1000
    return PlaybackResult(clients, megabytes / seconds, used_ms / megabytes, grown)


def _fetch(port: int) -> int:
    """Fetch the file in two ranges and return the total length of the bodies."""
    received = 0
    buffer = bytearray(READ_BYTES)
    half = PLAYBACK_BYTES // 2
    for first, last in ((0, half - 1), (half, PLAYBACK_BYTES - 1)):
        with socket.create_connection(("127.0.0.1", port), 60) as client:
            client.sendall(
                f"GET /presentation/{RECORD_ID}/video.webm HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Range: bytes={first}-{last}\r\nConnection: close\r\n\r\n".encode()
            )
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(4096)
                if not piece:
                    return received
                head += piece
            received += len(head) - head.index(b"\r\n\r\n") - 4
            while size := client.recv_into(buffer):
                received += size
    return received
