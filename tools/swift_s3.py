"""Runs a command beside an OpenStack Swift with its S3 API, for `make test-s3`.

One proxy, one account, container and object server with one replica each, in a temporary directory,
from Debian's packages; tests/doubles/s3.py finds it by APPLIANCE_TEST_S3. Exits with 75 if Swift
does not start, else with the status of the command.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

START_S = 60.0
USER, KEY = "test:tester", "testing"
NOT_STARTED = 75
_SERVERS = ("account", "container", "object")
_STORE = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 1
user = {user}
swift_dir = {root}
devices = {root}/devices
mount_check = false
log_level = ERROR
fallocate_reserve = 0
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""
_PROXY = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 1
user = {user}
swift_dir = {root}
log_level = ERROR
[pipeline:main]
pipeline = catch_errors gatekeeper cache listing_formats bulk s3api tempauth copy slo proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:9
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
min_segment_size = 1048576
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
"""


def free_port() -> int:
    """Return a free port below those that the kernel assigns."""
    for port in random.sample(range(15_000, 32_000), 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise SystemExit("no free port")


def make_ring(root: Path, name: str, port: int) -> None:
    """Make a ring of one device with one replica."""
    builder = str(root / f"{name}.builder")
    device = f"r1z1-127.0.0.1:{port}/d1"
    for words in (["create", "4", "1", "0"], ["add", device, "1"], ["rebalance"]):
        subprocess.run(
            ["swift-ring-builder", builder, *words], check=True, stdout=subprocess.DEVNULL
        )


@contextlib.contextmanager
def run_swift(root: Path) -> Iterator[str]:
    """Run Swift below a directory, and give the URL of its S3 API. Raises OSError."""
    (root / "devices/d1").mkdir(parents=True)
    user = os.environ.get("USER") or "root"
    configuration = Path("/etc/swift/swift.conf").read_text()
    (root / "swift.conf").write_text(configuration)
    processes: list[subprocess.Popen[bytes]] = []
    ports = {name: free_port() for name in (*_SERVERS, "proxy")}
    try:
        for name, port in ports.items():
            if name != "proxy":
                make_ring(root, name, port)
        for name, port in ports.items():
            text = _PROXY if name == "proxy" else _STORE
            path = root / f"{name}-server.conf"
            path.write_text(text.format(name=name, port=port, root=root, user=user))
            with (root / f"{name}.log").open("wb") as log:
                command = [f"swift-{name}-server", str(path)]
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        url = f"http://127.0.0.1:{ports['proxy']}"
        wait_for(url)
        yield url
    except (OSError, subprocess.CalledProcessError):
        for path in root.glob("*.log"):
            print(f"{path.name}: {path.read_text()[-1000:]}", file=sys.stderr)
        raise
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()


def wait_for(url: str) -> None:
    """Wait until the proxy answers. Raises OSError."""
    deadline_s = time.monotonic() + START_S
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code < 500:
                return
        except OSError:
            pass
        else:
            return
        if time.monotonic() > deadline_s:
            raise OSError("Swift does not answer")
        time.sleep(0.2)


def main(command: list[str]) -> int:
    """Run a command beside Swift."""
    with tempfile.TemporaryDirectory(prefix="swift-") as directory, contextlib.ExitStack() as stack:
        try:
            url = stack.enter_context(run_swift(Path(directory)))
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"swift_s3: Swift cannot be started: {error}", file=sys.stderr)
            return NOT_STARTED
        environ = {**os.environ, "APPLIANCE_TEST_S3": f"{url} {USER} {KEY}"}
        return subprocess.run(command, env=environ, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
