"""What one call of the admin API is: its name and method, the operation behind it, its deadline.

The tables of calls are in admin_*_calls.py, one for each field of administration; admin_routes.py
serves them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from appliance.operations.resources import Resources
from appliance.web import admin_json as form
from appliance.web.admin_json import BadRequest, Json

SHORT_S = 15.0
LONG_S = 600.0
"""For calls that ask many servers, some of which may be dead."""

Answer = tuple[Any, int]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read: who makes it, and its fields from query and body."""

    who: str
    fields: Json

    @property
    def server_id(self) -> str:
        """Return the `id`, which may stand beside or inside `server`. Raises BadRequest."""
        found = form.text(self.fields, "id")
        found = found or form.text(form.server_fields(self.fields), "id")
        if not found:
            raise BadRequest("id is missing")
        return found


Handler = Callable[[Resources, Call], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class AdminCall:
    """One row of a table of calls."""

    name: str
    method: str
    handler: Handler
    deadline_s: float = SHORT_S
