"""The manual page names every command, option and variable, in markup that holds."""

from __future__ import annotations

import itertools
import re

import pytest

from appliance.ctl import manual
from appliance.ctl.command_tree import Command
from appliance.ctl.manual import render_manual
from appliance.ctl.program_tree import read_program
from appliance.settings.reading import VARIABLES

MACROS = {"TH", "SH", "SS", "PP", "TP", "RS", "RE", "EX", "EE", "br"}


@pytest.fixture(scope="module")
def page() -> str:
    return render_manual(read_program(), "1.2.3", "2026-11-25")


def plain(page: str) -> str:
    """Return the page as it reads, without its markup."""
    text = re.sub(r"\\f[BIR]|\\&|\\:", "", page)
    for escape, char in (("\\-", "-"), ("\\(aq", "'"), ("\\(dq", '"'), ("\\(ti", "~")):
        text = text.replace(escape, char)
    return text.replace("\\e", "\\")


def test_every_command_and_option_is_there(page: str) -> None:
    text = plain(page)

    for words, command in read_program().leaves():
        if words[0] == "ctl":
            assert f"\n{' '.join(words)}" in text
            for option in command.options:
                assert option.names[-1] in text


def test_every_variable_is_an_item(page: str) -> None:
    items = re.findall(r"^\.TP\n(.+)$", page, re.MULTILINE)

    assert {f"\\fB{variable.name}\\fR" for variable in VARIABLES} <= set(items)


def test_sections_are_those_of_a_manual_page(page: str) -> None:
    assert page.splitlines()[1] == (
        '.TH SCALELITE\\-APPLIANCE 8 "2026\\-11\\-25" "scalelite-appliance 1.2.3"'
        ' "System Administration"'
    )
    sections = re.findall(r"^\.SH (.+)$", page, re.MULTILINE)
    assert sections == [
        *("NAME", "SYNOPSIS", "DESCRIPTION", "COMMANDS", "RAKE SPELLING", "ENVIRONMENT"),
        *("FILES", "EXIT STATUS", "SIGNALS", "EXAMPLES", "SEE ALSO"),
    ]


def test_markup_is_well_formed(page: str) -> None:
    depth, literal = 0, False
    lines = page.splitlines()
    for before, line in itertools.pairwise(lines):
        macro = line.split()[0][1:] if line.startswith(".") and not line.startswith('.\\"') else ""
        assert not macro or macro in MACROS, line
        assert line, before
        assert not line.startswith("'"), line
        assert line.count("\\fB") + line.count("\\fI") == line.count("\\fR"), line
        assert line.isascii(), line
        depth += {"RS": 1, "RE": -1}.get(macro, 0)
        assert depth >= 0
        literal = {"EX": True, "EE": False}.get(macro, literal)
        assert before != ".TP" or not macro, "an item needs its head"
    assert (depth, literal) == (0, False)


def test_text_cannot_be_taken_for_markup() -> None:
    command = Command("odd", about='.SH not a heading \\fB "quoted" it\'s \u2013 `code`')
    page = render_manual(Command("p", commands=(Command("ctl"), command)), "1")

    assert (
        "\n\\&.SH not a heading \\efB \\(dqquoted\\(dq it\\(aqs \\[u2013] \\fBcode\\fR.\n" in page
    )


def test_exit_codes_are_those_of_the_program() -> None:
    from appliance.ctl import program

    codes = {program.FAILED, program.USAGE, program.NOT_RUNNING, program.INTERRUPTED}
    assert {int(code) for code, _ in manual.EXIT_CODES} == {0, *codes}
