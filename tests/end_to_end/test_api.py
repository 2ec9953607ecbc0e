"""Every call of the BBB API over HTTP, to a real process with three simulated servers behind it."""

from __future__ import annotations

import hashlib
import http.client
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest

from tests.doubles.appliance_client import (
    ATTENDEE_PW,
    FORM,
    MODERATOR_PW,
    PREFIX,
    Answer,
    FrontEnd,
)
from tests.doubles.appliance_pool import ServedPool
from tests.doubles.signing import sign_form

XML_TYPE = "text/xml; charset=utf-8"
MODULES = (
    b"<modules><module name='presentation'><document url='http://h/a.pdf'/></module></modules>"
)


def follow(url: str) -> Answer:
    """Fetch what a redirect of the appliance leads to, as a browser would."""
    parts = urlsplit(url)
    assert parts.port is not None
    return FrontEnd(parts.port, "").fetch("GET", f"{parts.path}?{parts.query}")


@pytest.mark.parametrize("path", ["/bigbluebutton/api", "/bigbluebutton/api/"])
def test_index_needs_no_checksum(pool: ServedPool, path: str) -> None:
    answer = pool.front.fetch("GET", path)

    assert (answer.status, answer.headers["content-type"]) == (200, XML_TYPE)
    assert (answer.returncode, answer.text("version")) == ("SUCCESS", "2.0")


@pytest.mark.parametrize("path", ["/health_check", "/"])
def test_health_check_succeeds(pool: ServedPool, path: str) -> None:
    answer = pool.front.fetch("GET", path)

    assert (answer.status, answer.body) == (200, b"success")


def test_life_of_a_meeting(pool: ServedPool) -> None:
    front = pool.front
    assert front.is_running("class") == "false"
    assert front.info("class").key == "notFound"
    assert front.join("class").key == "notFound"
    assert front.get("getMeetings").key == "noMeetings"

    created = front.create("class", welcome="Hello & welcome <b>all</b>", **{"meta_k": "v;%+ü"})
    assert (created.status, created.headers["content-type"]) == (200, XML_TYPE)
    assert (created.returncode, created.text("attendeePW")) == ("SUCCESS", ATTENDEE_PW)
    assert front.is_running("class") == "false"

    joined = front.join("class", userID="u1")
    holder = pool.holder("class")
    assert joined.status == 302
    assert joined.location.startswith(f"{holder.url}/join?")
    assert follow(joined.location).status in (200, 302)
    assert front.is_running("class") == "true"

    info = front.info("class")
    assert (info.returncode, info.text("participantCount")) == ("SUCCESS", "1")
    assert info.text("metadata/k") == "v;%+ü"
    assert front.listed() == ["class"]

    assert front.get("end", meetingID="class", password=MODERATOR_PW).returncode == "SUCCESS"
    assert front.is_running("class") == "false"
    assert front.get("end", meetingID="class", password=MODERATOR_PW).key == "notFound"
    assert pool.record("class") == {}
    assert pool.holders("class") == []


def test_repeated_create_gives_the_same_meeting(pool: ServedPool) -> None:
    first = pool.front.get("create", meetingID="again", name="Again")
    second = pool.front.get("create", meetingID="again", name="Again")

    assert first.returncode == second.returncode == "SUCCESS"
    assert first.text("internalMeetingID") == second.text("internalMeetingID")
    assert first.text("moderatorPW") == second.text("moderatorPW")
    assert second.key == "duplicateWarning"


@pytest.mark.parametrize("over", ["empty", "body", "sorted"])
def test_calls_take_a_form(pool: ServedPool, over: str) -> None:
    front, known = pool.front, {"meetingID": "by form", "moderatorPW": MODERATOR_PW}

    created = front.post_form("create", over=over, name="A & B", attendeePW=ATTENDEE_PW, **known)
    running = front.post_form("isMeetingRunning", over=over, **known)
    info = front.post_form("getMeetingInfo", over=over, **known)
    listed = front.post_form("getMeetings", over=over)
    ended = front.post_form("end", over=over, password=MODERATOR_PW, **known)

    assert [created.returncode, running.text("running"), info.text("meetingName")] == [
        *("SUCCESS", "false", "A & B")
    ]
    assert listed.text("meetings/meeting/meetingID") == "by form"
    assert ended.returncode == "SUCCESS"


def test_join_reads_no_body(pool: ServedPool) -> None:
    front = pool.front
    front.create("m1")
    target = front.target("join", {"meetingID": "m1", "fullName": "Eve", "password": ATTENDEE_PW})
    form = {"Content-Type": FORM}

    answer = front.fetch("GET", target, b"role=MODERATOR&password=" + MODERATOR_PW.encode(), form)

    assert answer.status == 302
    sent = parse_qs(urlsplit(answer.location).query)
    assert (sent["password"], "role" in sent) == ([ATTENDEE_PW], False)
    assert front.fetch("POST", target, b"role=MODERATOR", form).key == "unsupportedRequest"


def test_form_body_is_ignored_when_the_query_has_parameters(pool: ServedPool) -> None:
    target = pool.front.target("create", {"meetingID": "mine"})

    answer = pool.front.fetch("POST", target, b"meetingID=theirs", {"Content-Type": FORM})

    assert answer.text("meetingID") == "mine"
    assert pool.holders("theirs") == []


def test_document_of_create_and_insert_document_reach_the_server(pool: ServedPool) -> None:
    front = pool.front

    created = front.post_xml("create", MODULES, meetingID="slides")
    inserted = front.post_xml("insertDocument", MODULES, meetingID="slides")

    assert (created.returncode, inserted.returncode) == ("SUCCESS", "SUCCESS")
    holder = pool.holder("slides")
    assert holder.meetings()["slides"]["documents"] == 2
    digest = hashlib.sha256(MODULES).hexdigest()
    for call in ("create", "insertDocument"):
        request = holder.requests(call)[-1]
        assert (request["method"], request["body_sha256"]) == ("POST", digest)
    assert front.post_xml("insertDocument", MODULES, meetingID="other").key == "notFound"
    assert front.get("insertDocument", meetingID="slides").key == "unsupportedRequest"


def test_chat_message_is_passed_through(pool: ServedPool) -> None:
    pool.front.create("chat")

    answer = pool.front.get("sendChatMessage", meetingID="chat", message="Hi & bye")

    assert answer.returncode == "SUCCESS"
    assert pool.holder("chat").meetings()["chat"]["chat"] == ["Hi & bye"]


@pytest.mark.parametrize("call", ["getjoinurl", "hooks/ping", "nothing", "Create"])
def test_unknown_call_is_unsupported(pool: ServedPool, call: str) -> None:
    answer = pool.front.get(call, meetingID="m1")

    assert (answer.status, answer.key) == (200, "unsupportedRequest")


def test_unknown_path_is_not_found(pool: ServedPool) -> None:
    assert pool.front.fetch("GET", "/nothing").status == 404


@pytest.mark.parametrize(
    ("query", "key"),
    [
        ("meetingID=m1", "checksumError"),
        ("meetingID=m1&checksum=", "checksumError"),
        ("meetingID=m1&checksum=abc", "checksumError"),
        ("meetingID=m1&checksum=" + "0" * 40, "checksumError"),
        ("meetingID=m1&checksum=" + "0" * 64, "checksumError"),
        ("meetingID=m1&checksum=" + "%C3%A4" * 64, "checksumError"),
    ],
)
def test_wrong_checksum_is_refused(pool: ServedPool, query: str, key: str) -> None:
    for call in ("create", "join", "isMeetingRunning", "getMeetings", "end", "getMeetingInfo"):
        assert pool.front.fetch("GET", f"{PREFIX}{call}?{query}").key == key
    assert pool.requests("create") == 0


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "sha384", "sha512"])
def test_every_algorithm_is_accepted(pool: ServedPool, algorithm: str) -> None:
    target = pool.front.target("isMeetingRunning", {"meetingID": "m1"}, algorithm)
    head, _, signed = target.rpartition("checksum=")

    assert pool.front.fetch("GET", target).text("running") == "false"
    assert pool.front.fetch("GET", f"{head}checksum={signed.upper()}").text("running") == "false"


def test_checksum_is_taken_from_anywhere_in_the_query(pool: ServedPool) -> None:
    query = pool.front.target("isMeetingRunning", "meetingID=a%20b&x=1").partition("?")[2]
    signed = query.rpartition("&")[2]

    for order in (f"{signed}&meetingID=a%20b&x=1", f"meetingID=a%20b&{signed}&x=1"):
        answer = pool.front.fetch("GET", f"{PREFIX}isMeetingRunning?{order}")
        assert answer.text("running") == "false"
    empty = pool.front.target("getMeetings").partition("checksum=")[2]
    moodle = pool.front.fetch("GET", f"{PREFIX}getMeetings?&checksum={empty}")
    assert moodle.key == "noMeetings"


@pytest.mark.parametrize(
    ("params", "key"),
    [
        ({}, "missingParamMeetingID"),
        ({"meetingID": ""}, "missingParamMeetingID"),
        ({"meetingID": "a"}, "sizeError"),
        ({"meetingID": "a" * 257}, "sizeError"),
        ({"meetingID": "a,b"}, "formatError"),
    ],
)
def test_create_refuses_a_bad_meeting_id(
    pool: ServedPool, params: dict[str, str], key: str
) -> None:
    assert pool.front.get("create", **params).key == key
    assert pool.requests("create") == 0


@pytest.mark.parametrize("name", ["meetingID", "password", "role"])
def test_repeated_guarded_parameter_is_refused(pool: ServedPool, name: str) -> None:
    answer = pool.front.get_query("create", f"meetingID=m1&{name}=a1&{name}=b1")

    assert answer.key == "checksumError"


@pytest.mark.parametrize(
    "meeting_id",
    [
        *("a b", "a+b", "100%", "50%25", "ä/ö?ü", "日本語の会議", "a&b=c#d", "'\"<>\\", "🎓 x"),
        *("../../etc", "a" * 256, "%00%0a", "{curly}", "~scoped~", "a;b:c"),
    ],
)
def test_odd_meeting_id_means_the_same_in_every_call(pool: ServedPool, meeting_id: str) -> None:
    front = pool.front

    created = front.create(meeting_id)
    assert (created.returncode, created.text("meetingID")) == ("SUCCESS", meeting_id)
    assert pool.holder(meeting_id) in pool.servers
    assert front.info(meeting_id).text("meetingID") == meeting_id
    assert front.listed() == [meeting_id]
    location = front.join(meeting_id).location
    assert parse_qs(urlsplit(location).query)["meetingID"] == [meeting_id]
    assert follow(location).status in (200, 302)
    assert front.is_running(meeting_id) == "true"
    assert front.get("end", meetingID=meeting_id, password=MODERATOR_PW).returncode == "SUCCESS"


def test_any_parameter_name_is_passed_on_in_order(pool: ServedPool) -> None:
    query = "meetingID=odd&x[]=1&x[]=2&=v&novalue&b=%26&a=%C3%A4+o&welcome=1%2B1"

    assert pool.front.get_query("create", query).returncode == "SUCCESS"
    sent = parse_qsl(pool.holder("odd").requests("create")[0]["query"], keep_blank_values=True)
    ours = [
        *(("x[]", "1"), ("x[]", "2"), ("", "v"), ("novalue", "")),
        *(("b", "&"), ("a", "ä o"), ("welcome", "1+1")),
    ]
    assert [pair for pair in sent if pair in ours] == ours


def test_long_query_reaches_the_server_as_a_form(pool: ServedPool) -> None:
    welcome = "Willkommen & hallo " * 2500  # 47 kB, more than servers take in a query

    answer = pool.front.create("long", welcome=welcome)

    assert answer.returncode == "SUCCESS"
    assert pool.holder("long").requests("create")[0]["method"] == "POST"


def test_too_long_query_is_refused_before_it_is_read(pool: ServedPool) -> None:
    target = pool.front.target("create", {"meetingID": "longer", "welcome": "w" * 70_000})

    assert pool.front.fetch("GET", target).status == 431
    assert pool.requests("create") == 0


def test_unsupported_content_type_is_refused(pool: ServedPool) -> None:
    target = pool.front.target("create", {"meetingID": "m1"})

    for headers in ({"Content-Type": "text/plain"}, {}):
        assert pool.front.fetch("POST", target, b"x", headers).key == "unsupportedContentType"


def test_form_over_its_limit_is_refused(pool: ServedPool) -> None:
    body = sign_form("create", {"meetingID": "m1", "welcome": "w" * 1_100_000}, pool.front.secret)

    answer = pool.front.fetch("POST", PREFIX + "create", body.encode(), {"Content-Type": FORM})

    assert (answer.status, answer.returncode) == (413, "FAILED")


def test_request_id_of_a_trusted_proxy_is_echoed(pool: ServedPool) -> None:
    answer = pool.front.fetch("GET", "/bigbluebutton/api", headers={"X-Request-ID": "req-1"})

    assert answer.headers["x-request-id"] == "req-1"


def test_request_id_of_a_trusted_proxy_is_in_the_log_and_reaches_the_servers(
    pool: ServedPool,
) -> None:
    headers = {"X-Request-ID": "req-7"}
    pool.front.create("class")
    pool.front.fetch(
        "GET", pool.front.target("getMeetingInfo", {"meetingID": "class"}), None, headers
    )
    pool.front.info("class")

    ids = [
        one["headers"].get("x-request-id")
        for one in pool.holder("class").requests("getMeetingInfo")
    ]
    assert ids == ["req-7", None]
    (line,) = pool.appliance.events("request", request_id="req-7")
    assert (line["call"], line["meeting"], line["result"]) == ("getMeetingInfo", "class", "ok")
    assert line["ms"] >= 0


def test_request_is_logged_with_the_server_of_its_meeting(pool: ServedPool) -> None:
    pool.front.create("logged")
    pool.front.is_running("logged")
    pool.front.info("logged")
    pool.front.join("logged")
    server = pool.id_of(pool.holder("logged"))
    pool.front.get("end", meetingID="logged", password=MODERATOR_PW)
    pool.front.join("logged")

    lines = [one for one in pool.appliance.events("request") if one.get("meeting") == "logged"]
    assert [(one["call"], one.get("server")) for one in lines] == [
        *((call, server) for call in ("create", "isMeetingRunning", "getMeetingInfo", "join")),
        ("end", server),
        ("join", None),
    ]


def test_connection_serves_many_requests(pool: ServedPool) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", pool.front.port, timeout=40)
    for number in range(5):
        connection.request("GET", pool.front.target("create", {"meetingID": f"m{number}"}))
        assert b"SUCCESS" in connection.getresponse().read()
    connection.close()


def test_garbage_gets_an_error_and_nobody_else_notices(pool: ServedPool) -> None:
    for target in (
        "/%",
        "/bigbluebutton/api/%ff%fe?%ff=%&&&==",
        "/bigbluebutton/api/create?" + "&" * 999,
    ):
        assert pool.front.fetch("GET", target).status in (200, 400, 404)
    for method in ("DELETE", "PATCH", "BREW", "OPTIONS"):
        answer = pool.front.fetch(method, pool.front.target("create", {"meetingID": "m1"}))
        assert answer.key == "unsupportedRequest"
    assert pool.front.create("m1").returncode == "SUCCESS"
