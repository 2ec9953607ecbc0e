"""The fixture `s3`: one S3 server per session. A pytest plugin, loaded by tests/conftest.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.s3 import S3Server, serve_s3


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """Give the session's S3 server."""
    with serve_s3() as server:
        yield server
