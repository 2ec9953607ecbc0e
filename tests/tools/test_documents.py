"""How the package test reads the commands of documents, and compares what they print."""

from __future__ import annotations

import pytest

from tools.deb_test.documents import (
    COMMANDS,
    DOCUMENTS,
    NOT_RUN,
    SESSION,
    SETTINGS,
    is_printed,
    read_blocks,
    read_settings,
    split_session,
)
from tools.deb_test.packages import ROOT

PAGE = """\
# A page

    one
    two

    three

Text that
    is no block.

<!-- settings -->

    A=1

- An item

    that goes on
      and on

      in a list

<!-- not run: elsewhere -->

    ssh

```yaml
servers:
```

```sh
four
```

    $ five
    5
"""


def test_blocks_have_their_kind_and_place() -> None:
    blocks = [(block.line, block.kind, "|".join(block.lines)) for block in read_blocks(PAGE)]

    assert blocks == [
        (3, COMMANDS, "one|two||three"),
        (13, SETTINGS, "A=1"),
        (20, COMMANDS, "in a list"),
        (24, NOT_RUN, "ssh"),
        (27, NOT_RUN, "servers:"),
        (31, COMMANDS, "four"),
        (34, SESSION, "$ five|5"),
    ]


def test_session_is_commands_with_their_output() -> None:
    lines = ["$ one", "1", "", "$ two \\", "> three", "$ four"]

    assert split_session(lines) == [("one", ["1", ""]), ("two \\\nthree", []), ("four", [])]


@pytest.mark.parametrize(
    ("expected", "output", "same"),
    [
        ("id: …\nOK", "id: 7f\nOK\n", True),
        ("id: …", "name: x\n", False),
        ("first\n  …\nlast", "first\n1\n2\nlast\n", True),
        ("first\n…\nlast", "first\nlast\n", True),
        ("first\n…", "other\n", False),
        ("", "", True),
        ("", "something\n", False),
        ("a.c", "abc", False),
    ],
)
def test_output_is_compared_with_gaps(expected: str, output: str, same: bool) -> None:
    assert is_printed(expected.split("\n"), output) is same


def test_every_followed_section_exists_and_says_what_to_do() -> None:
    for document in DOCUMENTS:
        text = (ROOT / document.name).read_text()
        assert all(f"\n## {section}\n" in text for section in document.sections)
        for block in read_blocks(text):
            assert "\t" not in "".join(block.lines) or block.kind == NOT_RUN, document.name


def test_settings_have_comments_on_lines_of_their_own() -> None:
    assert read_settings(["# one", "", "A=b # c", " D=e=f"]) == {"A": "b # c", "D": "e=f"}
    for path in (ROOT / "docs").glob("*.md"):
        for block in read_blocks(path.read_text()):
            if block.kind == SETTINGS:
                assert not [one for one in read_settings(block.lines).values() if " #" in one]
