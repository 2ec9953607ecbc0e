"""The names under which requests are counted."""

from __future__ import annotations

import pytest

from appliance.bbb import errors
from appliance.bbb.errors import Failure
from appliance.bbb.request_metrics import CallNames, result_of
from appliance.bbb.xml import render_error
from appliance.http.messages import Response

NAMES = CallNames("/bigbluebutton/api", ["create", "join"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/bigbluebutton/api/create", "create"),
        ("/bigbluebutton/api/join", "join"),
        ("/bigbluebutton/api", "index"),
        ("/bigbluebutton/api/", "index"),
        ("/bigbluebutton/api/made-up", "unsupported"),
        ("/bigbluebutton/api/create/x", "unsupported"),
        ("/health_check", "health_check"),
        ("/", "health_check"),
        ("/fsapi", "fsapi"),
        ("/metrics", "metrics"),
        ("/scalelite/api/getServers", "admin"),
        ("/scalelite/api/recordings/x", "upload"),
        ("/recording/x/video", "playback"),
        ("/presentation/x/y.png", "other"),
        ("/made-up", "other"),
    ],
)
def test_path_has_a_name_from_a_small_set(path: str, name: str) -> None:
    assert NAMES.of(path) == name


def failed(failure: Failure) -> Response:
    return Response(200, b"application/xml", render_error(failure.key, failure.message))


@pytest.mark.parametrize(
    ("response", "result"),
    [
        (Response(200, b"", b"<response><returncode>SUCCESS</returncode></response>"), "ok"),
        (Response(302, b"", b""), "ok"),
        (Response(404, b"", b""), "refused"),
        (Response(503, b"", b""), "error"),
        (failed(errors.CHECKSUM_ERROR), "refused"),
        (failed(errors.NO_SERVER_AVAILABLE), "error"),
        (failed(errors.STORE_DOWN), "error"),
        (
            Response(200, b"", b'<?xml version="1.0"?>\n<response>\n  <returncode>FAILED</retur'),
            "refused",
        ),
    ],
)
def test_result_is_what_the_answer_says(response: Response, result: str) -> None:
    assert result_of(response.status, response.body) == result
