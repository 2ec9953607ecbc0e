"""The recording calls over the wire: real PostgreSQL, real files, real HTTP."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
from lxml import etree

from appliance.recordings.listing import CHUNK_ROWS
from tests.doubles.public import API, Answer, open_public
from tests.doubles.recording_pool import open_recording_pool
from tests.doubles.recordings import fill, make_format, make_recording
from tests.doubles.settings import SECRET
from tests.doubles.signing import sign_url

DEADLINE_S = 40.0
XML = "text/xml; charset=utf-8"
CALLS = {
    "getRecordings": {},
    "publishRecordings": {"recordID": "rec-1", "publish": "true"},
    "updateRecordings": {"recordID": "rec-1", "meta_a": "1"},
    "deleteRecordings": {"recordID": "rec-1"},
    "getRecordingTextTracks": {"recordID": "rec-1"},
}


@pytest.fixture
def stores(redis_url: str, redis_namespace: str, database_url: str, tmp_path: Path) -> Any:
    """Give what open_recording_pool wants."""

    def opened(**variables: str) -> Any:
        return open_recording_pool(redis_url, redis_namespace, database_url, tmp_path, **variables)

    return opened


def ids(answer: Answer) -> list[str]:
    """Return the recordIDs of a listing."""
    root = etree.fromstring(answer.body)
    return [element.text or "" for element in root.iterfind("recordings/recording/recordID")]


async def test_recordings_are_listed(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            old = make_recording("old", start_ms=1)
            hidden = make_recording("hidden", published=False, meeting_id="other")
            await pool.add(old, make_recording("new"), hidden)

            answer = await pool.public.call("getRecordings")
            assert (answer.status, answer.headers["content-type"]) == (200, XML)
            assert answer.returncode == "SUCCESS"
            assert ids(answer) == ["hidden", "new", "old"]
            assert answer.text("url") == "http://bbb.example/playback/presentation/2.3/hidden"
            assert answer.text("messageKey") is None
            for query, expected in (
                ("meetingID=other", ["hidden"]),
                ("recordID=n%2Co", ["new", "old"]),
                ("state=unpublished", ["hidden"]),
                ("limit=1&offset=1", ["new"]),
                ("meta_bbb-origin=moodle,greenlight&meetingID=math", ["new", "old"]),
            ):
                assert ids(await pool.public.call("getRecordings", query)) == expected
            posted = await pool.public.post_form("getRecordings", {"meetingID": "other"})
            assert ids(posted) == ["hidden"]


@pytest.mark.parametrize(
    ("query", "expected", "pageable"),
    [
        ("offset=1&limit=1", ["b"], "1 1 3 false"),
        ("limit=2", ["c", "b"], "0 2 3 false"),
        ("offset=1", ["b", "a"], "1 3 3 false"),
        ("offset=1&limit=9&meetingID=other", [], "1 9 1 true"),
        ("limit=0", [], "0 0 3 true"),
        ("limit=5&meetingID=%2C", [], "0 5 0 true"),
        ("limit=x&offset=-1", ["c", "b", "a"], None),
        ("meetingID=unknown", [], None),
    ],
)
async def test_page_of_recordings_has_its_place_in_all(
    stores: Any, query: str, expected: list[str], pageable: str | None
) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            for number, record_id in enumerate("abc"):
                meeting_id = "other" if record_id == "a" else "math"
                await pool.add(
                    make_recording(record_id, start_ms=number + 1, meeting_id=meeting_id)
                )
            answer = await pool.public.call("getRecordings", query)

            assert (answer.returncode, ids(answer)) == ("SUCCESS", expected)
            found = etree.fromstring(answer.body).find("pagination")
            if pageable is None:
                assert found is None
                return
            assert found is not None
            paths = ("pageable/offset", "pageable/limit", "totalElements", "empty")
            assert " ".join(found.findtext(path) or "" for path in paths) == pageable
            assert found.findtext("pageable/paged") == "true"
            assert found.findtext("pageable/unpaged") == "false"


@pytest.mark.parametrize(
    "query", ["meetingID=unknown", "meetingID=%2C", "recordID=%00", "limit=0", "meta_x=1"]
)
async def test_nothing_found_says_so(stores: Any, query: str) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            await pool.add(make_recording())
            answer = await pool.public.call("getRecordings", query)

            assert (answer.returncode, answer.key) == ("SUCCESS", "noRecordings")
            assert answer.text("message") == "There are not recordings for the meetings"


async def test_urls_are_those_that_the_client_asked_by(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            await pool.add(make_recording())
            answer = await pool.public.call(
                "getRecordings",
                host="balancer:8080",
                headers=["X-Forwarded-Proto: https", "X-Forwarded-Host: rec.example:444"],
            )
            expected = "https://rec.example:444/playback/presentation/2.3/rec-1"
            assert answer.text("url") == expected
            plain = await pool.public.call("getRecordings", host="balancer:8080")
            assert (plain.text("url") or "").startswith("http://balancer:8080/")


async def test_protected_recordings_have_one_time_links(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores(PROTECTED_RECORDINGS_ENABLED="true") as pool:
            formats = (make_format("presentation"), make_format("video"))
            await pool.add(make_recording("open"), make_recording("shut", formats=formats))
            await pool.public.call("updateRecordings", {"recordID": "shut", "protect": "true"})

            answer = await pool.public.call("getRecordings")
            root = etree.fromstring(answer.body)
            found = {
                one.findtext("recordID"): [url.text for url in one.iterfind(".//url")]
                for one in root.iterfind("recordings/recording")
            }
            assert found["shut"] == [
                "http://bbb.example/recording/shut/presentation?token=token-1",
                "http://bbb.example/recording/shut/video?token=token-2",
            ]
            assert found["open"] == ["http://bbb.example/playback/presentation/2.3/open"]
            assert pool.tokens.issued == [("shut", "presentation"), ("shut", "video")]
            assert [one.findtext("protected") for one in root.iterfind(".//recording")] == [
                "true",
                "false",
            ]


async def test_filter_can_be_demanded(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores(GET_RECORDINGS_API_FILTERED="true") as pool:
            await pool.add(make_recording())
            refused = await pool.public.call("getRecordings", "state=any&meetingID=")
            assert refused.key == "missingParameters"
            assert refused.text("message") == "param meetingID or recordID must be included."
            assert ids(await pool.public.call("getRecordings", "meetingID=math")) == ["rec-1"]


async def test_what_xml_cannot_hold_spoils_no_answer(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            odd = make_recording("odd", name="bell\x07", metadata=(("a b", "x"), ("ok", "\x01y")))
            await pool.add(odd, make_recording("fine"))

            answer = await pool.public.call("getRecordings")

            assert sorted(ids(answer)) == ["fine", "odd"]
            assert answer.text("ok") == "y"
            (warning,) = pool.public.log.named("recordings_not_xml")
            assert warning == {"count": 1, "record_ids": ["odd"]}


async def test_large_listing_is_streamed(stores: Any) -> None:
    count = 3 * CHUNK_ROWS
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            await fill(pool.postgres, count)
            url = f"http://127.0.0.1:{pool.public.port}"
            target = sign_url(API, "getRecordings", "", SECRET)
            async with httpx.AsyncClient(base_url=url) as client:
                for _ in range(2):  # the connection is good for another request
                    answer = await client.get(target, headers={"X-Request-ID": "r-7"})
                    assert answer.headers["transfer-encoding"] == "chunked"
                    assert answer.headers["x-request-id"] == "r-7"
                    root = etree.fromstring(answer.content)
                    assert len(root.findall("recordings/recording")) == count
            head = await pool.public.call("getRecordings", "limit=2")
            assert int(head.headers["content-length"]) == len(head.body)


async def test_recordings_are_published_and_unpublished(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            formats = (make_format("presentation"), make_format("video"))
            await pool.add(make_recording(formats=formats), make_recording("b"))
            for publish in ("false", "false", "TRUE"):
                params = {"recordID": "rec-1,b,unknown", "publish": publish}
                answer = await pool.public.call("publishRecordings", params)

                assert answer.text("published") == publish.lower()
                found = await pool.find("rec-1")
                assert found.published is (publish == "TRUE")
                root = pool.published if found.published else pool.unpublished
                for name in ("presentation", "video"):
                    assert (root / name / "rec-1" / "index.html").exists()


@pytest.mark.parametrize(
    ("call", "params", "key"),
    [
        ("publishRecordings", {"publish": "true"}, "missingParamRecordID"),
        ("publishRecordings", {"recordID": "rec-1"}, "missingParamPublish"),
        ("publishRecordings", {"recordID": "rec-1", "publish": "maybe"}, "missingParamPublish"),
        ("publishRecordings", {"recordID": "unknown", "publish": "true"}, "notFound"),
        ("publishRecordings", {"recordID": ",", "publish": "true"}, "notFound"),
        ("publishRecordings", {"recordID": "lost", "publish": "true"}, "internalError"),
        ("updateRecordings", {"meta_a": "1"}, "missingParamRecordID"),
        ("updateRecordings", {"recordID": "unknown,rec", "meta_a": "1"}, "notFound"),
        ("updateRecordings", {"recordID": "unknown"}, "notFound"),
        ("updateRecordings", {"recordID": ",", "meta_a": "1"}, "notFound"),
        ("deleteRecordings", {"recordID": ""}, "missingParamRecordID"),
        ("deleteRecordings", {"recordID": "rec"}, "notFound"),
    ],
)
async def test_changes_are_refused(
    stores: Any, call: str, params: dict[str, str], key: str
) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            await pool.add(make_recording(), make_recording("lost", published=False))
            (pool.unpublished / "presentation" / "lost").rename(pool.unpublished / "away")

            answer = await pool.public.call(call, params)

            assert (answer.returncode, answer.key) == ("FAILED", key)
            assert (await pool.find("rec-1")).published
            assert not (await pool.find("lost")).published


async def test_metadata_is_updated(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            await pool.add(make_recording(), make_recording("b"))
            params = {"recordID": "rec-1,b", "meta_Title": "x & y", "meta_empty": ""}
            answer = await pool.public.call("updateRecordings", params)

            assert answer.text("updated") == "true"
            for record_id in ("rec-1", "b"):
                expected = (("bbb-origin", "greenlight"), ("title", "x & y"))
                assert (await pool.find(record_id)).metadata == expected


@pytest.mark.parametrize(
    "params",
    [
        {"recordID": "rec-1,unknown", "meta_a": "1"},
        {"recordID": "rec-1"},
        {"recordID": "rec-1", "meta_a b": "1"},
        {"recordID": "rec-1", "meta_tenant-id": "1"},
        {"recordID": "rec-1", "meta_a": "1", "protect": "yes"},
    ],
)
async def test_update_is_for_all_or_none(stores: Any, params: dict[str, str]) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            await pool.add(make_recording())
            before = await pool.find("rec-1")

            answer = await pool.public.call("updateRecordings", params)

            assert (answer.returncode, answer.text("updated")) == ("SUCCESS", "false")
            assert await pool.find("rec-1") == before


async def test_recordings_are_deleted(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            formats = (make_format("presentation"), make_format("video"))
            await pool.add(make_recording(formats=formats, published=False), make_recording("b"))
            answer = await pool.public.call("deleteRecordings", {"recordID": "rec-1,unknown"})

            assert answer.text("deleted") == "true"
            assert not list(pool.unpublished.glob("*/rec-1"))
            assert ids(await pool.public.call("getRecordings", "state=any")) == ["b", "rec-1"]
            assert ids(await pool.public.call("getRecordings")) == ["b"]
            for again in ("rec-1", "unknown,rec-1"):
                answer = await pool.public.call("deleteRecordings", {"recordID": again})
                assert (answer.returncode, answer.text("deleted")) == ("SUCCESS", "true")
            update = await pool.public.call(
                "updateRecordings", {"recordID": "rec-1", "meta_a": "1"}
            )
            assert update.key == "notFound"


TENANTS = {"MULTITENANCY_ENABLED": "true", "URL_HOST": "bbb.example"}


async def test_tenants_have_their_own_recordings_only(stores: Any, redis_namespace: str) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores(**TENANTS) as pool:
            client = pool.res.redis.foreground.client
            for command in tenant_commands(redis_namespace, "red", "blue"):
                await client.command(*command)
            mine = make_recording("mine", metadata=(("tenant-id", "id-red"), ("x", "1")))
            theirs = make_recording("theirs", metadata=(("tenant-id", "id-blue"), ("x", "1")))
            await pool.add(mine, theirs, make_recording("nobodys"))

            async def red(call: str, params: Any = "") -> Answer:
                answer: Answer = await pool.public.call(
                    call, params, secret="secret-red", host="red.bbb.example"
                )
                return answer

            for query in ("", "state=any", "meta_x=1", "recordID=mine,theirs,nobodys"):
                answer = await red("getRecordings", query)
                assert ids(answer) == ["mine"], answer.body
            assert ids(await red("getRecordings", "meta_tenant-id=id-blue")) == []
            publish = {"recordID": "theirs", "publish": "false"}
            assert (await red("publishRecordings", publish)).key == "notFound"
            both = {"recordID": "mine,theirs", "meta_a": "1"}
            assert (await red("updateRecordings", both)).text("updated") == "false"
            theirs_only = {"recordID": "theirs,unknown", "meta_a": "1"}
            assert (await red("updateRecordings", theirs_only)).key == "notFound"
            assert (await red("deleteRecordings", {"recordID": "theirs"})).key == "notFound"
            tracks = await red("getRecordingTextTracks", {"recordID": "theirs"})
            assert json.loads(tracks.body)["response"]["messageKey"] == "noRecordings"
            assert (await pool.find("theirs")).published
            assert dict((await pool.find("mine")).metadata) == dict(mine.metadata)
            async with pool.store.lock_recordings(["theirs"], None) as locked:
                await locked.delete(locked.recordings[0])
            assert (await red("deleteRecordings", {"recordID": "theirs"})).key == "notFound"
            for _ in range(2):
                answer = await red("deleteRecordings", {"recordID": "mine"})
                assert answer.text("deleted") == "true"
            assert ids(await red("getRecordings", "state=any")) == ["mine"]


def tenant_commands(space: str, *names: str) -> list[tuple[str, ...]]:
    """Return the commands that make tenants as Scalelite stores them."""
    commands: list[tuple[str, ...]] = []
    for name in names:
        tenant = (f"tenant:id-{name}", "name", name, "secrets", f"secret-{name}")
        commands += [
            ("SADD", f"{space}:tenants", f"id-{name}"),
            ("HSET", f"{space}:{tenant[0]}", *tenant[1:]),
            ("HSET", f"{space}:tenant_name:{name}", "id", f"id-{name}"),
        ]
    return commands


async def test_recording_calls_without_recordings(redis_url: str, redis_namespace: str) -> None:
    with trio.fail_after(DEADLINE_S):
        async with open_public(redis_url, redis_namespace, RECORDING_DISABLED="true") as public:
            assert (await public.call("getRecordings")).key == "noRecordings"
            for call in ("publishRecordings", "updateRecordings", "deleteRecordings"):
                answer = await public.call(call, CALLS[call])
                assert (answer.returncode, answer.key) == ("FAILED", "notFound")
            answer = await public.call("getRecordingTextTracks", {"recordID": "x"})
            assert json.loads(answer.body)["response"]["messageKey"] == "notFound"


async def test_recording_calls_while_postgresql_is_down(stores: Any) -> None:
    with trio.fail_after(DEADLINE_S):
        async with stores() as pool:
            await pool.postgres.close_pool()
            for call, params in CALLS.items():
                answer = await pool.public.call(call, params)
                assert answer.status == 200
                if call == "getRecordingTextTracks":
                    assert json.loads(answer.body)["response"]["messageKey"] == "internalError"
                else:
                    assert (answer.returncode, answer.key) == ("FAILED", "internalError")
            assert (await pool.public.call("isMeetingRunning", "meetingID=x")).returncode
            assert pool.public.log.errors == []
