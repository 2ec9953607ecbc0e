"""REDIS_URL: read as redis-py reads it, the spelling that every guide follows."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, cast

import pytest
from redis.connection import parse_url

from appliance.redis.url import parse_redis_url


@pytest.mark.parametrize(
    "url",
    [
        "redis://",
        "redis://example.org",
        "redis://example.org:7000/3",
        "redis://example.org/no-number",
        "redis://example.org/3?db=4",
        "redis://ann@example.org",
        "redis://ann:w%40rt@[::1]:7000",
        "redis://:wort@example.org/?db=2",
        "redis://example.org?username=ann&password=w%2540rt",
        "redis:///5?host=elsewhere&port=7001",
        "rediss://ann:wort@example.org:7000/1",
        "unix:///run/redis.sock?db=4",
        "unix:///run/a%20socket",
        "unix://:wort@/run/redis.sock",
    ],
)
def test_url_is_read_as_redis_py_reads_it(url: str) -> None:
    found = parse_redis_url(url)

    expected = cast("dict[str, Any]", parse_url(url))  # type: ignore[no-untyped-call]
    assert found.host == expected.get("host", "localhost")
    assert found.port == int(expected.get("port", 6379))
    assert found.db == expected.get("db", 0)
    assert (found.username, found.password) == (expected.get("username"), expected.get("password"))
    assert found.path == (expected["path"] if url.startswith("unix:") else None)
    assert (found.tls is not None) == url.startswith("rediss:")


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
def test_url_is_refused_without_repeating_it(url: str) -> None:
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
def test_address_sets_up_tls(options: str, mode: ssl.VerifyMode, checks_host: bool) -> None:
    context = parse_redis_url(f"rediss://example.org{options}").tls

    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (mode, checks_host)
