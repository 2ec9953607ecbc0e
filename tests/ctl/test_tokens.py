"""`ctl tokens`, on a running control socket."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest

from appliance.features import Features
from appliance.tokens.find import find_token
from tests.doubles.control import ControlDouble, open_control
from tests.doubles.features import open_features


@pytest.fixture
async def res(redis_url: str, redis_namespace: str) -> AsyncIterator[Features]:
    """Give features with multitenancy."""
    async with open_features(redis_url, redis_namespace, MULTITENANCY_ENABLED="true") as opened:
        yield opened


@pytest.fixture
async def control(res: Features) -> AsyncIterator[ControlDouble]:
    """Give their control socket."""
    async with open_control(res) as opened:
        yield opened


async def test_token_is_added_listed_used_and_revoked(
    res: Features, control: ControlDouble
) -> None:
    added = await control.ctl("tokens", "add", "mon", "--role", "viewer", "--days", "2")

    assert added.code == 0
    assert re.fullmatch(r"sla_[A-Za-z0-9_-]{43}\n", added.out)
    (listed,) = (await control.ctl("tokens", "list", "--json")).json
    times = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
    assert set(listed) == {"name", "role", "tenant", "created", "expires", "last_used"}
    assert (listed["name"], listed["role"], listed["tenant"]) == ("mon", "viewer", None)
    assert re.fullmatch(times, listed["created"])
    assert re.fullmatch(times, listed["expires"])
    assert listed["last_used"] is None

    assert await find_token(res.tokens, added.out.strip()) is not None
    shown = await control.ctl("tokens", "list")
    assert "never" not in shown.out
    assert added.out.strip() not in shown.out
    assert added.out.strip() not in str(res.log)

    revoked = await control.ctl("tokens", "revoke", "mon")
    assert (revoked.code, revoked.out) == (0, "Token mon was revoked.\n")
    assert await find_token(res.tokens, added.out.strip()) is None
    again = await control.ctl("tokens", "revoke", "mon")
    assert (again.code, again.err) == (1, "there is no token named mon\n")


@pytest.mark.parametrize("word", ["school", "SCHOOL", "id", "scho"])
async def test_tenant_is_given_by_name_or_id(
    word: str, res: Features, control: ControlDouble
) -> None:
    tenant = await control.post("addTenant", {"tenant": {"name": "school", "secrets": "s"}})
    given = tenant["id"] if word == "id" else word

    words = ("tokens", "add", "t", "--role", "operator", "--tenant", given, "--json")
    added = (await control.ctl(*words)).json

    assert (added["tenant"], added["role"]) == ("school", "operator")
    found = await find_token(res.tokens, added["token"])
    assert found is not None
    assert found.tenant_id == tenant["id"]


async def test_api_takes_the_name_of_a_tenant_too(control: ControlDouble) -> None:
    await control.post("addTenant", {"tenant": {"name": "school", "secrets": "s"}})

    added = await control.post("addToken", {"name": "t", "role": "viewer", "tenant": "School"})

    assert added["tenant"] == "school"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("add", "mon", "--role", "viewer"), 1),  # the name is taken
        (("add", "new"), 2),
        (("add", "new", "--role", "root"), 2),
        (("add", "new", "--role", "viewer", "--days", "0"), 2),
        (("add", "new", "--role", "viewer", "--days", "x"), 2),
        (("add", "new", "--role", "viewer", "--days", "99999"), 1),
        (("add", "a b", "--role", "viewer"), 1),
        (("add", "new", "--role", "viewer", "--tenant", "nope"), 1),
        (("revoke", "nope"), 1),
    ],
)
async def test_bad_word_is_refused_in_one_line(
    words: tuple[str, ...], code: int, control: ControlDouble
) -> None:
    await control.post("addToken", {"name": "mon", "role": "viewer"})

    done = await control.ctl("tokens", *words)

    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert [one["name"] for one in await control.get("listTokens")] == ["mon"]
