"""`ctl cluster-proxy`: what is printed, and the file that is kept up to date."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from tests.doubles.control import ctl_environment
from tests.doubles.pool import Pool, open_pool

SERVER = {"url": "https://bbb1.example.com/bigbluebutton/api", "secret": "s", "id": "bbb1"}
OTHER = {"url": "http://10.0.0.5/bigbluebutton/api", "secret": "s", "id": "bbb2"}
DEADLINE_S = 30.0


async def test_locations_and_settings_are_printed(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0, URL_HOST="pool.example.com") as pool:
        ctl = pool.control.ctl
        empty = await ctl("cluster-proxy", "nginx")
        assert (empty.code, "location" in empty.out) == (1, False)
        await pool.control.post("addServer", SERVER)

        printed = await ctl("cluster-proxy", "nginx")
        assert (printed.code, printed.err) == (0, "")
        assert "location /bbb1/html5client/ {\n" in printed.out
        settings = await ctl("cluster-proxy", "bbb", "bbb1.example")
        assert settings.code == 0
        line = "\ndefaultHTML5ClientUrl=https://pool.example.com/bbb1/html5client/\n"
        assert line in settings.out
        named = await ctl("cluster-proxy", "bbb", "bbb1", "--proxy", "proxy.example.com", "--json")
        files = named.json["files"]
        assert "https://proxy.example.com/bbb1/" in files["/etc/bigbluebutton/bbb-web.properties"]

        assert (await ctl("cluster-proxy", "bbb", "nothing")).code == 1
        assert (await ctl("cluster-proxy", "bbb", "bbb1", "--proxy", "a b")).code == 1
        assert (await ctl("cluster-proxy", "nginx", "--reload", "true")).code == 2


async def test_server_of_a_hostile_id_is_left_out(redis_url: str, redis_namespace: str) -> None:
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        await pool.control.post("addServer", SERVER)
        before = (await pool.control.ctl("cluster-proxy", "nginx")).out
        redis, bad = pool.res.servers.store.redis.background, "x {}\nreturn 200;#"
        await redis.command("SADD", redis.key("servers"), bad)
        await redis.command("HSET", redis.key(f"server:{bad}"), "url", SERVER["url"])

        printed = await pool.control.ctl("cluster-proxy", "nginx")
        assert (printed.code, printed.out) == (0, before)
        assert "'x {}\\nreturn 200;#' is left out" in printed.err


@asynccontextmanager
async def watching(pool: Pool, file: Path, command: str) -> AsyncIterator[trio.Process]:
    words = ("cluster-proxy", "nginx", "--watch", str(file), "--reload", command)
    async with trio.open_nursery() as nursery:
        run = partial(
            trio.run_process,
            [sys.executable, "-m", "appliance", "ctl", *words],
            env=ctl_environment(pool.control.path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            cwd="/",
        )
        process: trio.Process = await nursery.start(run)
        try:
            with trio.fail_after(DEADLINE_S):
                yield process
        finally:
            process.send_signal(signal.SIGTERM)


async def read_until(process: trio.Process, words: str, seen: list[str]) -> None:
    assert process.stdout is not None
    while words not in "".join(seen):
        seen.append((await process.stdout.receive_some()).decode())


async def test_file_is_kept_up_to_date_and_a_failed_reload_repeated(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    file, works, done = (tmp_path / name for name in ("proxy.conf", "works", "done"))
    command = f"test -e {works} || {{ echo no such luck; exit 3; }}; echo x >> {done}"
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        await pool.control.post("addServer", SERVER)
        seen: list[str] = []
        async with watching(pool, file, command) as process:
            await read_until(process, "reload failed, next try in 2 s: exit code 3", seen)
            assert "no such luck" in "".join(seen)
            assert "location /bbb1/html5client/" in file.read_text()
            works.touch()
            await read_until(process, "\nreloaded\n", seen)
            first = file.stat()
            assert first.st_mode & 0o777 == 0o644

            await pool.control.post("addServer", OTHER)
            await read_until(process, "\nreloaded\n" + f"{file} was written\nreloaded\n", seen)
            assert "location /bbb2/html5client/" in file.read_text()
            assert file.stat().st_ino != first.st_ino  # replaced, not overwritten
        assert done.read_text() == "x\nx\n"
        assert sorted(os.listdir(tmp_path)) == ["done", "proxy.conf", "works"]


async def test_file_stays_while_the_appliance_is_away(
    redis_url: str, redis_namespace: str, tmp_path: Path
) -> None:
    file = tmp_path / "proxy.conf"
    file.write_text("# as it was\n")
    async with open_pool(redis_url, redis_namespace, 0) as pool:
        async with watching(pool, file, "true") as process:
            await read_until(process, "stays as it is", [])  # the pool has no servers yet
            assert file.read_text() == "# as it was\n"
        missing = tmp_path / "nowhere" / "proxy.conf"
        done = await pool.control.ctl("cluster-proxy", "nginx", "--watch", str(missing))
        assert (done.code, "is not a directory" in done.err) == (1, True)
