"""A FreeSWITCH gateway asks the real process: on the public listener, and on one of its own."""

from __future__ import annotations

import http.client
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.doubles.appliance_pool import ServedPool
from tests.doubles.appliance_process import ApplianceProcess, not_started
from tests.doubles.dialplan import basic, form
from tests.doubles.freeswitch import Gateway
from tests.doubles.store_servers import RedisServer

PASSWORD = "fsapi-password-of-the-test"


def ask(port: int, body: bytes, password: str) -> tuple[int, bytes]:
    """Post a form as mod_xml_curl does; return status and body."""
    name, _, value = basic("fsapi", password).partition(": ")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=40)
    try:
        headers = {name: value, "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/fsapi", body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_caller_reaches_the_meeting_that_a_front_end_created(pool: ServedPool) -> None:
    pool.front.create("lecture")
    pin = pool.record("lecture")["voice_bridge"]
    host = urlsplit(pool.holder("lecture").url).hostname
    port, password = pool.front.port, pool.front.secret
    gateway = Gateway()

    status, prompt = ask(port, form("call"), password)
    assert (status, gateway.run(prompt, "+49305550100")) == (200, True)
    assert len(pin) == 9
    status, bridge = ask(port, form("pin", pin=pin), password)
    assert (status, gateway.run(bridge, pin)) == (200, True)

    assert gateway.executed[-1] == ("bridge", f"sofia/external/{pin}@{host}")
    pool.front.get("end", meetingID="lecture")
    assert b"reprompt_for_pin" in ask(port, form("pin", pin=pin), password)[1]


@pytest.fixture
def stores(redis_server: RedisServer, redis_namespace: str) -> dict[str, str]:
    """Give the variables for a quick start, without stores of its own."""
    return {
        "REDIS_URL": redis_server.url,
        "REDIS_NAMESPACE": redis_namespace,
        "DB_DISABLED": "true",
        "SECRET_KEY_BASE": "k" * 64,
    }


@pytest.fixture
def apart(tmp_path: Path, stores: dict[str, str]) -> Iterator[ApplianceProcess]:
    """Give an appliance whose endpoint has a listener of its own."""
    variables = {"FSAPI_BIND": "tcp://127.0.0.1:0", "FSAPI_PASSWORD": PASSWORD}
    with ApplianceProcess(tmp_path, **stores, **variables) as started:
        started.sensitive.add(PASSWORD)
        yield started


def test_listener_of_its_own_is_the_only_one_that_answers(apart: ApplianceProcess) -> None:
    (url,) = apart.wait_event("ready")["dialplan"]
    port = urlsplit(url).port
    assert port is not None

    assert ask(port, form("call"), PASSWORD)[0] == 200
    assert ask(port, form("call"), apart.front.secret)[0] == 401
    assert ask(apart.front.port, form("call"), PASSWORD)[0] == 404
    assert apart.front.get("").returncode == "SUCCESS"


def test_listener_of_its_own_is_closed_at_the_end(apart: ApplianceProcess) -> None:
    (url,) = apart.wait_event("ready")["dialplan"]
    port = urlsplit(url).port
    assert port is not None

    apart.signal(signal.SIGHUP)  # there is no certificate, and so nothing to do
    assert ask(port, form("call"), PASSWORD)[0] == 200
    assert apart.terminate() == 0
    with pytest.raises(ConnectionRefusedError):
        ask(port, form("call"), PASSWORD)


def test_start_fails_clearly_when_the_listener_cannot_be_opened(
    tmp_path: Path, stores: dict[str, str], apart: ApplianceProcess
) -> None:
    (url,) = apart.wait_event("ready")["dialplan"]
    address = f"tcp://127.0.0.1:{urlsplit(url).port}"
    second = tmp_path / "second"
    second.mkdir()
    with not_started(second, FSAPI_BIND=address, **stores) as refused:
        refused.start(wait=False)

        assert refused.wait() == 1
        assert f"cannot listen on {address}" in refused.log_text()
        refused.check_log()
