"""Backup, restore and move: how long they take, the memory they need, and how long calls fail.

    python benchmarks/backup.py [--runs 1000000] [--meetings 200] [--quick]

Starts an appliance on embedded stores with simulated servers and meetings, fills its database with
meeting runs, and moves it to an external Redis and PostgreSQL, as docs/backup.md says, while a
front-end joins a meeting twenty times a second. Prints figures.
"""

from __future__ import annotations

import argparse
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
if __package__ in (None, ""):  # run as a script: benchmarks and tests are found from the root
    sys.path[0] = str(ROOT)

from tests.doubles.appliance_process import ApplianceProcess  # noqa: E402
from tests.doubles.bbb_process import bbb_servers  # noqa: E402
from tests.doubles.store_servers import private_postgres, private_redis, run_sql  # noqa: E402

LIMIT_S = 900.0
BATCH = 50_000
PASSPHRASE = "correct horse battery staple"
_PAIR = (
    "INSERT INTO appliance.usage_pairs (scope, tenant, server) SELECT 0, 't' || n, 's' || n"
    " FROM generate_series(1, 50) n"
)
_RUNS = """
INSERT INTO appliance.meeting_runs (id, created_at, first_join_at, ended_at, user_ms, dial_in_ms,
    gap_ms, pair, peak_users, peak_voice, peak_videos, peak_listeners, dial_in_callers, mean_users,
    recorded, noticed, meeting_id, internal_id, name, origin, origin_server)
SELECT gen_random_uuid(), now() - n * interval '20 seconds', now(), now(), 60000000, 0, 0,
    1 + n % 50, 5 + n % 60, 5, 2, 3, 0, 20.5, false, 'reported', md5('m' || n % 20000),
    md5(n::text) || '-1760918400000', 'Lecture ' || n % 1000, 'Moodle', 'lms.example.org'
FROM generate_series({first}, {last}) n
"""


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--meetings", type=int, default=200)
    parser.add_argument(
        "--quick", action="store_true", help="only the move of the pool without its history"
    )
    options = parser.parse_args()
    with TemporaryDirectory(dir="/tmp") as name, bbb_servers(3) as servers:
        directory = Path(name)
        directory.chmod(0o755)
        trial = ApplianceProcess(_made(directory / "a"), BACKUP_PASSPHRASE=PASSPHRASE)
        with trial:
            for server in servers:
                trial.add_server(server)
            for number in range(options.meetings):
                trial.front.create(f"meeting-{number}")
            sockets = trial.state_dir / "stores" / "run"
            run_sql(sockets, _PAIR)
            for first in range(0, options.runs, BATCH):
                last = min(first + BATCH, options.runs)
                run_sql(sockets, _RUNS.format(first=first + 1, last=last))
            if not options.quick:
                _measure(trial, directory, "backup, appliance in use", "backup")
            with private_redis() as redis, private_postgres() as postgres:
                stores = {"REDIS_URL": redis.url, "SECRET_KEY_BASE": "k" * 64}
                if not options.quick:
                    with postgres.new_database() as database:
                        move(trial, directory, stores | {"DATABASE_URL": postgres.url(database)})
                with postgres.new_database() as database:
                    url = postgres.url(database)
                    stores |= {"DATABASE_URL": url, "REDIS_NAMESPACE": "second"}
                    move(trial, directory, stores, "--part", "pool")


def _made(path: Path) -> Path:
    path.mkdir()
    return path


def move(trial: ApplianceProcess, directory: Path, stores: dict[str, str], *options: str) -> None:
    """Move the appliance to other stores, print how long joins failed, and start it again."""
    port = trial.front.port
    new = ApplianceProcess(
        _made(directory / f"b{len(options)}"),
        BACKUP_PASSPHRASE=PASSPHRASE,
        BIND=f"tcp://127.0.0.1:{port}",
        LOADBALANCER_SECRET=trial.environ["LOADBALANCER_SECRET"],
        **stores,
    )
    new.sensitive |= trial.sensitive
    new.front.port = port
    answered: list[float] = []
    with _joins(new, answered):
        time.sleep(1)
        trial.terminate()
        _measure(trial, directory, "backup --offline", "backup", "--offline", *options)
        _measure(new, directory, "restore --offline", "restore", "--offline")
        with new:
            time.sleep(2)
    gap_s = max(after - before for before, after in itertools.pairwise(answered))
    print(f"joins failed for {gap_s:.1f} s {' '.join(options)}", flush=True)
    trial.start()


@contextmanager
def _joins(appliance: ApplianceProcess, answered: list[float]) -> Iterator[None]:
    """Join a meeting twenty times a second; note when that succeeded."""
    done = threading.Event()

    def join() -> None:
        while not done.wait(0.05):
            with suppress(OSError):
                answer = appliance.front.join("meeting-7")
                if answer.status == 302 and "/join?" in answer.location:
                    answered.append(time.monotonic())

    thread = threading.Thread(target=join, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _measure(appliance: ApplianceProcess, directory: Path, what: str, *words: str) -> None:
    """Run a command of ctl; print its duration and the greatest memory of each process."""
    command, *options = words
    peaks: dict[str, int] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            for name, pid in _processes(appliance):
                with suppress(OSError, IndexError, ValueError):
                    text = Path(f"/proc/{pid}/statm").read_text()
                    peaks[name] = max(peaks.get(name, 0), int(text.split()[1]) * 4096)

    thread = threading.Thread(target=watch)
    thread.start()
    began_s = time.monotonic()
    file = directory / "pool.json"
    result = subprocess.run(
        [sys.executable, "-m", "appliance", "ctl", command, str(file), *options],
        env=appliance.environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    took_s = time.monotonic() - began_s
    done.set()
    thread.join()
    assert result.returncode == 0, result.stderr
    memory = ", ".join(f"{name} {size // 2**20} MB" for name, size in sorted(peaks.items()))
    print(f"{what}: {took_s:.1f} s, file {file.stat().st_size // 2**20} MB, {memory}", flush=True)


def _processes(appliance: ApplianceProcess) -> Iterator[tuple[str, int]]:
    if appliance.pid is not None:
        yield "appliance", appliance.pid
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"ctl" in words and (b"backup" in words or b"restore" in words):
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    is_child = parent != os.getpid()
                    yield ("its child" if is_child else "ctl"), int(entry.name)


if __name__ == "__main__":
    main()
