"""The small decisions of the supervisor; that it starts and stops all is tests/end_to_end/."""

from __future__ import annotations

import pytest

from appliance import supervisor


@pytest.mark.parametrize(
    ("urls", "own"),
    [
        (["http://127.0.0.1:3000"], "http://127.0.0.1:3000"),
        (["http://0.0.0.0:3000"], "http://127.0.0.1:3000"),
        (["https://[::]:3000"], "https://[::1]:3000"),
        (["unix:///run/a.sock", "http://10.0.0.1:80"], "http://10.0.0.1:80"),
        (["unix:///run/a.sock"], None),
        ([], None),
    ],
)
def test_own_url_can_be_asked_over_tcp(urls: list[str], own: str | None) -> None:
    assert supervisor._own_url(urls) == own
