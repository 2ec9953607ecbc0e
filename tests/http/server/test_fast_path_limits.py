"""Limits of a head, and forms of a target."""

from __future__ import annotations

import pytest

from appliance.http.server.fast_path import (
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    has_large_head,
    to_origin_form,
)

LINE = b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize(
    ("received", "large"),
    [
        (b"", False),
        (LINE + b"a: b\r\n" * MAX_FIELDS + b"\r\n", False),
        (LINE + b"a: b\n" * MAX_FIELDS + b"\n" + b"\n" * 1000, False),
        (LINE + b"a: b\r\n" * (MAX_FIELDS + 1) + b"\r\n", True),
        (LINE + b"a: b\r\n" * (MAX_FIELDS + 2), True),
        (b"x" * MAX_HEAD_BYTES, False),
        (b"x" * (MAX_HEAD_BYTES + 1), True),
        (LINE + b"\r\n" + b"\n" * MAX_HEAD_BYTES, False),
    ],
)
def test_head_is_large_over_either_limit(received: bytes, large: bool) -> None:
    assert has_large_head(received) is large


def test_only_a_whole_url_changes_the_target() -> None:
    fields = [(b"accept", b"*/*"), (b"host", b"x")]

    assert to_origin_form(b"/a", fields) == (b"/a", fields)
    assert to_origin_form(b"*", fields) == (b"*", fields)
    assert to_origin_form(b"http://y/a?b", fields) == (
        b"/a?b",
        [(b"host", b"y"), (b"accept", b"*/*")],
    )
