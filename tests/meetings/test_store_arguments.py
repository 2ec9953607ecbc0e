"""What the scripts are given: nothing that cjson reads otherwise than it was meant."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from appliance.meetings.placement import PlacementRequest, Replaced, TagRequest
from appliance.meetings.store import placement_arguments
from appliance.model import MeetingId, PlacementRules, ServerId
from appliance.servers.load import observation_arguments
from appliance.servers.model import (
    Observation,
)
from appliance.servers.store import change_arguments
from appliance.servers.values import ServerChange

RULES = PlacementRules(creating_ms=1000)
REQUEST = PlacementRequest(
    meeting_id=MeetingId("m"),
    tenant_id=None,
    moderator_pw=None,
    new_moderator_pw="pw",
    voice_bridges=("1",),
    now_ms=1_700_000_000_123,
    tie_breaker=0.5,
)
SEEN = Observation(ServerId("a"), 1, 2, 0.0, 0, 0, 0, 0, ())


def rendered(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(placement_arguments(replace(REQUEST, **fields), RULES))
    return found


OPTIONAL = {"moderator_pw", "only_server", "tags", "size_hint", "max_participants", "replaces"}


def test_placement_arguments_lack_optional_fields_when_not_requested() -> None:
    # cjson.null is true in Lua.
    assert not OPTIONAL & set(rendered())
    assert None not in rendered().values()


def test_placement_arguments_hold_what_is_requested() -> None:
    found = rendered(
        moderator_pw="",
        tag=TagRequest(("big",), required=True),
        size_hint=0,
        max_participants=3,
        replaces=Replaced(ServerId("a"), 7),
        excluded=frozenset({ServerId("b")}),
        only_server=ServerId("c"),
    )
    assert set(found) >= OPTIONAL
    assert (found["moderator_pw"], found["size_hint"]) == ("", 0)
    assert (found["tags"], found["tag_required"]) == (["big"], True)
    assert found["excluded"] == {"b": True}
    assert found["creating_until_ms"] == REQUEST.now_ms + 1000
    assert found["replaces"] == {"server_id": "a", "placement": 7}


def test_text_that_is_no_utf8_is_not_escaped() -> None:
    odd = b"\xff".decode("utf-8", "surrogateescape")
    written = placement_arguments(replace(REQUEST, meeting_id=MeetingId(odd)), RULES)
    assert '"id": "\udcff"' in written


@pytest.mark.parametrize("load", [float("nan"), float("inf")])
def test_sum_of_joins_that_is_no_number_is_refused(load: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        observation_arguments(replace(SEEN, joins_before=load), RULES, healthy_threshold=1)


def test_version_that_was_not_read_is_absent() -> None:
    without = json.loads(observation_arguments(SEEN, RULES, healthy_threshold=1))
    assert "bbb_version" not in without
    seen = replace(SEEN, bbb_version="3.0")
    assert json.loads(observation_arguments(seen, RULES, healthy_threshold=1))["bbb_version"]


@pytest.mark.parametrize(
    ("change", "fields", "removed", "own", "removed_own"),
    [
        (ServerChange(), {}, [], {}, []),
        (ServerChange(url="u", secret="s"), {"url": "u", "secret": "s"}, [], {}, []),
        (ServerChange(load_multiplier=2.0), {"load_multiplier": "2.0"}, [], {}, []),
        (ServerChange(tag="t"), {"tag": "t"}, [], {}, []),
        (ServerChange(tag=""), {}, ["tag"], {}, []),
        (ServerChange(max_users=5), {}, [], {"max_users": "5"}, []),
        (ServerChange(max_users=0), {}, [], {}, ["max_users"]),
    ],
)
def test_change_is_given(
    change: ServerChange,
    fields: dict[str, str],
    removed: list[str],
    own: dict[str, str],
    removed_own: list[str],
) -> None:
    assert json.loads(change_arguments(ServerId("a"), change, new=True, fields={"x": "y"})) == {
        "id": "a",
        "new": True,
        "fields": {"x": "y", **fields},
        "removed": removed,
        "own": own,
        "removed_own": removed_own,
    }
