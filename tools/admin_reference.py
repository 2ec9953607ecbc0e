"""Generates the calls in docs/admin-api.md from their declarations in the code (`make docs`)."""

from __future__ import annotations

from pathlib import Path

from appliance.admin.reference import render_reference
from appliance.admin.routes import CALLS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "admin-api.md"


def main() -> None:
    """Rewrite the page."""
    PAGE.write_text(render_reference(PAGE.read_text(), CALLS))


if __name__ == "__main__":
    main()
