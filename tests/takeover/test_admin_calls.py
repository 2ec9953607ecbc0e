"""The admin calls of a takeover over the control socket."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.ctl.client import Refusal
from tests.doubles.control import open_control
from tests.doubles.features import open_features
from tests.doubles.scalelite_data import load_scalelite_data


async def test_steps_lead_from_part_to_part(redis_url: str, redis_namespace: str) -> None:
    async with (
        open_features(redis_url, redis_namespace, MULTITENANCY_ENABLED="true") as res,
        open_control(res) as control,
    ):
        await load_scalelite_data(res.redis.background.client, redis_namespace)
        parts: list[tuple[str, bool]] = []
        cursor: dict[str, Any] | None = {"part": "pool", "after": 0}
        while cursor is not None:
            query = {name: str(value) for name, value in cursor.items()}
            document = await control.get("checkTakeover", **query)
            parts.append((cursor["part"], len(document["findings"]) > 0))
            cursor = document["next"]

    assert parts == [(part, True) for part in ("pool", "servers", "directories", "database")]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"part": "everything"}, "the inspection has no part 'everything'"),
        ({"part": "pool", "after": "-1"}, "after must be a whole number, as `next` of an answer"),
        ({"part": "pool", "after": "x"}, "after must be a whole number, as `next` of an answer"),
        ({"part": "recordings", "after": "0"}, "there are no recordings here"),
    ],
)
async def test_step_is_refused_when_it_does_not_exist(
    redis_url: str, redis_namespace: str, query: dict[str, str], reason: str
) -> None:
    async with open_features(redis_url, redis_namespace) as res, open_control(res) as control:
        with pytest.raises(Refusal, match=reason):
            await control.get("checkTakeover", **query)


@pytest.mark.parametrize("after", [True, 1.5, [], "1e3", 10**18])
async def test_healing_accepts_whole_numbers_only(
    redis_url: str, redis_namespace: str, after: Any
) -> None:
    async with open_features(redis_url, redis_namespace) as res, open_control(res) as control:
        with pytest.raises(Refusal, match="after must be a whole number"):
            await control.post("healTakeover", {"part": "recordings", "after": after})
