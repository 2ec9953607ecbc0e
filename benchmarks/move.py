"""Moves recordings into a bucket and back, through kills of the appliance, and compares every file.

    python -m benchmarks.move [--count 1000] [--files 8] [--kills 1]

Runs the appliance on embedded stores against moto's server, or the one of APPLIANCE_TEST_S3
(tools/swift_s3.py). In each direction the appliance is killed (SIGKILL) in the middle and the
command repeated. Exits with 1 if a file differs, is missing or is left in the other place.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.recording_tars import metadata_xml
from tests.doubles.recordings import FILL_LIMIT_S, fill_statements
from tests.doubles.s3 import S3Server, s3_variables, serve_s3
from tests.doubles.store_servers import run_sql

MOVE_S = 3600.0
_HIDDEN = "UPDATE recordings SET published = false, state = 'unpublished' WHERE id % 10 = 0"


def write_recordings(appliance: ApplianceProcess, count: int, files: int) -> None:
    """Write the files and the rows of recordings of two formats, a tenth of them unpublished."""
    source = random.Random(1)
    for number in range(1, count + 1):
        record_id = f"rec-{number:07}"
        root = appliance.directory("unpublish" if number % 10 == 0 else "publish")
        for format in ("presentation", "video"):
            folder = root / format / record_id
            (folder / "presentation/d1").mkdir(parents=True)
            (folder / "metadata.xml").write_text(metadata_xml(record_id, format))
            for name in range(files):
                content = source.randbytes(source.randrange(20_000))
                (folder / f"presentation/d1/slide {name}.png").write_bytes(content)
    sockets = appliance.state_dir / "stores" / "run"
    run_sql(sockets, ";\n".join([*fill_statements(count), _HIDDEN]), limit_s=FILL_LIMIT_S)


def files_on_disk(appliance: ApplianceProcess) -> dict[str, str]:
    """Return the digests of all files of recordings by their path, which is also their key."""
    return {
        f"{state}ed/{path.relative_to(root).as_posix()}": _digest(path.read_bytes())
        for state in ("publish", "unpublish")
        for root in [appliance.directory(state)]
        for path in root.rglob("*")
        if path.is_file() and not any(part.startswith(".") for part in path.parts)
    }


def files_in_bucket(server: S3Server, bucket: str) -> dict[str, str]:
    """Return the digests of all objects by their key."""
    get = server.client.get_object
    keys = sorted(server.keys(bucket))
    return {key: _digest(get(Bucket=bucket, Key=key)["Body"].read()) for key in keys}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def move(appliance: ApplianceProcess, to: str, kill_when: Callable[[], bool] | None) -> float:
    """Move all recordings; with `kill_when` kill the appliance then and start it. Return seconds.

    Raises SystemExit: the command failed.
    """
    words = ("ctl", "recordings", "move", "--to", to, "--all", "--concurrency", "4")
    began_s = time.monotonic()
    with subprocess.Popen(
        [*appliance.command, *words], env=appliance.environ, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        if kill_when is not None:
            wait_for(lambda: kill_when() or process.poll() is not None, MOVE_S, "some are moved")
            appliance.kill()
        _, errors = process.communicate(timeout=MOVE_S)
    took_s = time.monotonic() - began_s
    if kill_when is not None:
        appliance.start()
        appliance.wait_event("database_ready", 60)
    elif process.returncode:
        raise SystemExit(f"move --to {to} failed: {errors.decode()[-1000:]}")
    return took_s


def main(arguments: Sequence[str]) -> int:
    """Move there and back, and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--files", type=int, default=8, help="in each of two formats (8)")
    parser.add_argument("--kills", type=int, default=1, help="in each direction (1)")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="sl-bench-") as name, serve_s3() as server:
        bucket = server.make_bucket()
        variables = s3_variables(server.url, bucket, LOG_LEVEL="info")
        with ApplianceProcess(Path(name), **variables) as appliance:
            appliance.wait_event("database_ready", 60)
            write_recordings(appliance, options.count, options.files)
            before = files_on_disk(appliance)
            wrong = 0
            for to in ("s3", "disk"):
                seconds = 0.0
                left = options.count
                for number in range(options.kills):
                    wanted = left // (options.kills - number + 1)

                    def is_time(wanted: int = wanted) -> bool:
                        time.sleep(0.2)
                        found = appliance.control.get("getMove", after="0")
                        return bool(found["done"] >= wanted)

                    seconds += move(appliance, to, is_time)
                    left -= wanted
                seconds += move(appliance, to, None)
                disk, stored = files_on_disk(appliance), files_in_bucket(server, bucket)
                there, left = (stored, disk) if to == "s3" else (disk, stored)
                different = sum(before.get(one) != there.get(one) for one in before | there)
                wrong += different + len(left)
                print(
                    f"{options.count} recordings with {len(before)} files moved to {to} in "
                    f"{seconds:.0f} s, {options.kills} kills: {different} files differ, "
                    f"{len(left)} are left behind",
                    flush=True,
                )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
