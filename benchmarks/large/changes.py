"""Large changes beside calls: a sync of 1,800 servers, the import of a large recording."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

from benchmarks.large.pools import LargePool, run_large_pool
from benchmarks.large.scenario import Figure, Setting, scenario
from benchmarks.poll_pool import ManyServers
from benchmarks.recording_flow import RECORD_ID, write_tar

NEW_SERVERS, QUICK_NEW_SERVERS = 1_800, 30
TAR_MB, TAR_FILES = 4_000, 10_000
IMPORT_LIMIT_S = 900.0


@scenario("sync", "servers sync of 1,800 new servers")
def measure_sync(setting: Setting) -> Iterator[Figure]:
    """Yield how long it takes to add and remove them, and the effect on other calls."""
    count = setting.sized(NEW_SERVERS, QUICK_NEW_SERVERS)
    with (
        run_large_pool(setting, 3, 67) as pool,
        contextlib.closing(ManyServers(count, 5)) as others,
    ):
        old = (
            "servers:\n" + pool.appliance.ctl("servers", "export").stdout.partition("servers:\n")[2]
        )
        new = old + "".join(
            f"  new-{n:04}: {{url: '{others.url(n)}', secret: 'secret', enabled: true}}\n"
            for n in range(count)
        )
        took_s: list[float] = []

        def work() -> None:
            began_s = time.monotonic()
            _sync(pool, new)
            took_s.append(time.monotonic() - began_s)
            time.sleep(setting.window_s / 10)
            _sync(pool, old)

        pool.settle()
        yield from pool.source.beside(setting.window_s, work).figures(5.0)
        yield from pool.pause("while they are added and removed")
        yield Figure("sync, beside the calls", min(took_s), "s")


def _sync(pool: LargePool, text: str) -> None:
    answer = pool.appliance.control.post("syncServers", {"yaml": text, "mode": "force"})
    assert all(one["outcome"] == "done" for one in answer["servers"]), answer


@scenario("import", "import of a recording of 4 GB, 10,000 files")
def measure_import(setting: Setting) -> Iterator[Figure]:
    """Yield its speed, and the effect on other calls."""
    megabytes, files = setting.sized(TAR_MB, 20), setting.sized(TAR_FILES, 100)
    tar = write_tar(setting.directory, megabytes, files)
    os.sync()  # else writing it to the disk disturbs what is measured without an import
    with run_large_pool(setting, 3, 67, DB_DISABLED="false", POLL_INTERVAL="10") as pool:
        spool = pool.appliance.spool
        pool.settle()
        before_mb = pool.rss_mb()
        took_s: list[float] = []

        def work() -> None:
            found = len(pool.appliance.events("recording_imported"))
            arriving = spool / f".{RECORD_ID}.tar"
            arriving.hardlink_to(tar)
            os.utime(arriving)  # else it is the one whose import is just ending
            arriving.rename(spool / f"{RECORD_ID}.tar")  # the watcher sees no link that is made
            deadline_s = time.monotonic() + IMPORT_LIMIT_S
            while len(done := pool.appliance.events("recording_imported")) == found:
                assert time.monotonic() < deadline_s, "not imported"
                time.sleep(0.1)
            took_s.append(done[-1]["took_s"])

        yield from pool.source.beside(setting.window_s, work).figures(2.0)
        yield from pool.pause("while it is imported")
        yield Figure("speed, beside the calls", megabytes / min(took_s), "MB/s")
        yield from pool.memory_after(before_mb)
