"""Quart-Trio applications with the settings that every listener needs, and short text responses.

Source: Quart's documentation, "Configuration"; werkzeug.routing.
"""

from __future__ import annotations

import json
from typing import Any

from quart import Response
from quart_trio import QuartTrio
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import BaseConverter

from appliance.http import messages


class _RestOfPath(BaseConverter):
    """Whatever follows in a path; Werkzeug's own `path` refuses the empty one and `//`."""

    regex = "(?s:.*)"
    part_isolating = False
    weight = 300
    """Tried last: the default converter has 100, `path` 200."""


def make_quart_app(name: str) -> QuartTrio:
    """Return an application without routes, which an Exchange runs.

    `name` is that of the calling module. Blueprints may use the converter `rest`. Paths are matched
    as they are, without redirects, and a response may take any time. Errors without a handler are
    raised to the caller.
    """
    app = QuartTrio(name, static_folder=None)
    app.config.update(
        PROPAGATE_EXCEPTIONS=True, PROVIDE_AUTOMATIC_OPTIONS=False, RESPONSE_TIMEOUT=None
    )
    app.url_map.converters["rest"] = _RestOfPath
    app.url_map.merge_slashes = False
    app.url_map.redirect_defaults = False
    return app


def text_response(status: int, line: str, headers: dict[str, str] | None = None) -> Response:
    """Return one line of plain text, for clients that are programs."""
    return Response(f"{line}\n", status, headers, content_type="text/plain; charset=utf-8")


def json_response(content: Any, status: int = 200) -> Response:
    """Return a JSON document."""
    body = json.dumps(content)
    return Response(body, status, content_type="application/json; charset=utf-8")


def to_quart(response: messages.Response) -> Response:
    """Return a response of plain ASGI as Quart's."""
    made = Response(response.body, response.status, content_type=response.content_type.decode())
    for name, value in response.headers:
        made.headers.add(name.decode("ascii"), value.decode("latin-1"))
    return made


def refuse_method(error: MethodNotAllowed) -> Response:
    """Return the response to a request whose route has other methods."""
    allowed = ", ".join(sorted(error.valid_methods or ()))
    return text_response(405, f"{allowed} only.", {"allow": allowed})
