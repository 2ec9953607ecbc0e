"""Which events are shown, and how they read."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import Any

import pytest

import appliance
from appliance.events.texts import FORMS, KINDS, describe, kind_of


@pytest.mark.parametrize(
    ("event", "fields", "text"),
    [
        (
            "server_offline",
            {"server": "bbb1", "reason": "connection refused", "detached_meetings": 2},
            "bbb1 is offline; it had 2 meetings: connection refused",
        ),
        (
            "server_state_set",
            {"server": "bbb1", "state": "cordoned", "before": "enabled", "by": "uid 0 (root)"},
            "bbb1 was set to cordoned, from enabled (by uid 0 (root))",
        ),
        ("recordings_changed", {"record_ids": list("abcde")}, "recordings were changed: a, b, c"),
        ("handback_prepared", {"on": True}, "the hand-back to Scalelite was prepared: on"),
        (
            "tenant_limits_changed",
            {"tenant": "school", "limits": {"max_users": "5", "max_meetings": ""}, "by": "me"},
            "limits of tenant school were changed: max_users=5, max_meetings= (by me)",
        ),
        ("meeting_moved", {"meeting": "m {x}"}, "m {x} was moved from ? to ?"),
        ("import_by_hand_broke", {"file": "a.tar", "n": 1}, "import by hand broke: file=a.tar n=1"),
    ],
)
def test_text_names_what_happened(event: str, fields: dict[str, Any], text: str) -> None:
    assert describe(event, fields).startswith(text)


def test_changes_of_limits_and_erasures_are_about_tenants() -> None:
    assert kind_of("tenant_limits_changed", "info", is_change=True) == "tenant"
    assert kind_of("traces_erased", "info", is_change=True) == "tenant"


def test_errors_are_shown_also_without_a_text_and_details_are_not() -> None:
    assert kind_of("server_online", "info") == "server"
    assert kind_of("something_new", "error") == "appliance"
    assert kind_of("something_new", "info", is_change=True) == "appliance"
    assert kind_of("something_new", "warning") is None


def test_every_event_with_a_text_is_logged_somewhere() -> None:
    root = Path(appliance.__file__).parent
    sources = [path for path in root.rglob("*.py") if path.parent.name != "events"]
    names = set(re.findall(r'"([a-z_]+)"', "\n".join(path.read_text() for path in sources)))

    assert set(KINDS) <= names


def test_texts_have_named_fields_only() -> None:
    assert all(
        name
        for form in FORMS.values()
        for _, name, _, _ in Formatter().parse(form)
        if name is not None
    )
