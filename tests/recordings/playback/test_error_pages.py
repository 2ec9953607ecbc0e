"""The pages in place of a recording."""

from __future__ import annotations

from appliance.recordings.playback.error_pages import ErrorPages


async def test_pages_are_in_the_language_and_escaped() -> None:
    pages = ErrorPages("de_AT", {"recording_not_found": {"title": "<b>Ü</b>", "lang": "x"}})
    missing, unavailable = pages.not_found(), pages.unavailable()

    body = await missing.get_data(as_text=True)
    assert (missing.status_code, unavailable.status_code) == (404, 503)
    assert '<html lang="de-AT">' in body
    assert "<h1>&lt;b&gt;Ü&lt;/b&gt;</h1>" in body
    assert "you may not see it" in body
    assert "try again later" in await unavailable.get_data(as_text=True)


def test_pages_are_not_cached_and_run_no_scripts() -> None:
    headers = ErrorPages("en", {}).not_found().headers

    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
