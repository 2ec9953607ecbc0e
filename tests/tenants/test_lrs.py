"""Credentials for creates: one request for many, kept while valid, failures that cost little."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
import trio

from appliance.fault_log import FaultLog
from appliance.http.client.dial import open_ssl_context
from appliance.http.client.pool import PoolTransport
from appliance.model import Lrs, Tenant, TenantId
from appliance.tenants.lrs import RETRY_S, LrsPayloads
from appliance.tenants.lrs_rules import seal
from appliance.tenants.token_client import TokenClient
from tests.doubles.features import EventBook, now_ms
from tests.doubles.keycloak import TokenEndpoint, open_token_endpoint
from tests.doubles.raw_http import until

SSL_CONTEXT = open_ssl_context(None)
ENDPOINT = "https://lrs.example/xapi"
MANY = 50


@dataclass
class Bench:
    """Payloads, and the endpoint that they take tokens from."""

    endpoint: TokenEndpoint
    pool: PoolTransport
    deadline_s: float = 20.0
    log: EventBook = field(default_factory=EventBook)
    salts: int = 0
    now_s: float = 1_000.0
    payloads: LrsPayloads = field(init=False)

    def __post_init__(self) -> None:
        self.payloads = LrsPayloads(
            TokenClient(self.pool, self.deadline_s),
            FaultLog(self.log, now_ms),
            deadline_s=self.deadline_s,
            random_bytes=self._random_bytes,
            clock_s=lambda: self.now_s,
        )

    def _random_bytes(self, count: int) -> bytes:
        self.salts += 1
        return self.salts.to_bytes(count, "big")

    async def document(self, lrs: Lrs | None = None) -> str | None:
        """Return the document of a tenant with this LRS, that of the endpoint by default."""
        tenant = Tenant(TenantId("t-1"), "school", ("s",), lrs=lrs or self.endpoint.lrs)
        return await self.payloads.document(tenant)

    async def token(self) -> str | None:
        """Return the token of a tenant."""
        document = await self.document()
        return None if document is None else str(json.loads(document)["lrs_token"])

    @property
    def reasons(self) -> list[str]:
        """Return the logged reasons for missing tokens."""
        return [str(fields["reason"]) for fields in self.log.named("lrs_token_failed")]


@asynccontextmanager
async def opened(deadline_s: float = 20.0) -> AsyncIterator[Bench]:
    async with open_token_endpoint() as endpoint, PoolTransport(SSL_CONTEXT) as pool:
        yield Bench(endpoint, pool, deadline_s)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """Give payloads whose deadline is longer than the test."""
    async with opened() as made:
        yield made


async def test_tenant_without_lrs_has_no_document(bench: Bench) -> None:
    assert await bench.payloads.document(None) is None
    assert await bench.payloads.document(Tenant(TenantId("t"), "school", ("s",))) is None
    assert not bench.log.events


async def test_user_name_and_password_need_no_request(bench: Bench) -> None:
    document = await bench.document(Lrs(ENDPOINT, "u", "p"))
    assert json.loads(document or "")["lrs_username"] == "u"
    assert not bench.endpoint.asked


async def test_lrs_without_credentials_is_told_of(bench: Bench) -> None:
    assert await bench.document(Lrs(ENDPOINT)) is None
    assert len(bench.log.named("lrs_without_credentials")) == 1


async def test_many_at_once_share_one_request(bench: Bench) -> None:
    bench.endpoint.gate = trio.Event()
    tokens: list[str | None] = []

    async def ask() -> None:
        tokens.append(await bench.token())

    async with trio.open_nursery() as nursery:
        for _ in range(MANY):
            nursery.start_soon(ask)
        await until(lambda: bench.endpoint.asked)
        bench.endpoint.gate.set()

    assert tokens == ["token-1"] * MANY
    assert len(bench.endpoint.asked) == 1


async def test_token_is_kept_until_shortly_before_it_expires(bench: Bench) -> None:
    assert [await bench.token() for _ in range(3)] == ["token-1"] * 3
    bench.now_s += 269
    assert await bench.token() == "token-1"
    bench.now_s += 2
    assert [await bench.token() for _ in range(3)] == ["token-2"] * 3


async def test_request_of_a_client_that_went_away_is_taken_up_by_those_who_wait(
    bench: Bench,
) -> None:
    bench.endpoint.gate = trio.Event()
    tokens: list[str | None] = []

    async def ask() -> None:
        tokens.append(await bench.token())

    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as leaving:
            leaving.start_soon(ask)
            await until(lambda: bench.endpoint.asked)
            nursery.start_soon(ask)
            leaving.cancel_scope.cancel()
        bench.endpoint.gate.set()

    assert len(tokens) == 1
    assert tokens[0] is not None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"status": 500}, "HTTP status 500, invalid_grant"),
        ({"body": b"<html>"}, "the answer has no access_token"),
    ],
)
async def test_failure_is_told_once_and_the_endpoint_left_alone(
    bench: Bench, change: dict[str, object], reason: str
) -> None:
    for name, value in change.items():
        setattr(bench.endpoint, name, value)

    assert [await bench.token() for _ in range(3)] == [None] * 3

    assert bench.reasons == [reason]
    assert len(bench.endpoint.asked) == 1
    assert not bench.log.errors
    bench.endpoint.status, bench.endpoint.body = 200, None
    bench.now_s += RETRY_S
    assert await bench.token() == "token-2"


async def test_silent_endpoint_delays_creates_once_and_no_longer_than_the_deadline() -> None:
    async with opened(deadline_s=0.3) as bench:
        bench.endpoint.gate = trio.Event()
        began_s = trio.current_time()
        assert await bench.token() is None
        assert trio.current_time() - began_s < RETRY_S / 2

        assert await bench.token() is None
        assert len(bench.endpoint.asked) == 1
        assert len(bench.reasons) == 1


async def test_changed_credentials_are_tried_at_once(bench: Bench) -> None:
    right = bench.endpoint.keycloak
    wrong = Lrs(ENDPOINT, keycloak=replace(right, password="wrong"))
    assert await bench.document(wrong) is None
    assert await bench.document(Lrs(ENDPOINT, keycloak=right)) is not None
    assert "wrong" not in repr(bench.log.events)


async def test_payload_is_sealed_once_for_each_server(bench: Bench) -> None:
    sealed: dict[str, set[str]] = {"one": set(), "two": set()}

    async def make(secret: str) -> None:
        sealed[secret].add(await bench.payloads.seal("{}", secret))

    async with trio.open_nursery() as nursery:
        for secret in ("one", "two") * 5:
            nursery.start_soon(make, secret)

    assert bench.salts == 2
    assert {len(payloads) for payloads in sealed.values()} == {1}
    possible = {seal("{}", "one", number.to_bytes(8, "big")) for number in (1, 2)}
    assert sealed["one"] < possible
