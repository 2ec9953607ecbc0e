"""Applications on Quart: paths as they are, and no limit on the time that a response takes."""

from __future__ import annotations

import pytest
from quart import Response
from quart_trio import QuartTrio

from appliance.http.quart_app import make_quart_app


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a/", "rest:"),
        ("/a//b/", "rest:/b/"),
        ("/a/x%0Ay", "rest:x\ny"),
        ("/a/exact", "exact"),
        ("/a/exact/", "rest:exact/"),
    ],
)
async def test_rest_of_a_path_may_be_anything(path: str, found: str) -> None:
    adapter = _app().url_map.bind("")
    rule, values = adapter.match(path.replace("%0A", "\n"))

    assert ":".join([rule, *values.values()]) == found


def _app() -> QuartTrio:
    app = make_quart_app(__name__)
    app.add_url_rule("/a/<rest:path>", "rest", _view)
    app.add_url_rule("/a/exact", "exact", _view)
    return app


async def _view(path: str = "") -> Response:
    return Response(path)
