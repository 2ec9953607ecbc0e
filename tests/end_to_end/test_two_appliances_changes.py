"""What is changed through one appliance the other follows: servers, tenants, settings.

Made by the ctl program of the first, seen by the API of the second. Meetings and polls of two
appliances are the matter of test_two_appliances.py.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.doubles.appliance_client import Answer, FrontEnd
from tests.doubles.appliance_pool import Keys, ServedPool, two_appliances
from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.store_servers import RedisServer

DOMAIN = "bbb.example"
FOLLOWED_S = 40.0
"""A tenant is kept for a second; the rest is for a machine with other work."""


@pytest.fixture(scope="module")
def appliances(
    redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ApplianceProcess]]:
    """Give two appliances with multitenancy that differ in nothing."""
    environ = {
        "MULTITENANCY_ENABLED": "true",
        "URL_HOST": DOMAIN,
        "POLL_INTERVAL": "600",
    }
    with two_appliances(redis_server, tmp_path_factory, "two-changed", **environ) as both:
        yield both


@dataclass
class Pair:
    """Two appliances, and the one BBB server that they may get."""

    first: ApplianceProcess
    second: ApplianceProcess
    bbb: BbbProcess

    def change(self, *words: str) -> str:
        """Run ctl of the first appliance and return the id that it prints last, if any."""
        done = self.first.ctl(*words)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout.split()[-1]

    def ask(
        self, appliance: ApplianceProcess, name: str, secret: str, call: str, **params: str
    ) -> Answer:
        """Make a call of a tenant's front-end."""
        front = FrontEnd(appliance.front.port, secret)
        headers = {"Host": f"{name}.{DOMAIN}"}
        return front.fetch("GET", front.target(call, params), headers=headers)

    def is_known(self, appliance: ApplianceProcess, name: str, secret: str) -> bool:
        """Return whether a tenant of this name has this secret, to this appliance."""
        appliance.sensitive.add(secret)
        answer = self.ask(appliance, name, secret, "getMeetings")
        assert answer.returncode == "SUCCESS" or answer.key == "checksumError", answer.body
        return answer.returncode == "SUCCESS"


@pytest.fixture
def pair(
    appliances: list[ApplianceProcess], servers: list[BbbProcess], redis_server: RedisServer
) -> Iterator[Pair]:
    """Give both with neither servers nor tenants."""
    first, second = appliances
    keys = Keys(redis_server.socket_path, first.environ["REDIS_NAMESPACE"])
    ServedPool(first, servers, keys).reset()
    for appliance in appliances:
        appliance.sensitive |= {server.secret for server in servers}
    yield Pair(first, second, servers[0])
    for appliance in appliances:
        appliance.check_log()


def test_server_is_added_enabled_changed_and_removed_for_both(pair: Pair) -> None:
    pair.change("tenants", "add", "school", "s1-of-school")
    create = (pair.second, "school", "s1-of-school", "create")
    assert pair.ask(*create, meetingID="none").key == "internalError"

    pair.change("servers", "add", pair.bbb.url, pair.bbb.secret, "--id", "one")
    assert pair.second.server("one")["state"] == "disabled"
    pair.change("servers", "enable", "one")
    assert pair.ask(*create, meetingID="room").returncode == "SUCCESS"
    pair.change("servers", "update", "one", "--tag", "gpu", "--max-meetings", "1")
    assert pair.second.server("one")["tag"] == "gpu"
    assert pair.ask(*create, meetingID="too-many").key == "internalError"

    pair.change("servers", "remove", "one", "--force")
    assert json.loads(pair.second.ctl("servers", "list", "--json").stdout) == []
    assert pair.ask(*create, meetingID="again").key == "internalError"
    assert pair.ask(pair.second, "school", "s1-of-school", "join", meetingID="room").key == (
        "notFound"
    )


def test_tenant_is_added_changed_and_removed_for_both(pair: Pair) -> None:
    def expect(*, known: bool, name: str, secret: str) -> None:
        """At once where the change was made, within a second in the other."""
        assert pair.is_known(pair.first, name, secret) is known
        wait_for(lambda: pair.is_known(pair.second, name, secret) is known, FOLLOWED_S, name)

    expect(known=False, name="school", secret="old-of-school")
    tenant_id = pair.change("tenants", "add", "school", "old-of-school")
    expect(known=True, name="school", secret="old-of-school")

    pair.change("tenants", "update", tenant_id, "--secrets", "new-of-school,other-of-school")
    expect(known=False, name="school", secret="old-of-school")
    for secret in ("new-of-school", "other-of-school"):
        expect(known=True, name="SCHOOL", secret=secret)

    pair.change("tenants", "update", tenant_id, "--name", "Academy")
    expect(known=False, name="school", secret="new-of-school")
    expect(known=True, name="academy", secret="new-of-school")

    pair.change("tenants", "remove", tenant_id)
    expect(known=False, name="academy", secret="new-of-school")
    for event in ("tenant_added", "tenant_changed", "tenant_removed"):
        assert pair.first.events(event, tenant=tenant_id), event


def test_setting_is_added_and_removed_for_both(pair: Pair) -> None:
    tenant_id = pair.change("tenants", "add", "school", "s1-of-school")
    pair.change("servers", "add", pair.bbb.url, pair.bbb.secret, "--id", "one", "--enable")
    for appliance in (pair.first, pair.second):
        appliance.sensitive.add("s1-of-school")
    room = {"meetingID": "room", "fullName": "A", "role": "VIEWER"}
    assert pair.ask(pair.second, "school", "s1-of-school", "create", **room).key == ""

    def joined(appliance: ApplianceProcess) -> list[str]:
        answer = pair.ask(appliance, "school", "s1-of-school", "join", **room)
        assert answer.status == 302
        return parse_qs(urlsplit(answer.location).query).get("userdata-logo", [])

    assert joined(pair.first) == joined(pair.second) == []
    setting = ("tenant-settings", "add", tenant_id, "userdata-logo", "school, big", "true")
    setting_id = pair.change(*setting)
    assert joined(pair.first) == ["school, big"]
    wait_for(lambda: joined(pair.second) == ["school, big"], FOLLOWED_S, "set")

    pair.change("tenant-settings", "remove", setting_id)
    assert joined(pair.first) == []
    wait_for(lambda: joined(pair.second) == [], FOLLOWED_S, "removed")
