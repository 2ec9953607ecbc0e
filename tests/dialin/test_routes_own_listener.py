"""/fsapi on a listener of its own, FSAPI_BIND."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from appliance.dialin.routes import DialplanApp
from tests.doubles.dialplan import basic, form
from tests.doubles.features import open_features
from tests.doubles.pool_store import with_store
from tests.doubles.public import (
    FORM_TYPE,
    LINGER,
    Public,
    open_public,
    read_answer,
    request,
    serving,
)
from tests.doubles.settings import SECRET

AUTHORIZED = basic("fsapi", SECRET)


@asynccontextmanager
async def own_listener(
    redis_url: str, namespace: str, *, faulty: bool = False, **variables: str
) -> AsyncIterator[Public]:
    """Serve the application of FSAPI_BIND alone."""
    variables = {"FSAPI_BIND": "tcp://127.0.0.1:0", **variables}
    async with open_features(redis_url, namespace, log=None, **variables) as res:
        (bind,) = res.settings.fsapi.binds
        web = replace(res.settings.web, binds=(bind,))
        if faulty:
            res = with_store(res, FaultyStore())
        async with serving(DialplanApp(res.dialin, LINGER), web, res.log) as (_, urls, _):
            yield Public(res, int(urls[0].rpartition(":")[2]))


async def test_own_listener_answers_for_any_host(redis_url: str, redis_namespace: str) -> None:
    async with own_listener(redis_url, redis_namespace, URL_HOST="bbb.example") as public:
        headers = [FORM_TYPE, AUTHORIZED, "X-Request-ID: abc"]
        answer = await public.ask(
            "POST", "/fsapi", headers=headers, body=form("call"), host="10.0.0.5:3001"
        )

        assert answer.status == 200
        assert b"match_did_and_prompt_for_pin" in answer.body
        assert answer.headers["x-request-id"] == "abc"
        refused = await public.ask("POST", "/fsapi", headers=[FORM_TYPE], body=form("call"))
        assert refused.status == 401
        counted = {labels: counts[-1] for labels, counts, _ in public.res.metrics.requests.read()}
        assert counted == {("fsapi", "ok"): 1, ("fsapi", "refused"): 1}


@pytest.mark.parametrize(
    "path", ["/", "/health_check", "/bigbluebutton/api", "/fsapi/x", "/fsapi%2f..", "*"]
)
async def test_own_listener_has_nothing_else(
    redis_url: str, redis_namespace: str, path: str
) -> None:
    async with own_listener(redis_url, redis_namespace) as public:
        assert (await public.ask("GET", path)).status == 404


async def test_endpoint_is_not_public_when_it_has_a_listener_of_its_own(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_public(redis_url, redis_namespace, FSAPI_BIND="tcp://127.0.0.1:0") as public:
        headers = [FORM_TYPE, AUTHORIZED]
        answer = await public.ask("POST", "/fsapi", headers=headers, body=form("call"))

        assert answer.status == 404


class FaultyStore:
    """A store that has a fault of ours."""

    async def find_voice_bridge(self, *_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")


async def test_own_listener_survives_an_error(redis_url: str, redis_namespace: str) -> None:
    async with own_listener(redis_url, redis_namespace, faulty=True) as public:
        headers = [FORM_TYPE, AUTHORIZED]
        async with await public.connect() as stream:
            for name, status in (("pin", 500), ("call", 200)):
                await stream.send_all(request("POST", "/fsapi", headers=headers, body=form(name)))
                assert (await read_answer(stream)).status == status

        assert [name for name, _ in public.log.errors] == ["request_failed"]
