"""Which URLs may be called, and what an answer decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.callbacks.rules import (
    GIVE_UP_S,
    CallbackState,
    QueuedCallback,
    host_of_url,
    id_of_secret,
    meeting_ended,
    recording_ready,
    redirect_target,
    refusal_of_url,
    result_of_failure,
    result_of_status,
    retry_delay_s,
)

QUEUED = QueuedCallback("1", recording_ready("http://h/", meeting_id="m", record_id="r"))


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "https://lms.example.org/mod/bigbluebuttonbn/bbb_broker.php?action=recording_ready&id=a%40b",
        "HTTPS://LMS.example.org:8443/x?y=a@b#z",
        "http://[2001:db8::1]:80/x",
        "http://127.1/x",
        "https://schüle.example/ä",
        "http://h?x=1",
    ],
)
def test_url_is_taken(url: str) -> None:
    assert refusal_of_url(url) is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "not http:// or https://"),
        ("ftp://h/", "not http:// or https://"),
        ("javascript:alert(1)", "not http:// or https://"),
        ("file:///etc/passwd", "not http:// or https://"),
        ("//h/x", "not http:// or https://"),
        (" http://h/", "not http:// or https://"),
        ("http://user:pw@h/", "a user name or password in it"),
        ("http://good.example@evil.example/", "a user name or password in it"),
        ("http://h\\@evil.example/", "not a valid URL"),
        ("http://%31/", "not a valid URL"),
        ("http://h/a b", "not a valid URL"),
        ("http://h/\r\nX: y", "not a valid URL"),
        ("http://h/\0", "not a valid URL"),
        ("http:///x", "not a valid URL"),
        ("http://", "not a valid URL"),
        ("http://h:x/", "not a valid URL"),
        ("http://h:99999/", "not a valid URL"),
        ("http://h:0/", "not a valid URL"),
        ("http://h/" + "x" * 9000, "longer than 8192 characters"),
    ],
)
def test_url_is_refused(url: str, reason: str) -> None:
    assert refusal_of_url(url) == reason


def test_host_of_url_is_what_may_be_logged() -> None:
    assert host_of_url("HTTP://Lms.example:80/a?token=x") == "http://lms.example:80"
    assert host_of_url("nonsense") == ""


@pytest.mark.parametrize(
    ("method", "status", "location", "target"),
    [
        ("POST", 307, "/b?c=d", "http://h/b?c=d"),
        ("POST", 308, "http://h/b", "http://h/b"),
        ("POST", 308, "https://h/b", "https://h/b"),
        ("POST", 308, "https://h:443/b", "https://h:443/b"),
        ("GET", 301, "b", "http://h/b"),
        ("GET", 302, "//h/b", "http://h/b"),
        ("POST", 301, "/b", None),
        ("POST", 302, "/b", None),
        ("POST", 303, "/b", None),
        ("POST", 200, "/b", None),
        ("GET", 304, "/b", None),
        ("GET", 302, "http://other/b", None),
        ("GET", 302, "//other/b", None),
        ("GET", 302, "http://h:81/b", None),
        ("GET", 302, "https://h:8443/b", None),
        ("GET", 302, "http://u@h/b", None),
        ("GET", 302, "ftp://h/b", None),
        ("GET", 302, "http://[::1/b", None),
        ("GET", 302, "http://h.evil.example/b", None),
    ],
)
def test_redirect_is_followed_to_the_same_host_only(
    method: str, status: int, location: str, target: str | None
) -> None:
    assert redirect_target(method, "http://h/a", status, location) == target


def test_redirect_never_leaves_https() -> None:
    assert redirect_target("GET", "https://h/a", 302, "http://h/a") is None


def test_pause_doubles_from_five_seconds_to_an_hour() -> None:
    pauses = [retry_delay_s(attempts) for attempts in range(1, 12)]
    assert pauses[:4] == [5.0, 10.0, 20.0, 40.0]
    assert pauses[9:] == [2560.0, 3600.0]
    assert retry_delay_s(10**6) == 3600.0


@pytest.mark.parametrize(
    ("status", "state"),
    [
        *((status, CallbackState.DONE) for status in (200, 201, 202, 204, 299)),
        *((status, CallbackState.FAILED) for status in (404, 410)),
        *((status, CallbackState.PENDING) for status in (301, 302, 307, 400, 401, 403, 500, 503)),
    ],
)
def test_status_decides(status: int, state: CallbackState) -> None:
    settled = result_of_status(QUEUED, status)
    assert (settled.state, settled.status) == (state, status)
    assert (settled.error is None) == (state is CallbackState.DONE)


def test_fault_is_retried_for_a_day() -> None:
    again = result_of_failure(replace(QUEUED, attempts=2, age_s=GIVE_UP_S - 1), "refused")
    assert (again.state, again.error, again.wait_s) == (CallbackState.PENDING, "refused", 20.0)
    over = result_of_failure(replace(QUEUED, attempts=30, age_s=GIVE_UP_S), "refused")
    assert (over.state, over.error) == (CallbackState.FAILED, "refused; tried for a day")


def test_secret_is_named_without_being_told() -> None:
    assert id_of_secret("geheim") == id_of_secret("geheim") != id_of_secret("geheim2")
    assert len(id_of_secret("\udcff")) == 16


def test_callback_shows_no_url_and_no_body() -> None:
    callback = meeting_ended("http://h/?token=geheim", meeting_id="m")
    assert "geheim" not in repr(replace(callback, body=b"geheim"))
