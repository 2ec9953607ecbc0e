"""Two tenants of one running appliance with equal meeting ids, one with an LRS behind Keycloak."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.doubles.appliance_client import Answer, FrontEnd
from tests.doubles.appliance_pool import SHORT_TIMEOUTS, ServedPool
from tests.doubles.ctl_program import ctl

DOMAIN = "bbb.example"
SECRETS = {"one": "secret-of-one", "two": "secret-of-two"}
LRS = "https://lrs.example/xapi"


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """Give the variables of an appliance with tenants."""
    tenancy = {"MULTITENANCY_ENABLED": "true", "URL_HOST": DOMAIN}
    return {**SHORT_TIMEOUTS, **tenancy, "POLL_INTERVAL": "600"}


@pytest.fixture
def tenants(pool: ServedPool) -> dict[str, str]:
    """Add two tenants and return their ids."""
    pool.appliance.sensitive |= set(SECRETS.values())
    return {
        name: ctl(pool, "tenants", "add", name, secret).split()[-1]
        for name, secret in SECRETS.items()
    }


def ask(pool: ServedPool, tenant: str, call: str, **params: str) -> Answer:
    """Make a call of a tenant's front-end."""
    front = FrontEnd(pool.front.port, SECRETS[tenant])
    headers = {"Host": f"{tenant}.{DOMAIN}"}
    return front.fetch("GET", front.target(call, params), headers=headers)


def everywhere(pool: ServedPool) -> set[str]:
    """Return the ids of all meetings on all servers."""
    return {meeting_id for server in pool.servers for meeting_id in server.meetings()}


def test_equal_meeting_ids_live_side_by_side(pool: ServedPool, tenants: dict[str, str]) -> None:
    scoped = f"room~{tenants['two']}"
    created = {
        name: ask(pool, name, "create", meetingID="room", name=f"Room of {name}")
        for name in SECRETS
    }
    assert [answer.text("meetingID") for answer in created.values()] == ["room", "room"]
    assert everywhere(pool) == {"room", scoped}

    pool.appliance.poll()
    for name in SECRETS:
        info = ask(pool, name, "getMeetingInfo", meetingID="room")
        assert info.text("meetingName") == f"Room of {name}"
        listed = ask(pool, name, "getMeetings").xml.findall("meetings/meeting/meetingID")
        assert [element.text for element in listed] == ["room"]
        assert ask(pool, name, "getMeetingInfo", meetingID=scoped).key == "notFound"
    joined = ask(pool, "two", "join", meetingID="room", fullName="Ada", role="VIEWER")
    assert parse_qs(urlsplit(joined.location).query)["meetingID"] == [scoped]
    assert scoped in ctl(pool, "meetings", "list")

    assert ask(pool, "one", "end", meetingID="room").returncode == "SUCCESS"
    assert everywhere(pool) == {scoped}
    assert ask(pool, "one", "getMeetingInfo", meetingID="room").key == "notFound"
    again = ask(pool, "two", "create", meetingID="room", name="Room of two")
    assert again.text("internalMeetingID") == created["two"].text("internalMeetingID")
    assert ask(pool, "two", "end", meetingID="room").returncode == "SUCCESS"
    assert everywhere(pool) == set()
    assert pool.keys.ask("SMEMBERS", "meetings") == set()


@contextmanager
def token_endpoint() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serve tokens; gives the URL and the forms that were sent."""
    forms: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            forms.append({name: values[0] for name, values in parse_qs(body).items()})
            said = json.dumps({"access_token": f"token-{len(forms)}", "expires_in": 300}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/token", forms
        finally:
            server.shutdown()
            thread.join()


def test_server_can_read_the_credentials_of_the_tenants_lrs(
    pool: ServedPool, tenants: dict[str, str]
) -> None:
    pool.appliance.sensitive |= {"client-secret-4711", "kc-password-4711", "token-1"}
    with token_endpoint() as (url, forms):
        keycloak = ["--kc-token-url", url, "--kc-client-id", "bbb"]
        keycloak += ["--kc-client-secret", "client-secret-4711"]
        keycloak += ["--kc-username", "lrs", "--kc-password", "kc-password-4711"]
        ctl(pool, "tenants", "update", tenants["one"], "--lrs-endpoint", LRS, *keycloak)
        for meeting_id in ("a-room", "b-room"):
            answer = ask(pool, "one", "create", meetingID=meeting_id, name="Room")
            assert answer.returncode == "SUCCESS"
        assert ask(pool, "two", "create", meetingID="c-room", name="Room").returncode == "SUCCESS"

    assert [form["password"] for form in forms] == ["kc-password-4711"]
    for meeting_id in ("a-room", "b-room"):
        holder = pool.holder(meeting_id)
        payload = holder.meetings()[meeting_id]["metadata"]["secret-lrs-payload"]
        command = ["openssl", "aes-256-cbc", "-d", "-pbkdf2", "-a", "-A"]
        done = subprocess.run(
            [*command, "-pass", f"pass:{holder.secret}"],
            input=payload.encode(),
            capture_output=True,
            check=True,
            timeout=40,
        )
        assert json.loads(done.stdout) == {"lrs_endpoint": LRS, "lrs_token": "token-1"}
        assert b"lrs" not in ask(pool, "one", "getMeetingInfo", meetingID=meeting_id).body
    assert "secret-lrs-payload" not in pool.holder("c-room").meetings()["c-room"]["metadata"]
