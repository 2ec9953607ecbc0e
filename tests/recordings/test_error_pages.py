"""The pages in place of a recording."""

from __future__ import annotations

from appliance.recordings.error_pages import ErrorPages


def test_pages_are_in_the_language_and_escaped() -> None:
    pages = ErrorPages("de_AT", {"recording_not_found": {"title": "<b>Ü</b>", "lang": "x"}})

    body = pages.not_found.body.decode()
    assert (pages.not_found.status, pages.unavailable.status) == (404, 503)
    assert '<html lang="de-AT">' in body
    assert "<h1>&lt;b&gt;Ü&lt;/b&gt;</h1>" in body
    assert "you may not see it" in body
    assert b"try again later" in pages.unavailable.body


def test_pages_are_not_cached_and_run_no_scripts() -> None:
    headers = dict(ErrorPages("en", {}).not_found.headers)

    assert headers[b"cache-control"] == b"no-store"
    assert headers[b"content-security-policy"].startswith(b"default-src 'none'")
