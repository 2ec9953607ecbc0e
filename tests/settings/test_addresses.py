"""Parsing and formatting of addresses and URLs."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.settings import addresses
from appliance.settings.addresses import parse_database_url
from appliance.settings.kinds import Kind
from appliance.settings.model import Bind


def parses(kind: Kind[Any], raw: str) -> bool:
    """Return whether a kind accepts a text."""
    try:
        kind.parse(raw)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    ("raw", "host"),
    [
        ("bbb.example.org", "bbb.example.org"),
        (" BBB.Example.ORG ", "bbb.example.org"),
        ("a", "a"),
        ("10.0.0.1", "10.0.0.1"),
        ("my_host", "my_host"),
    ],
)
def test_host_is_taken_in_lower_case(raw: str, host: str) -> None:
    assert addresses.HOST.parse(raw) == host


@pytest.mark.parametrize(
    "raw",
    [
        "https://a.org",
        "a.org:443",
        "a.org/x",
        "a b",
        "-a.org",
        "a.org-",
        "",
        "*",
        ".",
        "ä.org",
        "a" * 254,
        "a\n.org",
        "user@a.org",
    ],
)
def test_host_refuses(raw: str) -> None:
    assert not parses(addresses.HOST, raw)


@pytest.mark.parametrize(
    ("raw", "binds"),
    [
        ("tcp://0.0.0.0:3000", (Bind("tcp", "0.0.0.0", 3000),)),
        ("tcp://[::]:3000", (Bind("tcp", "::", 3000),)),
        ("tcp://localhost:0", (Bind("tcp", "localhost", 0),)),
        ("127.0.0.1:9100", (Bind("tcp", "127.0.0.1", 9100),)),
        ("ssl://a.org:443/", (Bind("ssl", "a.org", 443),)),
        ("ssl://a.org:65535?key=x&cert=y", (Bind("ssl", "a.org", 65535),)),
        ("unix:///run/a.sock", (Bind("unix", path="/run/a.sock"),)),
        ("unix:/run/a.sock", (Bind("unix", path="/run/a.sock"),)),
        ("unix:///run/a.sock?umask=0111", (Bind("unix", path="/run/a.sock"),)),
        ("unix:///" + "x" * 106, (Bind("unix", path="/" + "x" * 106),)),
        (
            " tcp://a:1  unix:///b ",
            (Bind("tcp", "a", 1), Bind("unix", path="/b")),
        ),
    ],
)
def test_bind_is_parsed(raw: str, binds: tuple[Bind, ...]) -> None:
    assert addresses.BINDS.parse(raw) == binds


@pytest.mark.parametrize(
    "raw",
    [
        "tcp://0.0.0.0",
        "tcp://:3000",
        "tcp://a:65536",
        "tcp://a:-1",
        "tcp://[::1:3000",
        "tcp://::1:3",
        "http://a:80",
        "unix://run/a.sock",
        "unix:///",
        "unix:",
        "3000",
        "tcp://a:1/x",
        "tcp://a:1 b",
        "unix:///" + "x" * 107,
        "tcp://[zz]:1",
        "tcp://a:1,tcp://b:2",
    ],
)
def test_bind_refuses(raw: str) -> None:
    assert not parses(addresses.BINDS, raw)


def test_bind_options_are_warned_about() -> None:
    warning = addresses.BINDS.warn("unix:///a?umask=0111&mode=07 tcp://a:1?low_latency=true")

    assert warning == "address options are ignored: low_latency, mode, umask"
    assert addresses.BINDS.warn("unix:///a tcp://a:1") is None


@pytest.mark.parametrize("raw", ["tcp://[::1]:80 unix:///a ssl://h:1"])
def test_bind_shown_is_read_back(raw: str) -> None:
    assert addresses.BINDS.show(addresses.BINDS.parse(raw)) == raw


@pytest.mark.parametrize(
    ("raw", "networks"),
    [
        ("10.0.0.0/8", ["10.0.0.0/8"]),
        ("10.1.2.3/8,::1", ["10.0.0.0/8", "::1/128"]),
        ("192.0.2.7 , 192.0.2.8", ["192.0.2.7/32", "192.0.2.8/32"]),
        ("0.0.0.0/1", ["0.0.0.0/1"]),
        ("none", []),
    ],
)
def test_networks_are_parsed(raw: str, networks: list[str]) -> None:
    assert addresses.NETWORKS.parse(raw) == tuple(ip_network(network) for network in networks)


@pytest.mark.parametrize(
    "raw",
    ["0.0.0.0/0", "::/0", "10.0.0.0/8,0.0.0.0/0", "host", "10.0.0.0/33", ",", "*", "none,::1"],
)
def test_networks_refuse(raw: str) -> None:
    assert not parses(addresses.NETWORKS, raw)


@pytest.mark.parametrize(
    ("raw", "sentinels"),
    [
        ("a:26379,b:26380", (("a", 26379), ("b", 26380))),
        ("a, [::1]:1", (("a", 26379), ("::1", 1))),
    ],
)
def test_sentinels_are_parsed(raw: str, sentinels: tuple[tuple[str, int], ...]) -> None:
    assert addresses.SENTINELS.parse(raw) == sentinels


@pytest.mark.parametrize("raw", ["a:0", "a:65536", ",", "redis://a:1", "a:b"])
def test_sentinels_refuse(raw: str) -> None:
    assert not parses(addresses.SENTINELS, raw)


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ("postgresql://u:p@h:5432/d", "postgresql://u:p@h:5432/d"),
        ("postgres://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgres://h", "postgresql://h/scalelite"),
        ("postgres://u:p@h:1/", "postgresql://u:p@h:1/scalelite"),
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d?host=/run/postgresql"),
        ("postgresql:///?host=/run/pg", "postgresql:///scalelite?host=/run/pg"),
        ("postgresql://%2Frun%2Fpg/d", "postgresql://%2Frun%2Fpg/d"),
        ("postgresql://u@/d", "postgresql://u@/d"),
        ("postgres://h/?dbname=x", "postgresql://h/?dbname=x"),
        ("postgres://h/d?sslmode=verify-full", "postgresql://h/d?sslmode=verify-full"),
        ("postgres://h/d?pool=5&timeout=9&sslmode=require", "postgresql://h/d?sslmode=require"),
        ("postgres://h/d?pool=5", "postgresql://h/d"),
        ("postgres://h/d?application_name=x%20y", "postgresql://h/d?application_name=x%20y"),
        ("postgres://u:p%40%2F@h/d", "postgresql://u:p%40%2F@h/d"),
        ("postgres://u:p@p@h/d", "postgresql://u:p%40p@h/d"),
        (
            "postgres://a:1,b:2/d?target_session_attrs=any",
            "postgresql://a:1,b:2/d?target_session_attrs=any",
        ),
        ("postgres://[::1]:5432/d", "postgresql://[::1]:5432/d"),
    ],
)
def test_database_url_is_converted_for_the_driver(raw: str, url: str) -> None:
    assert parse_database_url(raw) == url


@pytest.mark.parametrize(
    "raw",
    [
        "mysql://h/d",
        "h/d",
        "postgres:h",
        "postgres:/d",
        "postgres://h:99999/d",
        "postgres://h:0/d",
        "postgres://h:x/d",
        "postgres://u:p#w@h/d",
        "postgres://u:p/w@h/d",
        "postgres://h/d/e",
        "postgres://h/d?sslmode=maybe",
        "postgres://h/d?port=70000",
        "postgres://u:p w@h/d",
        "postgres://[::1/d",
        "postgres://h/d\n"[:-1] + "\x00",
    ],
)
def test_database_url_refuses(raw: str) -> None:
    assert not parses(addresses.POSTGRESQL, raw)


def test_rails_options_are_warned_about() -> None:
    warn = addresses.POSTGRESQL.warn

    assert warn("postgres://h/d?pool=5&timeout=9&sslmode=require") == (
        "options of Rails are ignored: pool, timeout"
    )
    assert "PREPARED_STATEMENT" in (warn("postgres://h/d?prepared_statements=false") or "")
    assert warn("postgres://h/d?sslmode=require") is None


@pytest.mark.parametrize(
    "raw",
    [
        "redis://h",
        "redis://h:6379/0",
        "redis://:p@h:6379/15",
        "rediss://u:p@h",
        "redis://h/",
        "unix:///run/redis.sock",
        "unix://u:p@/run/redis.sock?db=1",
        "redis://[::1]:6379",
        "rediss://h?ssl_ca_certs=/etc/ca.pem&ssl_check_hostname=false",
        "unix:///run/r.sock?db=1&username=a&password=p",
        "redis://h?db=",
    ],
)
def test_redis_url_is_kept_unchanged(raw: str) -> None:
    assert addresses.REDIS.parse(f" {raw} ") == raw


@pytest.mark.parametrize(
    "raw",
    [
        "http://h",
        "h:6379",
        "redis:h",
        "redis://h/x",
        "redis://h:0",
        "redis://h:65536",
        "unix://",
        "redis://u:p#w@h",
        "redis://u:p/w@h",
        "unix:///" + "x" * 107,
        "redis://h/0/1",
        "redis://a,b",
        "redis://h?db=x",
    ],
)
def test_redis_url_refuses(raw: str) -> None:
    assert not parses(addresses.REDIS, raw)


@pytest.mark.parametrize(
    ("raw", "url"),
    [
        ("REDIS://h", "redis://h"),
        ("redis://a@b:p@h", "redis://a%40b:p@h"),
        ("redis://h?db=2&socket_timeout=abc", "redis://h?db=2"),
    ],
)
def test_redis_url_is_spelt_as_the_client_reads_it(raw: str, url: str) -> None:
    assert addresses.REDIS.parse(raw) == url
    assert "p@h" not in addresses.REDIS.show(addresses.REDIS.parse(raw))


def test_options_of_redis_that_are_ignored_are_named() -> None:
    assert addresses.REDIS.warn is not None
    assert addresses.REDIS.warn("redis://h?socket_timeout=5&db=1") == (
        "options are ignored: socket_timeout"
    )


@given(st.text())
def test_store_url_is_parsed_or_refused_whatever_it_holds(raw: str) -> None:
    for kind in (addresses.POSTGRESQL, addresses.REDIS):
        if parses(kind, raw):
            assert "://" in kind.parse(raw)
            kind.warn(raw)


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1))
def test_store_url_is_shown_without_password(password: str) -> None:
    marked = f"{password}S3C"

    assert "S3C" not in addresses.show_store_url(f"postgresql://u:{marked}@h/d")


@pytest.mark.parametrize("raw", ["https://s3.example.org", "http://minio:9000/"])
def test_http_url_is_taken(raw: str) -> None:
    assert addresses.HTTP_URL.parse(raw) == raw.rstrip("/")


@pytest.mark.parametrize(
    "raw",
    ["ftp://h", "h", "https://", "https://u:p@h", "https://h:0", "https://h:x", "https://h?x=1"],
)
def test_http_url_refuses(raw: str) -> None:
    assert not parses(addresses.HTTP_URL, raw)
