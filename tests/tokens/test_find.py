"""Who a secret belongs to, and how fast secrets can be tried."""

from __future__ import annotations

from dataclasses import replace

from appliance.admin_calls.actors import Role
from appliance.tokens.find import (
    ADMIN_SECRET,
    MAX_FAILURES,
    WINDOW_S,
    AttemptLimiter,
    find_login,
    find_token,
)
from appliance.tokens.rules import Token, digest_of, is_name
from tests.doubles.features import open_features
from tests.doubles.settings import SECRET


async def test_secret_finds_its_token_and_nothing_else_does(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        token = Token("one", Role.OPERATOR, None, 5, None)
        await res.tokens.store.add(token, digest_of("sla_one"))

        found = await find_token(res.tokens, "sla_one")

        assert found is not None
        assert replace(found, last_used_ms=None) == token
        assert await find_token(res.tokens, "sla_on") is None
        assert await find_token(res.tokens, digest_of("sla_one")) is None
        assert await find_token(res.tokens, SECRET) is None  # it signs, and is no token


async def test_admin_secret_or_a_token_logs_in(redis_url: str, redis_namespace: str) -> None:
    async with open_features(redis_url, redis_namespace, ADMIN_SECRET="adm1n") as res:
        await res.tokens.store.add(Token("one", Role.VIEWER, None, 5, None), digest_of("sla_one"))

        admin = await find_login(res.tokens, digest_of("adm1n"))
        token = await find_login(res.tokens, digest_of("sla_one"))

        assert admin == Token(ADMIN_SECRET, Role.ADMIN, None, 0, None)
        assert not is_name(ADMIN_SECRET)
        assert token is not None
        assert (token.name, token.role) == ("one", Role.VIEWER)
        assert await find_login(res.tokens, digest_of(SECRET)) is None  # a front-end's


async def test_secret_of_front_ends_logs_in_without_an_admin_secret(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace) as res:
        found = await find_login(res.tokens, digest_of(SECRET))

        assert found is not None
        assert found.role is Role.ADMIN


def test_address_waits_after_too_many_failures_and_may_try_again_later() -> None:
    now_s = 100.0
    limiter = AttemptLimiter(lambda: now_s)
    for _ in range(MAX_FAILURES):
        assert limiter.wait_s("a") == 0
        limiter.note_failure("a")

    assert limiter.wait_s("a") == WINDOW_S
    assert limiter.wait_s("b") == 0
    now_s += WINDOW_S
    assert limiter.wait_s("a") == 0
    limiter.note_failure("a")
    assert limiter.wait_s("a") == 0


def test_limiter_remembers_a_bounded_number_of_addresses() -> None:
    limiter = AttemptLimiter(lambda: 0.0)
    for number in range(10_100):
        for _ in range(MAX_FAILURES):
            limiter.note_failure(str(number))

    assert limiter.wait_s("0") == 0
    assert limiter.wait_s("10099") == WINDOW_S
