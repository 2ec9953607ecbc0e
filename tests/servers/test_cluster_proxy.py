"""The configuration of BBB's cluster proxy, and what never gets into it."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from appliance.bbb.endpoint import UnacceptableValue
from appliance.model import Server, ServerId
from appliance.servers.cluster_proxy import (
    check_proxy,
    check_resolvers,
    make_settings,
    origin_of,
    render_locations,
    render_settings,
)

URL = "https://bbb1.example.com/bigbluebutton/api"
PROPERTIES = "/etc/bigbluebutton/bbb-web.properties"


def server(server_id: str = "bbb1", url: str = URL, version: str = "3.0.12") -> Server:
    return Server(ServerId(server_id), url, "secret", bbb_version=version)


def test_each_server_has_its_locations() -> None:
    other = server("02bff3a7-c95f", "http://10.0.0.5:8080/bigbluebutton/api/")
    text, refused = render_locations([server(), other])

    assert refused == []
    assert re.findall(r"^location (\S+) \{$", text, re.MULTILINE) == [
        "/bbb1/html5client/",
        "/bbb1/bigbluebutton/api/",
        "/02bff3a7-c95f/html5client/",
        "/02bff3a7-c95f/bigbluebutton/api/",
    ]
    assert re.findall(r"proxy_pass (.*);", text) == [
        "https://bbb1.example.com/bbb1/html5client/",
        "https://bbb1.example.com/bigbluebutton/api/",
        "http://10.0.0.5:8080/02bff3a7-c95f/html5client/",
        "http://10.0.0.5:8080/bigbluebutton/api/",
    ]
    assert text.count("proxy_set_header Upgrade $http_upgrade;") == 4
    assert "secret" not in text


def test_names_are_looked_up_by_nginx_when_it_has_a_resolver() -> None:
    text, _ = render_locations([server()], "10.0.0.2 [::1]:53")
    assert "resolver 10.0.0.2 [::1]:53 valid=30s;\n" in text
    assert re.findall(r"proxy_pass (.*);", text) == ["$cluster_server", "$cluster_server"]
    assert re.findall(r"^location (\S+) \{$", text, re.MULTILINE) == [
        "/bbb1/html5client/",
        "/bbb1/bigbluebutton/api/",
    ]


@pytest.mark.parametrize("resolver", [" ", "dns.example.com", "1.2.3.4;", "1.2.3.4 x", "::1", "$a"])
def test_resolver_that_is_no_address_is_refused(resolver: str) -> None:
    with pytest.raises(UnacceptableValue):
        check_resolvers(resolver)


HOSTILE_IDS = [
    "a b",
    "a/../b",
    "a;b",
    "a{",
    "a}\nlocation / { return 200; }",
    "$host",
    "a'b",
    'a"b',
    "a#b",
    "..",
    ".",
    "",
    "a\\",
    "ä",
    "~a",
    "=",
]
HOSTILE_URLS = [
    "https://bbb1;include /etc/passwd/bigbluebutton/api",
    "https://bbb1{}/api",
    "https://bbb1\n}/api",
    "https://$host/api",
    "https://user@bbb1/api",
    "https:///api",
    "file:///etc/passwd",
    "https://bbb1 x/api",
    "https://[::1/api",
    "https://bbb1:80;/api",
    'https://bbb"1/api',
]


@pytest.mark.parametrize("server_id", HOSTILE_IDS)
def test_id_that_could_end_a_directive_is_refused(server_id: str) -> None:
    text, refused = render_locations([server(server_id), server()])
    assert (text, refused) == (render_locations([server()])[0], [server_id])
    with pytest.raises(UnacceptableValue):
        make_settings(server(server_id), "proxy.example.com")


@pytest.mark.parametrize("url", HOSTILE_URLS)
def test_url_that_could_end_a_directive_is_refused(url: str) -> None:
    text, refused = render_locations([server("x", url), server()])
    assert (text, refused) == (render_locations([server()])[0], ["x"])
    with pytest.raises(UnacceptableValue):
        make_settings(server(url=url), "proxy.example.com")


@given(st.text("ab1.-_:/@;{}$ \n'\"#[]\\%"), st.text("ab1.-_ ;{}$/\n'\"#~"))
def test_no_url_and_no_id_adds_a_line_or_a_directive(rest: str, server_id: str) -> None:
    text, refused = render_locations([server(server_id, f"https://{rest}")])
    plain = render_locations([server()])[0]
    assert text.count("\n") == (1 if refused else plain.count("\n"))
    if not refused:
        for mark in ";{}$'\"#":
            assert text.count(mark) == plain.count(mark)
        assert origin_of(server(server_id, f"https://{rest}")) in text


@pytest.mark.parametrize(
    "proxy", ["", "a b", "a/b", "a\nb=c", "a;b", "https://a", "a:x", "$a", "a'b", 'a"b']
)
def test_proxy_that_is_no_host_is_refused(proxy: str) -> None:
    with pytest.raises(UnacceptableValue):
        check_proxy(proxy)
    with pytest.raises(UnacceptableValue):
        make_settings(server(), proxy)


@pytest.mark.parametrize(
    ("version", "client", "guests"),
    [("3.0.12", "", False), ("4.0.0-beta.1", "", False), ("", "", False), ("2.7.13", "join", True)],
)
def test_settings_of_a_server_are_those_of_its_version(
    version: str, client: str, guests: bool
) -> None:
    files = make_settings(server(version=version), "proxy.example.com")

    lines = dict(line.split("=", 1) for line in files[PROPERTIES].splitlines())
    assert lines["defaultHTML5ClientUrl"] == f"https://proxy.example.com/bbb1/html5client/{client}"
    assert lines["accessControlAllowOrigin"] == "https://proxy.example.com"
    assert ("defaultGuestWaitURL" in lines, "graphqlApiUrl" in lines) == (guests, not guests)
    assert ("/etc/default/bbb-graphql-server" in files) is not guests
    public = yaml.safe_load(files["/etc/bigbluebutton/bbb-html5.yml"])["public"]
    assert public["app"]["basename"] == "/bbb1/html5client"
    assert public["kurento"]["wsUrl"] == "wss://bbb1.example.com/bbb-webrtc-sfu"
    assert json.loads(files["/etc/bigbluebutton/etherpad.json"]) == {
        "cluster_proxies": ["https://proxy.example.com"]
    }
    text = render_settings(files)
    for path, part in files.items():
        assert f"# ---- {path}\n{part}" in text


HOSTILE = "ab1.-_:/@;{}$ \n'\"#[]\\%&<>=*"


@given(
    st.text(HOSTILE), st.text(HOSTILE), st.text("3.0 alpha\n;'\"${}=٣²"), st.text("ab1.-:;\n$'\" /")
)
def test_no_answer_of_a_server_adds_a_setting(
    rest: str, server_id: str, version: str, proxy: str
) -> None:
    """URL, id and the version that a server claims: each file has the lines that it always has."""
    made = server(server_id, f"https://{rest}", version)
    try:
        files = make_settings(made, proxy)
    except UnacceptableValue:
        return
    plain = make_settings(server(), "proxy.example.com")
    if set(files) != set(plain):
        plain = make_settings(server(version="2.7.0"), "proxy.example.com")
    assert set(files) == set(plain)
    for path, text in files.items():
        assert text.count("\n") == plain[path].count("\n")
        for mark in ";{}$'\"#\\":
            assert text.count(mark) == plain[path].count(mark), path
    lines = files[PROPERTIES].splitlines()
    expected = plain[PROPERTIES].splitlines()
    assert [line.split("=")[0] for line in lines] == [line.split("=")[0] for line in expected]
    loaded, usual = (
        yaml.safe_load(one["/etc/bigbluebutton/bbb-html5.yml"]) for one in (files, plain)
    )
    assert shape_of(loaded) == shape_of(usual)


def shape_of(value: object) -> object:
    """Return a document with its names and without its values."""
    return {k: shape_of(v) for k, v in value.items()} if isinstance(value, dict) else type(value)
