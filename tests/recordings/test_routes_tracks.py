"""Captions over the wire: one file of a multipart body, and answers in JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from tests.doubles.public import API
from tests.doubles.recording_pool import RecordingPool, open_recording_pool
from tests.doubles.recordings import make_recording
from tests.doubles.settings import SECRET
from tests.doubles.signing import sign_url

DEADLINE_S = 40.0
JSON = "application/json; charset=utf-8"
SRT = b"1\n00:00:01,000 --> 00:00:02,000\nHello\n"


@pytest.fixture
def stores(redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path) -> Any:
    """Give what open_recording_pool wants."""

    def opened(**variables: str) -> Any:
        return open_recording_pool(redis_url, redis_namespace, database_url, tmp_path, **variables)

    return opened


async def upload(
    pool: RecordingPool, params: dict[str, str], parts: dict[str, tuple[str | None, bytes]]
) -> dict[str, Any]:
    """Put a text track and return the content of the answer."""
    url = f"http://127.0.0.1:{pool.public.port}"
    target = sign_url(API, "putRecordingTextTrack", params, SECRET)
    async with httpx.AsyncClient(base_url=url) as client:
        answer = await client.post(target, files=parts)
    assert answer.headers["content-type"] == JSON
    content: dict[str, Any] = answer.json()["response"]
    return content


async def test_text_tracks_are_put_and_listed(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            await pool.add(make_recording())
            params = {"recordID": "rec-1", "kind": "subtitles", "lang": "en-us", "label": "English"}
            parts: dict[str, tuple[str | None, bytes]] = {
                "recordID": (None, b"other"),
                "file": ("track.srt", SRT),
            }
            put = await upload(pool, params, parts)
            assert put == {
                "messageKey": "upload_text_track_success",
                "message": "Text track uploaded successfully",
                "recordId": "rec-1",
                "returncode": "SUCCESS",
            }
            written = pool.published / "presentation" / "rec-1" / "caption_en-US.vtt"
            assert written.read_bytes().startswith(b"WEBVTT\n")

            answer = await pool.public.call("getRecordingTextTracks", {"recordID": "rec-1"})
            assert answer.headers["content-type"] == JSON
            assert json.loads(answer.body)["response"] == {
                "returncode": "SUCCESS",
                "tracks": [
                    {
                        "href": "http://bbb.example/presentation/rec-1/caption_en-US.vtt",
                        "kind": "subtitles",
                        "label": "English",
                        "lang": "en-US",
                        "source": "upload",
                    }
                ],
            }


@pytest.mark.parametrize(
    ("change", "file", "key"),
    [
        ({"recordID": ""}, SRT, "missingParameter"),
        ({"kind": ""}, SRT, "missingParameter"),
        ({"lang": ""}, SRT, "missingParameter"),
        ({"kind": "songs"}, SRT, "invalidKind"),
        ({"lang": "../../x"}, SRT, "invalidLang"),
        ({"recordID": "unknown"}, SRT, "noRecordings"),
        ({}, b"", "empty_uploaded_text_track"),
        ({}, b"no captions", "upload_text_track_failed"),
    ],
)
async def test_text_tracks_are_refused(
    stores: Any, change: dict[str, str], file: bytes, key: str
) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            await pool.add(make_recording())
            params = {"recordID": "rec-1", "kind": "captions", "lang": "de"} | change

            answer = await upload(pool, params, {"file": ("t.srt", file)})

            assert answer["messageKey"] == key
            succeeded = key == "upload_text_track_failed"
            assert answer["returncode"] == ("SUCCESS" if succeeded else "FAILED")
            assert len(list((pool.published / "presentation" / "rec-1").iterdir())) == 1


async def test_text_track_calls_fail_in_json(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            for params, secret, key in (
                ({"recordID": "unknown"}, SECRET, "noRecordings"),
                ({}, SECRET, "missingParameter"),
                ({"recordID": "rec-1"}, "wrong", "checksumError"),
            ):
                answer = await pool.public.call("getRecordingTextTracks", params, secret=secret)
                assert json.loads(answer.body)["response"]["messageKey"] == key
