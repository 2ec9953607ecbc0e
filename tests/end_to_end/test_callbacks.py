"""A recording that is ready is told to its front-end, whatever was down in between."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from tests.doubles.appliance_client import FrontEnd
from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.callback_sink import CallbackSink, callback_sink
from tests.doubles.postgres_process import PostgresProcess, postgres_process
from tests.doubles.recording_tars import recording_tar
from tests.doubles.store_servers import RedisServer

DATABASE_PW = "database-pw-51c7"
PATH = "/ready?course=7&token=front-end-token-77"
SECOND = secrets.token_hex(20)
WITHIN_S = 60.0


@pytest.fixture
def database() -> Iterator[PostgresProcess]:
    """Give a PostgreSQL that is not running."""
    with postgres_process(DATABASE_PW) as server:
        yield server


@pytest.fixture
def sink() -> Iterator[CallbackSink]:
    with callback_sink() as opened:
        yield opened


@pytest.fixture
def bbb() -> Iterator[BbbProcess]:
    with BbbProcess() as server:
        yield server


@pytest.fixture
def appliance(
    tmp_path: Path, redis_server: RedisServer, database: PostgresProcess, bbb: BbbProcess
) -> Iterator[ApplianceProcess]:
    """Give an appliance whose database is away."""
    started = ApplianceProcess(
        tmp_path,
        REDIS_URL=redis_server.url,
        REDIS_NAMESPACE=f"t{uuid.uuid4().hex[:12]}",
        DATABASE_URL=database.url,
        LOADBALANCER_SECRETS=SECOND,
        SECRET_KEY_BASE="k" * 64,
        POLL_INTERVAL="600",
        RECORDING_IMPORT_POLL_INTERVAL="1",
    )
    started.sensitive |= {DATABASE_PW, SECOND, "front-end-token-77"}
    with started:
        started.add_server(bbb)
        yield started


def test_recording_is_told_to_its_front_end_through_every_outage(
    appliance: ApplianceProcess,
    database: PostgresProcess,
    sink: CallbackSink,
    bbb: BbbProcess,
    tmp_path: Path,
) -> None:
    # The database is away, and the create does not wait for it.
    front = FrontEnd(appliance.front.port, SECOND)
    url = sink.url(PATH)
    created = front.create("math", **{"meta_bn-recording-ready-url": url, "record": "true"})
    assert created.returncode == "SUCCESS"
    assert "ready" not in bbb.requests("create")[0]["query"]
    appliance.kill()  # at once after the answer
    database.start()
    sink.status = 503
    appliance.start()
    appliance.wait_event("database_ready", WITHIN_S)
    tar = recording_tar(tmp_path, "rec-1", meeting_id="math")
    tar.rename(appliance.spool / tar.name)
    appliance.wait_event("callback_retried", WITHIN_S, kind="recording_ready")
    assert callback_data(database) == f"math|---|:recording_ready_url: {url}|t"
    appliance.kill()
    failed = len(sink.received)
    sink.status = 200
    appliance.start()
    wait_for(lambda: len(sink.received) > failed, WITHIN_S, "the callback is sent")
    appliance.wait_event("callback_sent", WITHIN_S)

    tokens = sink.tokens(PATH)
    assert len(tokens) == len(sink.received) == failed + 1
    for token in tokens:  # by the secret of the create each time, though it is not the first one
        claims = jwt.decode(token, SECOND, ["HS256"])
        assert claims == {"meeting_id": "math", "record_id": "rec-1"}
    listed = json.loads(appliance.ctl("callbacks", "list", "--json").stdout)
    assert [(one["state"], one["url"]) for one in listed] == [("done", url)]


def callback_data(database: PostgresProcess) -> str:
    """Return the row, its lines joined, and whether it is linked to the recording."""
    return database.sql(
        "SELECT d.meeting_id, replace(rtrim(d.callback_attributes, E'\\n'), E'\\n', '|'),"
        " r.record_id = 'rec-1' FROM callback_data d JOIN recordings r ON r.id = d.recording_id"
    ).strip()
