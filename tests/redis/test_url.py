"""REDIS_URL in every spelling that redis-py accepts."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from appliance.redis.url import Endpoint, parse_redis_url


def endpoint(
    host: str = "localhost",
    port: int = 6379,
    db: int = 0,
    *,
    path: str | None = None,
    username: str | None = None,
    password: str | None = None,
) -> Endpoint:
    return Endpoint(host, port, path, db, username, password, tls=None)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", endpoint()),
        ("redis://example.org", endpoint("example.org")),
        ("redis://example.org:7000/3", endpoint("example.org", 7000, 3)),
        ("redis://example.org/no-number", endpoint("example.org")),
        ("redis://example.org/3?db=4", endpoint("example.org", db=4)),
        ("redis://ann@example.org", endpoint("example.org", username="ann")),
        (
            "redis://ann:w%40rt@[::1]:7000",
            endpoint("::1", 7000, username="ann", password="w@rt"),
        ),
        ("redis://:wort@example.org/?db=2", endpoint("example.org", db=2, password="wort")),
        (
            "redis://example.org?username=ann&password=w%2540rt",
            endpoint("example.org", username="ann", password="w%40rt"),
        ),
        ("redis:///5?host=elsewhere&port=7001", endpoint("elsewhere", 7001, 5)),
        ("unix:///run/redis.sock", endpoint(path="/run/redis.sock")),
        ("unix:///run/redis.sock?db=4", endpoint(path="/run/redis.sock", db=4)),
        ("unix:///run/a%20socket", endpoint(path="/run/a socket")),
        ("unix://:wort@/run/redis.sock", endpoint(path="/run/redis.sock", password="wort")),
    ],
)
def test_url_is_parsed(url: str, expected: Endpoint) -> None:
    assert parse_redis_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://geheim@example.org",
        "redis:geheim",
        "redis://:geheim@example.org:port",
        "redis://:geheim@example.org:70000",
        "redis://:geheim@example.org?db=one",
        "redis://:geheim@example.org?port=one",
        "redis://[geheim",
        "unix://",
        "geheim",
        "",
    ],
)
def test_url_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="address") as failure:
        parse_redis_url(url)

    assert "geheim" not in str(failure.value)


def test_missing_certificate_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        parse_redis_url(f"rediss://example.org?ssl_ca_certs={tmp_path}/missing.pem")


@pytest.mark.parametrize(
    ("options", "mode", "checks_host"),
    [
        ("", ssl.CERT_REQUIRED, True),
        ("?ssl_check_hostname=false", ssl.CERT_REQUIRED, False),
        ("?ssl_cert_reqs=none", ssl.CERT_NONE, False),
    ],
)
def test_tls_follows_the_options(options: str, mode: ssl.VerifyMode, checks_host: bool) -> None:
    found = parse_redis_url(f"rediss://ann:wort@example.org:7000/1{options}")

    assert found.tls is not None
    assert (found.tls.verify_mode, found.tls.check_hostname) == (mode, checks_host)
    assert (found.host, found.port, found.db) == ("example.org", 7000, 1)
    assert (found.username, found.password) == ("ann", "wort")
