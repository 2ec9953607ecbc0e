"""What goes wrong in a request: its answer, what is logged of it, and what never is."""

from __future__ import annotations

import logging
import time
import traceback
from pathlib import Path
from typing import Any

import pytest

from appliance.features import Features
from appliance.recordings.files import RecordingFiles
from appliance.recordings.imports.spool import Spool
from appliance.recordings.playback.served_files import ServedFiles
from tests.doubles.bbb_process import BbbProcess
from tests.doubles.features import open_features, rewire
from tests.doubles.import_tools import recording_settings
from tests.doubles.live_pool import open_live
from tests.doubles.pool_store import pool_store, with_store
from tests.doubles.public import (
    API,
    XML_TYPE,
    open_public,
    request,
    serve_public,
)
from tests.doubles.settings import SECRET
from tests.doubles.signing import sign_url
from tests.doubles.store_servers import private_redis

pytest_plugins = ["tests.doubles.live_pool_fixtures"]

PROBE = sign_url(API, "isMeetingRunning", "meetingID=abc", SECRET)

# --- errors ---------------------------------------------------------------------------------------


class DefectiveStore:
    """A store that raises what no store should, once it is told to."""

    background: Any = None

    def __init__(self, store: Any) -> None:
        self._store = store
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        if self.error is None:
            return getattr(self._store, name)
        return self._fail

    async def _fail(self, *_args: Any, **_named: Any) -> None:
        assert self.error is not None
        raise self.error


def with_defects(res: Features) -> tuple[Features, DefectiveStore]:
    """Put a store in front of that of these Resources that can be made defective."""
    store: Any = DefectiveStore(pool_store(res))
    return with_store(res, store), store


async def test_defect_is_an_internal_error_and_is_logged_without_the_query(
    redis_url: str, redis_namespace: str
) -> None:
    async with open_features(redis_url, redis_namespace) as sound:
        res, store = with_defects(sound)
        async with serve_public(res) as public:
            store.error = RuntimeError("a defect")
            answers = [await public.ask("GET", path) for path in (PROBE, "/health_check")]
            # Others go on.
            assert (await public.ask("GET", API)).returncode == "SUCCESS"

        assert [answer.status for answer in answers] == [200, 503]
        for answer in answers:
            assert (answer.returncode, answer.key) == ("FAILED", "internalError")
            assert answer.text("message") == "The request could not be handled."
        (name, fields), _ = public.log.errors
        assert name == "request_failed"
        assert fields["path"] == f"{API}/isMeetingRunning"
        assert str(fields["exc_info"]) == "a defect"
        assert "checksum" not in str(fields)


@pytest.mark.parametrize(
    ("method", "target", "status", "content_type", "text"),
    [
        ("POST", f"{API}/analytics_callback", 500, "text/plain", b"could not be handled"),
        ("PUT", "/scalelite/api/recordings/r1", 500, "text/plain", b"could not be handled"),
        ("GET", "/recording/r1/presentation", 503, "text/html", b"<h1>Recordings Not Available"),
        (
            "GET",
            sign_url(API, "sendChatMessage", "meetingID=abc", SECRET),
            200,
            "text/xml",
            b"<returncode>FAILED",
        ),
        (
            "GET",
            sign_url(API, "getRecordingTextTracks", "recordID=r1", SECRET),
            200,
            "application/json",
            b'"returncode": "FAILED"',
        ),
    ],
)
async def test_defect_is_reported_as_the_clients_of_a_route_expect(
    method: str,
    target: str,
    status: int,
    content_type: str,
    text: bytes,
    redis_url: str,
    redis_namespace: str,
    tmp_path: Path,
) -> None:
    async with open_features(redis_url, redis_namespace) as sound:
        wired, store = with_defects(sound)
        recordings = sound.settings.recordings
        res = rewire(
            wired,
            recordings__spool=Spool(recording_settings(tmp_path)),
            recordings__served=ServedFiles(recordings),
            recordings__store=store,
            recordings__files=RecordingFiles(recordings),
        )
        async with serve_public(res) as public:
            store.error = RuntimeError("a defect")
            answer = await public.ask(method, target, headers=["Authorization: Bearer x"])

        assert answer.status == status
        assert answer.headers["content-type"].partition(";")[0] == content_type
        assert text in answer.body
        ((name, _),) = public.log.errors
        assert name == "request_failed"


async def test_calls_say_within_a_second_that_redis_is_away(redis_namespace: str) -> None:
    with private_redis() as redis:
        async with open_public(redis.url, redis_namespace) as public:
            redis.process.terminate()
            redis.process.wait(40)
            for call in ("isMeetingRunning", "getMeetingInfo", "join", "create", "end"):
                began_s = time.monotonic()
                answer = await public.call(call, "meetingID=abc&fullName=A")
                took_s = time.monotonic() - began_s

                assert (answer.status, answer.key) == (200, "internalError")
                assert answer.text("message") == "The meeting store is not reachable."
                assert took_s < 10  # due at 0.9 s, but machines may be slow
            assert (await public.call("getMeetings")).key == "internalError"
            assert (await public.ask("GET", API)).returncode == "SUCCESS"
            assert not public.log.errors
            # Named once, not once per request.
            assert len(public.log.named("request_without_store")) >= 6
            warned = [name for level, name, _ in public.log.events if level == "warning"]
            assert warned.count("request_without_store") == 1


async def test_wrong_checksum_is_told_while_redis_is_away(redis_namespace: str) -> None:
    with private_redis() as redis:
        async with open_public(redis.url, redis_namespace) as public:
            redis.process.terminate()
            redis.process.wait(40)

            answer = await public.call("create", "meetingID=abc", secret="wrong")

    assert answer.key == "checksumError"


# --- the log --------------------------------------------------------------------------------------


async def test_nothing_signed_or_secret_is_logged(
    redis_url: str, redis_namespace: str, bbbs: list[BbbProcess], caplog: pytest.LogCaptureFixture
) -> None:
    """Everything that was logged at DEBUG, before any masking, tracebacks included."""
    caplog.set_level(logging.DEBUG)
    async with (
        open_live(redis_url, redis_namespace, bbbs) as pool,
        serve_public(with_defects(pool.res)[0]) as public,
    ):
        signed = {"meetingID": "room", "fullName": "A", "password": "pw-S3CRET", "role": "R"}
        create = {"meetingID": "room", "moderatorPW": "pw-S3CRET", "attendeePW": "pw-S3CRET"}
        bbbs[0].add_fault("status", "create", status=500, times=1)
        bbbs[1].add_fault("garbage", "getMeetingInfo", times=1)
        await public.call("create", create)
        await public.post_form("create", create)
        await public.post_xml("create", create, b"<modules/>")
        for call in ("join", "isMeetingRunning", "getMeetingInfo", "getMeetingInfo", "end"):
            await public.call(call, signed)
            await public.call(call, signed, secret="wr0ng")
        await public.raw(b"GET /bigbluebutton/api/join?password=pw-S3CRET\xff HTTP/1.1\r\n\r\n")
        await public.ask("GET", sign_url("/elsewhere", "join", signed, SECRET))
        async with await public.connect() as stream:
            target = sign_url(API, "create", create, SECRET)
            head = request("POST", target, headers=[XML_TYPE, "Content-Length: 999"])
            await stream.send_all(head + b"<modules>pw-S3CRET")
        store: Any = public.res.pool.records
        store.error = defect = RuntimeError("a defect")
        await public.call("isMeetingRunning", signed)
        logged = "\n".join([*map(describe, pool.log.events), *map(describe_record, caplog.records)])
        # The pool takes no other ERROR.
        pool.log.events[:] = [one for one in pool.log.events if one[2].get("exc_info") != defect]

    assert "create_failed_over" in logged
    assert "a defect" in logged
    for hidden in ("S3CRET", SECRET, "checksum=", *(bbb.secret for bbb in bbbs)):
        assert hidden not in logged


def describe(event: tuple[str, str, dict[str, Any]]) -> str:
    """Spell an event with its fields and tracebacks."""
    error = event[2].get("exc_info")
    lines = traceback.format_exception(error) if isinstance(error, Exception) else []
    return f"{event}{''.join(lines)}"


def describe_record(record: logging.LogRecord) -> str:
    """Spell a record of a library's."""
    return f"{record.name} {record.getMessage()} {record.exc_text or ''}"
