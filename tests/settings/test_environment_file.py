"""A file of variables is read as systemd reads it."""

from __future__ import annotations

import pytest

from appliance.settings.environment_file import parse_environment_file


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("A=1\nB=two words \n", {"A": "1", "B": "two words"}),
        ("# A=1\n; B=2\n  C = 3\nno assignment\n", {"C": "3"}),
        ("A='a \"b\" $c'\n", {"A": 'a "b" $c'}),
        ('B="say \\"hi\\" \\$x \\n"\n', {"B": 'say "hi" $x \\n'}),
        ("A=one\\\ntwo\n", {"A": "onetwo"}),
        ("export A=1\nA=2\n", {"A": "2"}),
        ("A=\nB=''\n", {"A": "", "B": ""}),
        ("A=x=y#z\r\n", {"A": "x=y#z"}),
        ("URL=redis://h:1/0?a='b'\n", {"URL": "redis://h:1/0?a='b'"}),
    ],
)
def test_file_is_read(text: str, found: dict[str, str]) -> None:
    assert parse_environment_file(text) == found
