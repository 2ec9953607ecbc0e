"""What is said of the upload of recordings is what the sender's script and the importer keep to."""

from __future__ import annotations

import re

import pytest

from appliance.recordings.recording import is_record_id
from appliance.recordings.uploads.routes import UPLOAD_PREFIX
from appliance.recordings.uploads.schema import UPLOAD, UPLOAD_PATH


def test_address_is_that_of_the_route() -> None:
    (parameter,) = UPLOAD["put"]["parameters"]
    assert f"{UPLOAD_PREFIX}{{{parameter['name']}}}" == UPLOAD_PATH


@pytest.mark.parametrize("text", ["r1", "a" * 255, "a" * 256, "", "..", "a/b", "a b"])
def test_record_id_is_what_the_route_takes(text: str) -> None:
    (parameter,) = UPLOAD["put"]["parameters"]
    assert bool(re.search(parameter["schema"]["pattern"], text)) is is_record_id(text)
