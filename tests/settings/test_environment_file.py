"""Parsing of environment files as systemd parses them."""

from __future__ import annotations

import pytest

from appliance.settings.environment_file import parse_environment_file


# Source: systemd.exec(5), EnvironmentFile=; `make deb-test` compares with a real systemd.
@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("A=1\nB=2", {"A": "1", "B": "2"}),
        ("# A=1\n; B=2\n  # C=3\n\nD=4\n", {"D": "4"}),
        ("A = 1 \n  B=  two words\t\n", {"A": "1", "B": "two words"}),
        ("A='a \"b\" \\$c'\n", {"A": 'a "b" \\$c'}),
        ('A="a \'b\' \\"c\\" \\$d \\e"\n', {"A": "a 'b' \"c\" $d \\e"}),
        ("A='one'\"two\" three\n", {"A": "onetwothree"}),
        ("A='two\nlines'\nB=1\n", {"A": "two\nlines", "B": "1"}),
        ('A=a\\\nb\nB="c\\\nd"\n', {"A": "ab", "B": "cd"}),
        ("A=a\\,b\\\\c\n", {"A": "a,b\\c"}),
        ("A=a#b ; c\n", {"A": "a#b ; c"}),
        ("A=\nB=''\n", {"A": "", "B": ""}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("export A=1\n1A=1\nno assignment\nB=2\n", {"B": "2"}),
        ("A=1\nA=2\n", {"A": "2"}),
        ("A=b'c'\n", {"A": "b'c'"}),
        ("A=a=b\n", {"A": "a=b"}),
        ("A='open\nB=1\n", {"A": "open\nB=1\n"}),
        ("", {}),
    ],
)
def test_environment_file_is_read_as_systemd_reads_it(text: str, variables: dict[str, str]) -> None:
    assert parse_environment_file(text) == variables
