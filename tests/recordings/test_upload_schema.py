"""The OpenAPI description of the upload of recordings."""

from __future__ import annotations

import re

import pytest

from appliance.recordings.recording import is_record_id
from appliance.recordings.upload_schema import UPLOAD


@pytest.mark.parametrize("text", ["r1", "a" * 255, "a" * 256, "", "..", "a/b", "a b"])
def test_record_id_is_what_the_route_takes(text: str) -> None:
    (parameter,) = UPLOAD["put"]["parameters"]
    assert bool(re.search(parameter["schema"]["pattern"], text)) is is_record_id(text)
