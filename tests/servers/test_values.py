"""What may be stored of a server, and what is refused with which reason."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.admin_calls.fields import natural_key
from appliance.bbb.endpoint import UnacceptableValue, check_secret, check_url, host_labels, host_of
from appliance.servers.values import (
    NewServer,
    ServerChange,
    check_change,
    check_id,
    check_multiplier,
    check_tag,
)


@pytest.mark.parametrize(
    "url",
    [
        "https://bbb1.example.com/bigbluebutton/api",
        "https://bbb1.example.com/bigbluebutton/api/",
        "HTTP://BBB1.example.com",
        "http://127.0.0.1:8090/bigbluebutton/api",
        "http://[::1]:8090/bigbluebutton/api",
        "http://[::1]/api",
        "http://bbb_1/bigbluebutton/api",
    ],
)
def test_url_is_kept_as_it_was_given(url: str) -> None:
    assert check_url(url) == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "ASCII"),
        ("not a url", "blanks"),
        ("bbb1.example.com", "http://"),
        ("ftp://bbb1.example.com/api", "http://"),
        ("https://", "host"),
        ("https:///bigbluebutton/api", "host"),
        ("https://:443/api", "host"),
        ("https://bbb1.example.com:0/api", "port"),
        ("https://bbb1.example.com:port/api", "port"),
        ("https://bbb1.example.com:99999/api", "port"),
        ("https://[::1/api", "host"),
        ("https://user:hunter2@bbb1.example.com/api", "password"),
        ("https://bbb1.example.com/api?x=1", "path"),
        ("https://bbb1.example.com/api?", "path"),
        ("https://bbb1.example.com/api#x", "path"),
        ("https://bbb1.example.com\\@evil.example.com/api", "path"),
        ("https://bbb1.example.com/api\n", "ASCII"),
        ("https://bbb1.example.com/\tapi", "ASCII"),
        ("https://bücher.example.com/api", "ASCII"),
        ("https://a b.example.com/api", "blanks"),
        ("https://bbb%31.example.com/api", "host"),
        ('https://bbb1.example.com/"><script>', "quotation marks"),
        ("https://bbb1.example.com/{x}", "{ or }"),
        ("https://" + "x" * 2048, "longer"),
    ],
)
def test_url_is_refused_with_its_reason(url: str, reason: str) -> None:
    with pytest.raises(UnacceptableValue, match=reason) as refused:
        check_url(url)

    assert "hunter2" not in str(refused.value)


@given(st.text(max_size=60))
def test_url_is_refused_or_kept_whatever_it_is(text: str) -> None:
    try:
        assert check_url(text) == text
    except UnacceptableValue:
        return
    assert host_of(text)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://BBB1.Example.com/bigbluebutton/api", "bbb1.example.com"),
        ("http://[::1]:80/api", "::1"),
        ("nonsense", "nonsense"),
        ("http://[bad/api", "http://[bad/api"),
    ],
)
def test_host_is_in_lower_case(url: str, host: str) -> None:
    assert host_of(url) == host


@pytest.mark.parametrize(
    "server_id", ["a", "bbb1.example.com", "bbb_1", "2d2d674a-c6bb-48f3", "A1"]
)
def test_id_is_accepted(server_id: str) -> None:
    assert check_id(server_id) == server_id


@pytest.mark.parametrize(
    "server_id",
    [
        *("", " ", "a b", "-a", "a-", ".", "a/b", "a:b", "é", "a\n", "x" * 129),
        *("servers", "server_load", "meetings", "tenants", "voice_bridges"),
        *("server_enabled", "cordoned_server_load", "protector_token_1"),
    ],
)
def test_id_is_refused_when_it_is_odd_or_the_name_of_another_key(server_id: str) -> None:
    with pytest.raises(UnacceptableValue):
        check_id(server_id)


@pytest.mark.parametrize("secret", ["", " ", "a b", "abc\n", "x" * 256, "a\x00b"])
def test_secret_is_refused_without_being_quoted(secret: str) -> None:
    with pytest.raises(UnacceptableValue) as refused:
        check_secret(secret)

    assert "abc" not in str(refused.value)


@pytest.mark.parametrize("tag", ["", "gpu", "two words", "été"])
def test_tag_is_accepted(tag: str) -> None:
    assert check_tag(tag) == tag


@pytest.mark.parametrize("tag", ["a;b", "a!", "!", " a", "a ", "a\nb", "none", "x" * 256])
def test_tag_is_refused_when_it_could_not_be_asked_for(tag: str) -> None:
    with pytest.raises(UnacceptableValue):
        check_tag(tag)


@pytest.mark.parametrize("value", [0, -1.0, math.inf, -math.inf, math.nan, 1e308, 1e-320])
def test_multiplier_is_refused_unless_it_is_a_positive_number(value: float) -> None:
    with pytest.raises(UnacceptableValue):
        check_multiplier(value)


@pytest.mark.parametrize("value", [1e-6, 0.5, 1, 1e6])
def test_multiplier_that_a_load_can_have_is_taken(value: float) -> None:
    assert check_multiplier(value) == value


def test_change_is_checked_whole() -> None:
    change = NewServer(
        "http://bbb1/api", "secret", load_multiplier=2, tag="gpu", dial_in="a/{pin}"
    ).change

    assert check_change(change) == change
    assert check_change(ServerChange()) == ServerChange()


@pytest.mark.parametrize(
    "change",
    [
        ServerChange(url="x"),
        ServerChange(secret=""),
        ServerChange(tag=";"),
        ServerChange(load_multiplier=-2.0),
        ServerChange(max_meetings=-1),
        ServerChange(max_users=10**9),
        ServerChange(dial_in="sofia/external/${pin}"),
        ServerChange(dial_in_port=65_536),
        ServerChange(dial_in_port=-1),
    ],
)
def test_change_is_refused_when_one_value_is(change: ServerChange) -> None:
    with pytest.raises(UnacceptableValue):
        check_change(change)


def test_secret_is_not_in_the_repr() -> None:
    assert "hunter2" not in repr(NewServer("http://bbb1/api", "hunter2"))


def test_names_sort_as_people_count() -> None:
    names = ["bbb10.x", "bbb2.x", "BBB1.x", "a", "10.0.0.2", "10.0.0.10"]

    ordered = sorted(names, key=natural_key)

    assert ordered == ["10.0.0.2", "10.0.0.10", "a", "BBB1.x", "bbb2.x", "bbb10.x"]


def test_servers_are_called_by_their_host_and_by_port_where_that_is_not_enough() -> None:
    urls = ["https://A.example/api", "http://b:8080/api", "https://b/api", "http://[::1]/", "no"]

    assert host_labels(urls) == ["a.example", "b:8080", "b:443", "::1", "no"]
    assert host_labels(["http://x/api", "http://x:x/api"]) == ["x:80", "x:0"]
