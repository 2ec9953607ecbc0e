"""The embedded stores, with real servers: durable, restarted, stopped without leftovers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio
from structlog.testing import capture_logs

from appliance.faults import DatabaseDown
from appliance.postgres.asyncio_bridge import open_asyncio_loop
from appliance.postgres.database import open_postgres_store
from appliance.system.embedded.state import (
    EmbeddedStoresError,
    choose_store_user,
    find_redis,
    make_store_directory,
)
from appliance.system.embedded.stores import EmbeddedStores, open_embedded_stores
from tests.doubles.store_servers import redis_command, run_sql

DEADLINE_S = 40.0
ROOT = Path(__file__).parents[3]
APPLIANCE = textwrap.dedent(
    """
    import sys
    from pathlib import Path

    import trio

    from appliance.system.embedded.stores import open_embedded_stores

    async def main():
        async with open_embedded_stores(Path(sys.argv[1]), redis=True, postgres=True):
            print("open", flush=True)
            await trio.sleep_forever()

    trio.run(main)
    """
)


def servers(state_dir: Path) -> dict[int, str]:
    """Return the processes that work below a state directory: name by id."""
    found = {}
    for entry in filter(str.isdecimal, os.listdir("/proc")):
        with suppress(OSError):
            if Path(f"/proc/{entry}/cwd").readlink().is_relative_to(state_dir):
                found[int(entry)] = Path(f"/proc/{entry}/comm").read_text().strip()
    return found


def main_server(state_dir: Path, name: str) -> int:
    """Return the process id of Redis, or of the postmaster."""
    if name == "postgres":
        pid_file = state_dir / "stores" / "postgres" / "postmaster.pid"
        return int(pid_file.read_text().splitlines()[0])
    return next(pid for pid, comm in servers(state_dir).items() if comm != "postgres")


def environments(state_dir: Path) -> list[bytes]:
    """Return the environments of the servers; helper processes of PostgreSQL may exit meanwhile."""
    found = []
    for pid in servers(state_dir):
        with suppress(OSError):
            found.append(Path(f"/proc/{pid}/environ").read_bytes())
    return found


async def until_gone(state_dir: Path) -> None:
    while servers(state_dir):
        await trio.sleep(0.01)


def redis(stores: EmbeddedStores, *command: str) -> bytes:
    assert stores.redis_url is not None
    return redis_command(Path(stores.redis_url.removeprefix("unix://")), *command)


def sql(state_dir: Path, statements: str) -> str:
    return run_sql(state_dir / "stores" / "run", statements)


@contextmanager
def appliance(state_dir: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run the stores in another process, which is killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", APPLIANCE, str(state_dir)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        with process.stdout as output:
            assert any(line == "open\n" for line in output)
            yield process
    finally:
        process.kill()
        process.wait(40)


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def path_without_setpriv() -> Iterator[str]:
    """Return a PATH that contains only Redis, and that the store user can access."""
    with tempfile.TemporaryDirectory(prefix="sl-") as directory:
        os.chmod(directory, 0o755)
        Path(directory, "redis-server").symlink_to(find_redis())
        yield directory


@pytest.fixture
def bystander(state_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start an unrelated process of the store user."""
    user = choose_store_user(state_dir)
    process = subprocess.Popen(["sleep", "60"], user=user.uid if user else None)
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def unfinished_cluster(state_dir: Path) -> None:
    state_dir.mkdir()
    user = choose_store_user(state_dir)
    make_store_directory(state_dir / "stores", user)
    make_store_directory(state_dir / "stores" / "postgres.new", user)
    (state_dir / "stores" / "postgres.new" / "PG_VERSION").write_text("1")


async def test_stores_keep_their_data_over_a_clean_restart(state_dir: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_embedded_stores(state_dir, redis=True, postgres=True) as stores:
            assert redis(stores, "SET", "k", "v") == b"+OK\r\n"
            sql(state_dir, "CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
        assert servers(state_dir) == {}
        assert not (state_dir / "stores" / "run").exists()
        async with open_embedded_stores(state_dir, redis=True, postgres=True) as stores:
            assert redis(stores, "GET", "k") == b"$1\r\nv\r\n"
            assert sql(state_dir, "SELECT n FROM t") == "7"
    assert servers(state_dir) == {}


async def test_stores_are_durable_and_accessible_to_the_store_user_only(state_dir: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_embedded_stores(state_dir, redis=True, postgres=True) as stores:
            settings = {
                name: redis(stores, "CONFIG", "GET", name).split(b"\r\n")[-2].decode()
                for name in ("appendonly", "appendfsync", "maxmemory-policy", "port", "save")
            }
            assert settings == {
                "appendonly": "yes",
                "appendfsync": "everysec",
                "maxmemory-policy": "noeviction",
                "port": "0",
                "save": "",
            }
            assert sql(state_dir, "SHOW fsync; SHOW full_page_writes; SHOW listen_addresses") == (
                "on\non"
            )
            assert sql(state_dir, "SHOW server_encoding; SELECT current_user") == "UTF8\nscalelite"
            owners = {os.stat(f"/proc/{pid}").st_uid for pid in servers(state_dir)}
            run = (state_dir / "stores" / "run").stat()
            assert owners == {run.st_uid}
            assert (run.st_uid == 0) is False
            for path in ("stores", "stores/run", "stores/redis", "stores/postgres"):
                assert (state_dir / path).stat().st_mode & 0o777 == 0o700, path


@pytest.mark.parametrize("wanted", ["redis", "postgres"])
async def test_only_the_requested_store_is_started(state_dir: Path, wanted: str) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_embedded_stores(
            state_dir, redis=wanted == "redis", postgres=wanted == "postgres"
        ) as stores:
            names = set(servers(state_dir).values())
            assert ("postgres" in names) is (wanted == "postgres")
            assert len(names) == 1
            assert (stores.redis_url is None) is (wanted == "postgres")
            assert (stores.database_url is None) is (wanted == "redis")


async def test_nothing_is_created_when_no_store_is_requested(state_dir: Path) -> None:
    async with open_embedded_stores(state_dir, redis=False, postgres=False) as stores:
        assert stores == EmbeddedStores(None, None)
    assert "state" not in os.listdir(state_dir.parent)


async def test_killed_appliance_leaves_no_server_and_loses_no_data(state_dir: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        with appliance(state_dir) as process:
            run = state_dir / "stores" / "run"
            assert redis_command(run / "redis.sock", "SET", "k", "v") == b"+OK\r\n"
            sql(state_dir, "CREATE TABLE t (n int); INSERT INTO t VALUES (7)")
            assert set(servers(state_dir).values()) == {"postgres", "redis-server"}
            process.kill()
            process.wait(40)
            await until_gone(state_dir)
        async with open_embedded_stores(state_dir, redis=True, postgres=True) as stores:
            assert redis(stores, "GET", "k") == b"$1\r\nv\r\n"
            assert sql(state_dir, "SELECT n FROM t") == "7"


async def test_orphans_of_a_killed_appliance_are_stopped_at_the_next_start(
    state_dir: Path, path_without_setpriv: str
) -> None:
    # Without setpriv the kernel does not stop them.
    with trio.fail_after(DEADLINE_S):
        with appliance(state_dir, PATH=path_without_setpriv) as process:
            redis_command(state_dir / "stores" / "run" / "redis.sock", "SET", "k", "v")
            sql(state_dir, "CREATE TABLE t (n int)")
            process.kill()
            process.wait(40)
        orphans = servers(state_dir)
        assert set(orphans.values()) == {"postgres", "redis-server"}
        with capture_logs() as logs:
            async with open_embedded_stores(state_dir, redis=True, postgres=True) as stores:
                assert orphans.keys().isdisjoint(servers(state_dir))
                assert redis(stores, "GET", "k") == b"$1\r\nv\r\n"
                assert sql(state_dir, "SELECT count(*) FROM t") == "0"
        assert [log["event"] for log in logs].count("embedded_store_orphans_found") == 2


async def test_second_appliance_on_the_same_directory_is_refused(state_dir: Path) -> None:
    with trio.fail_after(DEADLINE_S), appliance(state_dir) as process:
        # PostgreSQL's helpers come and go.
        before = {name: main_server(state_dir, name) for name in ("redis-server", "postgres")}
        with pytest.raises(EmbeddedStoresError, match=rf"in use .* \(process {process.pid}\)"):
            async with open_embedded_stores(state_dir, redis=True, postgres=True):
                pass
        assert before == {name: main_server(state_dir, name) for name in before}
        assert list(servers(state_dir).values()).count("redis-server") == 1
        process.terminate()
        process.wait(40)
        await until_gone(state_dir)


@pytest.mark.parametrize("name", ["redis", "postgres"])
async def test_server_that_exits_is_restarted(state_dir: Path, name: str) -> None:
    with trio.fail_after(DEADLINE_S), capture_logs() as logs:
        async with open_embedded_stores(state_dir, redis=True, postgres=True) as stores:
            redis(stores, "SET", "k", "v")
            other = main_server(state_dir, "postgres" if name == "redis" else "redis")
            killed = main_server(state_dir, name)
            os.kill(killed, signal.SIGKILL)
            while [log["event"] for log in logs].count("embedded_store_ready") < 3:
                await trio.sleep(0.01)
            assert main_server(state_dir, name) != killed
            assert other in servers(state_dir)
            assert redis(stores, "GET", "k") == b"$1\r\nv\r\n"
            assert sql(state_dir, "SELECT 1") == "1"
    ended = [log for log in logs if log["event"] == "embedded_store_ended"]
    assert [(log["store"], log["exit"], log["restart_in_s"]) for log in ended] == [
        (name, "SIGKILL", 1.0)
    ]


async def test_store_of_recordings_recovers_when_its_server_is_killed(state_dir: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_embedded_stores(state_dir, redis=False, postgres=True) as stores:
            assert stores.database_url is not None
            async with (
                open_asyncio_loop(tuned=True),
                open_postgres_store(stores.database_url) as store,
            ):
                await store.wait_ready()
                await store.execute("INSERT INTO recordings (record_id) VALUES ('a')")
                os.kill(main_server(state_dir, "postgres"), signal.SIGKILL)
                while store.ready:
                    with suppress(DatabaseDown):
                        await store.ping()
                    await trio.sleep(0.01)
                await store.wait_ready()
                assert len(await store.fetch("SELECT 1 FROM recordings")) == 1


@pytest.mark.parametrize("how", ["error", "cancel"])
async def test_servers_are_stopped_when_the_block_fails_or_is_cancelled(
    state_dir: Path, how: str
) -> None:
    with trio.fail_after(DEADLINE_S):
        if how == "cancel":
            with trio.CancelScope() as scope:
                async with open_embedded_stores(state_dir, redis=True, postgres=True):
                    scope.cancel()
                    await trio.sleep_forever()
        else:
            with pytest.raises(ExceptionGroup) as caught:
                async with open_embedded_stores(state_dir, redis=True, postgres=True):
                    raise KeyError("mine")
            assert caught.group_contains(KeyError)
        assert servers(state_dir) == {}
    log = (state_dir / "postgres.log").read_text()
    assert "database system is shut down" in log.splitlines()[-1]


async def test_error_quotes_the_log_of_a_server_that_does_not_start(state_dir: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_embedded_stores(state_dir, redis=False, postgres=True):
            pass
        (state_dir / "stores" / "postgres" / "global" / "pg_control").unlink()
        with pytest.raises(EmbeddedStoresError, match=r"(?s)postgres did not start.*pg_control"):
            async with open_embedded_stores(state_dir, redis=True, postgres=True):
                pass
        assert servers(state_dir) == {}
        # The lock was released: Redis alone can be started.
        async with open_embedded_stores(state_dir, redis=True, postgres=False):
            pass


async def test_stale_process_id_of_another_process_is_ignored(
    state_dir: Path, bystander: subprocess.Popen[bytes]
) -> None:
    pid_file = state_dir / "stores" / "postgres" / "postmaster.pid"
    with trio.fail_after(DEADLINE_S):
        async with open_embedded_stores(state_dir, redis=False, postgres=True):
            left_behind = pid_file.read_text().splitlines()[1:]
        # PostgreSQL trusts an id that it may send signals to.
        pid_file.write_text("\n".join([str(bystander.pid), *left_behind, ""]))
        async with open_embedded_stores(state_dir, redis=False, postgres=True):
            assert sql(state_dir, "SELECT 1") == "1"
    assert bystander.poll() is None


@pytest.mark.usefixtures("unfinished_cluster")
async def test_unfinished_cluster_is_created_again(state_dir: Path) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_embedded_stores(state_dir, redis=False, postgres=True):
            assert sql(state_dir, "SELECT 1") == "1"


async def test_long_state_dir_gets_short_sockets(tmp_path: Path) -> None:
    state_dir = tmp_path / ("long" * 30)
    with trio.fail_after(DEADLINE_S):
        async with open_embedded_stores(state_dir, redis=True, postgres=True) as stores:
            assert redis(stores, "PING") == b"+PONG\r\n"
            assert stores.database_url is not None
            async with (
                open_asyncio_loop(tuned=True),
                open_postgres_store(stores.database_url) as store,
            ):
                await store.wait_ready()
            short = (state_dir / "stores" / "run").readlink()
            assert short.stat().st_mode & 0o777 == 0o700
    assert not short.exists()


async def test_children_do_not_inherit_the_environment(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADBALANCER_SECRET", "geheim")
    with trio.fail_after(DEADLINE_S):
        async with open_embedded_stores(state_dir, redis=True, postgres=True):
            seen = environments(state_dir)
    assert len(seen) > 2
    assert not any(b"geheim" in one for one in seen)
