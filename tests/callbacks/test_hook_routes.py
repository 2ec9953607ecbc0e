"""The calls about web hooks over real HTTP, signed and not."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.doubles.public import Public, open_public

HOOK = {"callbackURL": "https://lms.example.org/hook?a=1&b=2"}


@pytest.fixture
async def public(redis_url: str, redis_namespace: str) -> AsyncIterator[Public]:
    """Give a listener without servers."""
    async with open_public(redis_url, redis_namespace) as opened:
        yield opened


async def test_hook_lives_from_create_to_destroy(public: Public) -> None:
    created = await public.call("hooks/create", HOOK)
    assert created.headers["content-type"] == "text/xml; charset=utf-8"
    assert (created.returncode, created.text("hookID")) == ("SUCCESS", "1")
    listed = await public.call("hooks/list")
    assert listed.text("callbackURL") == HOOK["callbackURL"]
    destroyed = await public.post_form("hooks/destroy", {"hookID": "1"})
    assert destroyed.text("removed") == "true"
    assert (await public.call("hooks/list")).text("hookID") is None


@pytest.mark.parametrize("call", ["hooks/create", "hooks/list", "hooks/destroy"])
async def test_call_must_be_signed(public: Public, call: str) -> None:
    answer = await public.call(call, HOOK, secret="another secret of thirty-two letters")
    assert answer.key == "checksumError"
    assert (await public.call("hooks/list")).text("hookID") is None


@pytest.mark.parametrize(
    ("call", "key"),
    [("hooks/create", "missingParamCallbackURL"), ("hooks/destroy", "missingParamHookID")],
)
async def test_missing_parameter_is_told(public: Public, call: str, key: str) -> None:
    answer = await public.call(call)
    assert (answer.status, answer.returncode, answer.key) == (200, "FAILED", key)
