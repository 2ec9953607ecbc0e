"""Write the calls of docs/admin-api.md anew from the descriptions beside them (`make docs`)."""

from __future__ import annotations

from pathlib import Path

from appliance.admin.reference import render_reference
from appliance.admin.routes import CALLS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "admin-api.md"


def main() -> None:
    """Rewrite the page in place."""
    PAGE.write_text(render_reference(PAGE.read_text(), CALLS))


if __name__ == "__main__":
    main()
