"""The admin API of the real process: one door's changes are seen at the other, and in the log."""

from __future__ import annotations

import json

import pytest

from tests.doubles.appliance_pool import SHORT_TIMEOUTS, ServedPool
from tests.doubles.signing import sign_url

BASE = "/scalelite/api"
ADMIN_SECRET = "only-for-administration"
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    return {**SHORT_TIMEOUTS, "POLL_INTERVAL": "600", "ADMIN_SECRET": ADMIN_SECRET}


def test_server_added_over_http_is_in_ctl_and_in_the_log_but_no_secret(
    empty_pool: ServedPool,
) -> None:
    bbb, front = empty_pool.servers[0], empty_pool.front
    body = {"server": {"url": bbb.url, "secret": bbb.secret, "tag": "over-http"}}

    target = sign_url(BASE, "addServer", "", ADMIN_SECRET)
    added = front.fetch("POST", target, json.dumps(body).encode(), JSON)
    front_end = front.fetch("GET", sign_url(BASE, "getServers", "", front.secret))

    assert added.status == 201
    server = json.loads(added.body)
    (listed,) = json.loads(empty_pool.appliance.ctl("servers", "list", "--json").stdout)
    assert {**listed, "bbb_version": ""} == server  # it may have been polled meanwhile
    event = empty_pool.appliance.wait_event("server_added", server=server["id"])
    assert event["by"] == "checksum 127.0.0.1"
    assert front_end.key == "checksumError"
    log = empty_pool.appliance.log_text()
    assert "admin_checksum_wrong" in log
    assert not [word for word in (bbb.secret, ADMIN_SECRET, target[-64:]) if word in log]


def test_token_is_made_used_audited_and_revoked(empty_pool: ServedPool) -> None:
    ctl, front = empty_pool.appliance.ctl, empty_pool.front
    secret = ctl("tokens", "add", "deploy", "--role", "admin", "--days", "1").stdout.strip()
    headers = {**JSON, "Authorization": f"Bearer {secret}"}
    fields = {"server": {"url": "https://a.example/bigbluebutton/api", "secret": "s3cr3t-word"}}

    added = front.fetch("POST", f"{BASE}/addServer", json.dumps(fields).encode(), headers)
    entries = json.loads(front.fetch("GET", f"{BASE}/audit?who=token", None, headers).body)
    from_ctl = json.loads(ctl("audit", "--json", "--who", "uid=", "--object", "deploy").stdout)
    ctl("tokens", "revoke", "deploy")
    refused = front.fetch("GET", f"{BASE}/getStatus", None, headers)

    assert added.status == 201
    (entry,) = entries
    assert (entry["who"], entry["call"]) == ("token deploy 127.0.0.1", "addServer")
    assert entry["object"].startswith(f"server {json.loads(added.body)['id']}")
    assert [one["call"] for one in from_ctl] == ["addToken"]
    assert refused.status == 401
    log = empty_pool.appliance.log_text()
    assert not [word for word in (secret, "s3cr3t-word") if word in log + str(entries)]
