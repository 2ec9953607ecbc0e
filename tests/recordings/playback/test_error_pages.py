"""The pages in place of a recording."""

from __future__ import annotations

import pytest

from appliance.http.quart_app import make_quart_app
from appliance.recordings.playback.error_pages import ErrorPages

QUART = make_quart_app("test")
TEXTS = {"de": {"recording_not_found": {"title": "<b>Ü</b>", "lang": "x"}}}


@pytest.mark.parametrize(
    ("locale", "wanted", "language"),
    [("de_AT", "", "de"), ("en", "fr, de-AT;q=0.5", "de"), ("de", "en;q=0, fr", "de")],
)
async def test_pages_are_in_the_language_and_escaped(
    locale: str, wanted: str, language: str
) -> None:
    pages = ErrorPages(locale, TEXTS)
    async with QUART.test_request_context("/", headers={"accept-language": wanted}):
        missing, unavailable = pages.not_found(), pages.unavailable()

    body = await missing.get_data(as_text=True)
    assert (missing.status_code, unavailable.status_code) == (404, 503)
    assert f'<html lang="{language}">' in body
    assert "<h1>&lt;b&gt;Ü&lt;/b&gt;</h1>" in body
    assert "you may not see it" in body
    assert "try again later" in await unavailable.get_data(as_text=True)


async def test_page_is_english_for_a_browser_that_wants_english() -> None:
    async with QUART.test_request_context("/", headers={"accept-language": "en-US, de;q=0.5"}):
        body = await ErrorPages("de", TEXTS).not_found().get_data(as_text=True)

    assert '<html lang="en">' in body


async def test_pages_are_not_cached_and_run_no_scripts() -> None:
    async with QUART.test_request_context("/"):
        headers = ErrorPages("en", {}).not_found().headers

    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
