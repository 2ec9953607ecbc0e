"""Reports about meetings: what is read of them, and what goes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.callbacks.analytics_rules import (
    ANALYTICS_PARAM,
    BadReport,
    extract_analytics_url,
    file_name_of,
    front_end_id_of,
    is_file_name,
    read_report,
    render_report,
    render_stored,
    report_url,
)
from appliance.tenants.scoped_id import scoped_id

RUN = "183f0bf3a0982a127bdb8161e0c44eb696b3e75c-1531240585189"


def report(**fields: Any) -> bytes:
    return json.dumps({"version": "1.0", "meeting_id": "math", **fields}).encode()


@pytest.mark.parametrize(
    ("given", "left", "url"),
    [
        ((("name", "x"),), (("name", "x"),), None),
        (((ANALYTICS_PARAM, " https://a/ "), ("name", "x")), (("name", "x"),), "https://a/"),
        ((("meta_Analytics-Callback-URL", "https://a/"),), (), "https://a/"),
        (((ANALYTICS_PARAM, ""), (ANALYTICS_PARAM, "https://a/")), (), "https://a/"),
    ],
)
def test_url_is_taken_out_however_it_is_spelt(given: Any, left: Any, url: str | None) -> None:
    assert extract_analytics_url(given) == (left, url)


def test_our_url_is_below_the_api() -> None:
    expected = "https://bbb.example.org/bigbluebutton/api/analytics_callback"
    assert report_url("https://bbb.example.org") == expected


@pytest.mark.parametrize(
    "body",
    [
        b'{"version":"1.0","meeting_id":"math","data":{"n":1.10,"big":123456789012345678901}}',
        b'{ "meeting_id" : "math" }\r\n\t ',
        '{"meeting_id":"math","data":{"name":"Z\u00f6\u00eb \\ud83d\\ude00"}}'.encode(),
    ],
)
def test_body_goes_on_as_it_came_with_the_customer_beside(body: bytes) -> None:
    sent = render_report(read_report(body), meeting_id="math", customer='sch"ool')
    assert sent.startswith(body.rstrip().removesuffix(b"}"))
    assert json.loads(sent) == json.loads(body) | {"customer": 'sch"ool'}
    assert list(json.loads(sent))[-1] == "customer"


def test_file_names_the_tenant_by_its_id() -> None:
    sent = render_report(
        read_report(b'{"meeting_id":"m","tenant_id":"x"}\n'), meeting_id="m", customer="school"
    )

    stored = json.loads(render_stored(sent, "t-1"))

    assert stored == {"meeting_id": "m", "customer": "school", "tenant_id": "t-1"}
    assert render_stored(sent, None) == sent


def test_customer_of_the_server_does_not_count() -> None:
    sent = render_report(read_report(report(customer="evil")), meeting_id="math", customer="school")
    assert sent.count(b"customer") == 1
    assert json.loads(sent)["customer"] == "school"


def test_id_that_a_meeting_is_kept_under_is_turned_back() -> None:
    kept = read_report(report(meeting_id="math~t-1"))
    assert front_end_id_of(kept, "t-1") == "math"
    assert front_end_id_of(kept, "t-2") == "math~t-1"
    sent = render_report(kept, meeting_id="math", customer="school")
    assert json.loads(sent)["meeting_id"] == "math"


@pytest.mark.parametrize("key", ["tenant-meeting-id", "tenant_meeting_id"])
def test_id_that_was_too_long_to_be_told_is_turned_back(key: str) -> None:
    original = "m" * 250
    kept = scoped_id(original, "t-1")
    found = read_report(report(meeting_id=kept, data={"metadata": {key: original}}))
    assert front_end_id_of(found, "t-1") == original


@pytest.mark.parametrize(("hyphen", "name"), [("-", "meetingId"), ("_", "meeting_id")])
def test_metadata_show_a_tenant_its_own_only(hyphen: str, name: str) -> None:
    original = "m" * 250
    ours = {"tenant-meeting-id": original, "secret-lrs-payload": "c2VjcmV0", "tenant-id": "t-1"}
    metadata = {key.replace("-", hyphen): value for key, value in ours.items()}
    relay = "https://us/bigbluebutton/api/end_callback?url=https%3A%2F%2Fgl%2F&signature=00"
    theirs = {name: scoped_id(original, "t-1"), "x": "y", "endcallbackurl": relay}
    data = {"metadata": {**metadata, **theirs}, "duration": 1.5}
    found = read_report(report(meeting_id=scoped_id(original, "t-1"), data=data))

    sent = json.loads(render_report(found, meeting_id=original, customer="school", is_tenants=True))

    kept = {name: original, "x": "y", "endcallbackurl": "https://gl/", f"tenant{hyphen}id": "t-1"}
    assert sent["data"] == {"metadata": kept, "duration": 1.5}
    assert (sent["meeting_id"], sent["customer"]) == (original, "school")


def test_payload_for_a_server_does_not_go_on_to_a_tenant() -> None:
    data = {"metadata": {"secret_lrs_payload": "c2VjcmV0", "meeting_id": "math"}}
    found = read_report(report(data=data))

    sent = render_report(found, meeting_id="math", customer="school", is_tenants=True)
    assert json.loads(sent)["data"] == {"metadata": {"meeting_id": "math"}}

    # Without tenants it is the front-end's own business.
    sent = render_report(found, meeting_id="math", customer="scalelite")
    assert json.loads(sent)["data"] == data


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'"math"',
        b"{}",
        b'{"meeting_id": 1}',
        b'{"meeting_id": ""}',
        b'{"meeting_id": "math"',
        b'{"meeting_id": "math"} x',
        b'{"meeting_id": "math", "n": NaN}',
        b'{"meeting_id": "math", "n": Infinity}',
        b"\xff\xfe{\x00}\x00",
        b'{"meeting_id": "\xff"}',
        b'{"meeting_id":"m","d":' + b"[" * 200_000,
        b'{"meeting_id":"m","d":' + b"1" * 5000 + b"}",
    ],
)
def test_what_is_no_report_is_refused(body: bytes) -> None:
    with pytest.raises(BadReport):
        read_report(body)


@pytest.mark.parametrize("data", [None, 1, [], {}, {"metadata": 1}, {"metadata": {"x": "y"}}])
def test_report_need_not_have_what_is_of_no_interest(data: Any) -> None:
    found = read_report(report(data=data))
    assert (found.original_id, found.internal_id) == (None, None)


def test_file_has_the_name_of_the_run_if_that_is_a_good_one() -> None:
    assert file_name_of(read_report(report(internal_meeting_id=RUN))) == RUN
    names = set()
    for odd in (None, 1, "", "../x", "a/b", "x" * 201, ".hidden", "a\0b"):
        name = file_name_of(read_report(report(internal_meeting_id=odd)))
        assert is_file_name(name)
        names.add(name)
    assert len(names) == 7  # what is no text is like nothing


@pytest.mark.parametrize("text", ["", "..", "a/b", "a.json", "a\n", "ä", "x" * 201])
def test_odd_name_is_no_file_name(text: str) -> None:
    assert not is_file_name(text)
