"""Redis and PostgreSQL by URL: reached every way, and away at every moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.doubles.appliance_client import FrontEnd
from tests.doubles.appliance_process import ApplianceProcess, not_started, wait_for, wait_for_more
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.postgres_process import PostgresProcess, postgres_process
from tests.doubles.redis_processes import DURABLE, RedisProcess, redis_process
from tests.doubles.store_servers import PostgresServer, RedisServer

STORE_DOWN = "The meeting store is not reachable."
REDIS_PW, DATABASE_PW = "redis-pw-4d1e", "database-pw-8b2f"
WITHIN_S = 5.0
"""Due within a second; what hangs here does so for longer than this."""
COMMON = {"SECRET_KEY_BASE": "k" * 64, "POLL_INTERVAL": "2", "POLL_RETRY_INTERVAL": "0.5"}


@pytest.fixture(scope="module")
def bbb() -> Iterator[BbbProcess]:
    """Give one simulated server."""
    with BbbProcess() as server:
        yield server


@pytest.fixture
def store(bbb: BbbProcess) -> Iterator[RedisProcess]:
    """Give a Redis of the test's own that keeps its data over a restart."""
    bbb.forget_meetings()
    with redis_process(*DURABLE, "--requirepass", REDIS_PW) as server:
        yield server


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresProcess]:
    """Give a PostgreSQL that is not running."""
    with postgres_process(DATABASE_PW) as server:
        yield server


def url_with_password(store: RedisProcess) -> str:
    """Return REDIS_URL by TCP."""
    return f"redis://:{REDIS_PW}@127.0.0.1:{store.port}/1"


@pytest.fixture
def appliance(tmp_path: Path, store: RedisProcess, bbb: BbbProcess) -> Iterator[ApplianceProcess]:
    """Give an appliance on a Redis that the test may stop, without PostgreSQL."""
    environ = {"REDIS_URL": url_with_password(store), "DB_DISABLED": "true", **COMMON}
    started = ApplianceProcess(tmp_path, **environ)
    started.sensitive.add(REDIS_PW)
    with started:
        started.add_server(bbb)
        yield started


def is_healthy(front: FrontEnd) -> bool:
    """Return whether the health check succeeds."""
    return front.fetch("GET", "/health_check").status == 200


# -- Redis ---------------------------------------------------------------------------------------


def test_meeting_is_created_over_tcp_with_a_password(appliance: ApplianceProcess) -> None:
    assert appliance.front.create("m1").returncode == "SUCCESS"
    assert not appliance.children()
    assert not (appliance.state_dir / "stores").exists()


def test_meeting_is_created_over_a_unix_socket(
    tmp_path: Path, redis_server: RedisServer, redis_namespace: str, bbb: BbbProcess
) -> None:
    environ = {"REDIS_URL": redis_server.url, "REDIS_NAMESPACE": redis_namespace}
    with ApplianceProcess(tmp_path, DB_DISABLED="true", **environ, **COMMON) as appliance:
        appliance.add_server(bbb)
        assert appliance.front.create("m1").returncode == "SUCCESS"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_calls_fail_within_a_second_and_recover_when_redis_is_lost(
    appliance: ApplianceProcess, store: RedisProcess, how: signal.Signals
) -> None:
    front = appliance.front
    front.create("before")

    store.kill() if how == signal.SIGKILL else store.signal(how)

    for call in ("create", "getMeetingInfo", "join", "end", "isMeetingRunning", "getMeetings"):
        answer = front.get(call, meetingID="during" if call == "create" else "before")
        assert (answer.status, answer.key, answer.message) == (200, "internalError", STORE_DOWN)
        assert answer.took_s < WITHIN_S
    health = front.fetch("GET", "/health_check")
    assert health.status == 503
    assert health.body.startswith(b"Health Check Failure: ")
    assert health.took_s < WITHIN_S
    assert front.fetch("GET", "/bigbluebutton/api").returncode == "SUCCESS"
    refused = appliance.ctl("status")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert len(refused.stderr.strip().splitlines()) == 1

    store.start() if how == signal.SIGKILL else store.signal(signal.SIGCONT)

    wait_for(lambda: is_healthy(front), 40, "healthy again")
    assert front.info("before").returncode == "SUCCESS"
    assert front.create("after").returncode == "SUCCESS"
    assert front.create("during").returncode == "SUCCESS"


def test_redis_restarted_under_load_names_the_fault_once(
    appliance: ApplianceProcess, store: RedisProcess
) -> None:
    stop = threading.Event()
    slowest, odd, done = [0.0], [], [0]

    def ask(number: int) -> None:
        count = 0
        while not stop.is_set():
            count += 1
            answer = appliance.front.get("isMeetingRunning", meetingID=f"m{number} {count}")
            slowest[0] = max(slowest[0], answer.took_s)
            done[0] += 1
            if answer.text("running") != "false" and answer.message != STORE_DOWN:
                odd.append(answer.body)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            wait_for_more(done, 100)
            store.kill()
            wait_for_more(done, 100)
            store.start()
            wait_for(lambda: is_healthy(appliance.front), 40, "healthy")
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert odd == []
    assert slowest[0] < WITHIN_S
    warnings = [event for event in appliance.events() if event["level"] == "warning"]
    assert len(warnings) < 20


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        (("CLIENT", "PAUSE", "7000", "ALL"), ("CLIENT", "UNPAUSE")),
    ],
    ids=["out-of-memory", "read-only", "slow"],
)
def test_create_fails_and_recovers_when_redis_refuses_to_write(
    appliance: ApplianceProcess,
    store: RedisProcess,
    spoil: tuple[str, ...],
    mend: tuple[str, ...],
) -> None:
    def tell(words: tuple[str, ...]) -> None:
        with redis.Redis(port=store.port, password=REDIS_PW) as client:
            client.execute_command(*words)

    tell(spoil)
    try:
        answer = appliance.front.create("m1")
        assert (answer.key, answer.message) == ("internalError", STORE_DOWN)
        assert answer.took_s < WITHIN_S
        assert not is_healthy(appliance.front)
    finally:
        tell(mend)

    wait_for(lambda: is_healthy(appliance.front), 40, "healthy")
    wait_for(lambda: appliance.front.create("m1").returncode == "SUCCESS", 40, "recovered")


def test_appliance_serves_what_it_can_before_redis_is_there(
    tmp_path: Path, store: RedisProcess
) -> None:
    store.kill()
    environ = {"REDIS_URL": url_with_password(store), "DB_DISABLED": "true", **COMMON}
    with not_started(tmp_path, **environ) as appliance:
        appliance.sensitive.add(REDIS_PW)
        appliance.start(wait=False)
        appliance.wait_ready()
        assert appliance.front.fetch("GET", "/health_check").status == 503
        assert appliance.front.create("early").key == "internalError"
        doctor = appliance.ctl("doctor")
        assert doctor.returncode == 1
        assert "redis" in doctor.stdout

        store.start()

        wait_for(lambda: is_healthy(appliance.front), 40, "healthy")
        assert appliance.front.create("late").key != "checksumError"
        appliance.finish()


def test_stop_is_obeyed_while_waiting_for_redis(tmp_path: Path, store: RedisProcess) -> None:
    store.kill()
    environ = {"REDIS_URL": url_with_password(store), "DB_DISABLED": "true", **COMMON}
    with not_started(tmp_path, **environ) as appliance:
        appliance.start(wait=False)
        appliance.wait_catching()

        assert appliance.terminate(within_s=40) == 0
        appliance.check_log()


# -- PostgreSQL ------------------------------------------------------------------------------------


def test_database_is_migrated_over_a_unix_socket(
    tmp_path: Path,
    store: RedisProcess,
    postgres_server: PostgresServer,
    empty_database_url: str,
) -> None:
    urls = {"REDIS_URL": url_with_password(store), "DATABASE_URL": empty_database_url}
    with ApplianceProcess(tmp_path, **urls, **COMMON) as appliance:
        appliance.wait_event("database_ready")
        name = empty_database_url.partition("/t")[2].partition("?")[0]
        assert postgres_server.sql("SELECT count(*) FROM recordings", f"t{name}") == "0"
        assert not appliance.children()


def test_api_goes_on_without_postgresql_and_finds_it_back(
    tmp_path: Path, store: RedisProcess, database: PostgresProcess, bbb: BbbProcess
) -> None:
    urls = {"REDIS_URL": url_with_password(store), "DATABASE_URL": database.url}
    appliance = ApplianceProcess(tmp_path, **urls, **COMMON)
    appliance.sensitive |= {REDIS_PW, DATABASE_PW}
    with appliance:  # it is down at start
        front = appliance.front
        appliance.add_server(bbb)
        assert is_healthy(front)
        assert front.create("without").returncode == "SUCCESS"

        database.start()
        appliance.wait_event("database_ready", 40)
        assert database.sql("SELECT count(*) FROM recordings") == "0"

        database.stop(signal.SIGQUIT)  # at once, as a crash
        wait_for(
            lambda: (
                front.create("during").returncode != "SUCCESS"
                or not is_healthy(front)
                or len(appliance.events("database_down")) == 2
            ),
            40,
            "the loss is noticed",
        )
        assert is_healthy(front)
        assert front.create("after").returncode == "SUCCESS"
        database.start()
        wait_for(lambda: len(appliance.events("database_ready")) == 2, 30, "found back")


def test_database_is_left_alone_when_disabled(
    tmp_path: Path, store: RedisProcess, database: PostgresProcess
) -> None:
    urls = {"REDIS_URL": url_with_password(store), "DATABASE_URL": database.url}
    with ApplianceProcess(tmp_path, **urls, RECORDING_DISABLED="true", **COMMON) as appliance:
        appliance.poll()
        assert is_healthy(appliance.front)
        assert [event for event in appliance.events() if "database" in event["event"]] == []
