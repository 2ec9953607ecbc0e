"""One S3 server, and one process that works on objects, per session.

A pytest plugin, loaded by tests/conftest.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest

from appliance.recordings.objects.worker import ObjectWorker
from tests.doubles.features import EventBook
from tests.doubles.s3 import S3Server, serve_s3


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """Give the session's S3 server."""
    with serve_s3() as server:
        yield server


@pytest.fixture(scope="session")
def object_worker() -> Iterator[ObjectWorker]:
    """Give the session's process, which must live to the end."""
    book = EventBook()
    worker = ObjectWorker(cast(Any, book))
    yield worker
    worker.close()
    assert book.events == []
