"""The chapter about the admin calls: current, and made of what the calls say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pytest
from msgspec import Meta

from appliance.admin.reference import MARK, render_reference
from appliance.admin.routes import CALLS
from appliance.admin_calls.actors import Role
from appliance.admin_calls.call import AdminCall, Answer, Call
from appliance.admin_calls.fields import Fields, Flag, RequiredText, one_of

PAGE = Path(__file__).resolve().parents[2] / "docs" / "admin-api.md"


def test_page_is_current() -> None:
    page = PAGE.read_text()

    assert render_reference(page, CALLS) == page, "run: make docs"


class InnerFields(Fields, frozen=True):
    """Fields in a record."""

    x: Annotated[Flag, Meta(description="Whether.")]


class OuterFields(Fields, frozen=True):
    """A request."""

    id: Annotated[RequiredText, Meta(description="Whose.")]
    sub: InnerFields
    word: Annotated[str | None, one_of("one", "two", refusal="{}")] = None


class ThingJson(Answer, frozen=True):
    """An answer."""

    a: str


async def do_it(deps: None, call: Call[OuterFields]) -> ThingJson:
    """Do it."""
    return ThingJson(call.read().id)


def test_call_is_shown_with_its_fields_and_examples() -> None:
    call = AdminCall(
        "doIt",
        "POST",
        do_it,
        "things",
        "Does it.",
        ThingJson("b"),
        request={"id": "1"},
        refusals={404: "Nothing there."},
        role=Role.OPERATOR,
        of_tenants=True,
    )
    page = render_reference(f"head\n{MARK}old", [call])

    assert page.startswith(
        f"head\n{MARK}\n### Things\n\n#### POST /scalelite/api/doIt\n\nDoes it. "
    )
    assert "Does it. Role: operator, also of a tenant.\n" in page
    assert "| `id` | required | string. Whose. |\n" in page
    assert "| `sub.x` | required | true or false. Whether. |\n" in page
    assert "| `word` |  | `one`, `two` |\n" in page
    assert '    {"id": "1"}\n\n200:\n\n    {"a": "b"}\n' in page
    assert "404: Nothing there." in page
    assert "old" not in page


def test_page_without_its_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="mark"):
        render_reference("nothing here", CALLS)
