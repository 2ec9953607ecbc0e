"""The chapter about the admin calls: current, and made of what the calls say of themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.admin.reference import MARK, render_reference
from appliance.admin.routes import CALLS
from appliance.admin_calls.call import AdminCall
from appliance.admin_calls.schema import MAYBE_FLAG, TEXT, About, fields, told

PAGE = Path(__file__).resolve().parents[2] / "docs" / "admin-api.md"


def test_page_is_current() -> None:
    page = PAGE.read_text()

    assert render_reference(page, CALLS) == page, "run: make docs"


def test_call_is_shown_with_its_fields_and_examples() -> None:
    async def handler(*_: Any) -> Any:
        return {}, 200

    body = fields("id", id=told("Whose.", TEXT), sub=fields("x", x=MAYBE_FLAG))
    about = About(
        "things",
        "Does it.",
        TEXT,
        {"a": "b"},
        body=body,
        body_example={"id": "1"},
        refusals={404: "Nothing there."},
    )
    page = render_reference(f"head\n{MARK}old", [AdminCall("doIt", "POST", handler, about=about)])

    assert page.startswith(f"head\n{MARK}\n### Things\n\n#### POST /scalelite/api/doIt\n\nDoes it.")
    assert "| `id` | required | string. Whose. |\n| `sub.x` | required | true or false |" in page
    assert '    {"id": "1"}' in page
    assert "404: Nothing there." in page
    assert "old" not in page


def test_page_without_its_mark_is_refused() -> None:
    with pytest.raises(ValueError, match="mark"):
        render_reference("nothing here", CALLS)
