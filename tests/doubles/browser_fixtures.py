"""Fixtures for the tests of pages: one Chromium for a file, cleaned for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.doubles.browser import Browser, open_browser


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Give the file's Chromium, as the last test left it."""
    with open_browser() as browser:
        yield browser


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    """Give Chromium without anything of the last test."""
    chromium.reset()
    return chromium
