"""create for a tenant with an LRS: each server gets credentials that it alone can read."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
import trio
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from appliance.bbb.signed_request import Caller
from appliance.http.client.dial import open_ssl_context
from appliance.http.client.pool import PoolTransport
from appliance.meetings import calls as meetings
from appliance.meetings.listing import MeetingLists
from appliance.model import Lrs, Tenant, TenantId
from appliance.tenants.lrs import LrsPayloads
from appliance.tenants.token_client import TokenClient
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import rewire
from tests.doubles.keycloak import TokenEndpoint, open_token_endpoint
from tests.doubles.live_pool import LivePool, open_live

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

SSL_CONTEXT = open_ssl_context(None)
ENDPOINT = "https://lrs.example/xapi"
PARAM = "meta_secret-lrs-payload"
BASIC = Lrs(ENDPOINT, "u", "p")


@pytest.fixture
async def pool(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess]
) -> AsyncIterator[LivePool]:
    """Give a pool that can seal payloads."""
    async with open_sealing(redis_url, redis_namespace, bbbs) as opened:
        yield opened


@asynccontextmanager
async def open_sealing(
    redis_url: str, namespace: str, bbbs: list[BbbProcess], deadline_s: float = 10.0
) -> AsyncIterator[LivePool]:
    async with (
        aclosing(PoolTransport(SSL_CONTEXT)) as http,
        open_live(redis_url, namespace, bbbs) as opened,
    ):
        lrs = LrsPayloads(
            TokenClient(http, deadline_s),
            opened.res.faults,
            deadline_s=deadline_s,
            random_bytes=lambda count: b"s" * count,
        )
        yield replace(opened, res=rewire(opened.res, tenants__lrs=lrs))


def caller(lrs: Lrs | None) -> Caller:
    return Caller(Tenant(TenantId("t-1"), "school", ("s",), lrs=lrs))


def payloads(bbb: BbbProcess) -> list[str | None]:
    """Return the payload of each create that a server received."""
    queries = [dict(parse_qsl(request["query"])) for request in bbb.requests("create")]
    return [query.get(PARAM) for query in queries]


def opened_by(bbb: BbbProcess) -> dict[str, str]:
    """Decrypt the only payload of a server with its secret."""
    (payload,) = payloads(bbb)
    raw = base64.b64decode(payload or "")
    derived = hashlib.pbkdf2_hmac("sha256", bbb.secret.encode(), raw[8:16], 10000, 48)
    cipher = Cipher(algorithms.AES(derived[:32]), modes.CBC(derived[32:])).decryptor()
    padded = cipher.update(raw[16:]) + cipher.finalize()
    content: dict[str, str] = json.loads(padded[: -padded[-1]])
    return content


async def test_server_gets_the_credentials_and_after_failover_the_next_one_does(
    pool: LivePool,
) -> None:
    pool.servers[0].add_fault("status", "create", status=503)

    await pool.create(caller=caller(BASIC))

    wanted = {"lrs_endpoint": ENDPOINT, "lrs_username": "u", "lrs_password": "p"}
    assert opened_by(pool.servers[0]) == opened_by(pool.servers[1]) == wanted
    assert payloads(pool.servers[0]) != payloads(pool.servers[1])


async def test_server_gets_a_token_and_creates_share_it(pool: LivePool) -> None:
    async with open_token_endpoint() as endpoint, trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(create, pool, f"room-{number}", endpoint)
    assert len(endpoint.asked) == 1
    sent = {payload for bbb in pool.servers for payload in payloads(bbb)}
    assert None not in sent
    busy = next(bbb for bbb in pool.servers if bbb.requests("create"))
    assert len(set(payloads(busy))) == 1


async def create(pool: LivePool, meeting_id: str, endpoint: TokenEndpoint) -> None:
    await pool.create(meeting_id, caller=caller(endpoint.lrs))


@pytest.mark.parametrize("failure", ["refused", "silent"])
async def test_create_goes_on_without_a_token(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], failure: str
) -> None:
    async with (
        open_token_endpoint() as endpoint,
        open_sealing(redis_url, redis_namespace, bbbs, deadline_s=0.3) as pool,
    ):
        endpoint.status = 403
        if failure == "silent":
            endpoint.gate = trio.Event()

        answers = [
            await pool.create(meeting_id, caller=caller(endpoint.lrs))
            for meeting_id in ("one", "two")
        ]

        assert [answer["returncode"] for answer in answers] == ["SUCCESS"] * 2
        assert [payload for bbb in bbbs for payload in payloads(bbb)] == [None, None]
        assert len(pool.log.named("lrs_token_failed")) == 1
        assert len(endpoint.asked) == 1


async def test_front_end_neither_sets_nor_sees_the_payload(pool: LivePool) -> None:
    forged = {PARAM: "mine", "meta_Secret-LRS-Payload": "mine"}

    await pool.create(caller=caller(BASIC), **forged)

    query = pool.servers[0].requests("create")[0]["query"]
    assert "mine" not in query
    assert "secret-lrs-payload" in pool.servers[0].meetings()["room"]["metadata"]
    params = (("meetingID", "room"),)
    for answer in (
        await meetings.get_meeting_info(pool.res.meetings, caller(BASIC), params),
        b"".join(await MeetingLists(pool.res.meetings).get(caller(BASIC), ())),
    ):
        assert b"<meetingID>room</meetingID>" in answer
        assert b"<tenant-id>t-1</tenant-id>" in answer
        assert b"secret-lrs-payload" not in answer


async def test_payload_of_a_front_end_is_its_own_matter_where_no_lrs_is_set(
    pool: LivePool,
) -> None:
    await pool.create(caller=caller(None), **{PARAM: "mine"})
    assert payloads(pool.servers[0]) == ["mine"]
