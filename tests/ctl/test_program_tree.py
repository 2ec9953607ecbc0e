"""The tree has every word that the program takes, `run` and its like too."""

from __future__ import annotations

import re

from appliance import __main__
from appliance.ctl.program_tree import WITHOUT_CTL, read_program


def test_program_words_are_those_of_its_usage() -> None:
    told = set(re.findall(r"^  ([a-z]+)", __main__.USAGE, re.MULTILINE))
    tree = {command.name for command in read_program().commands}

    assert told <= tree
    assert tree <= told | {*WITHOUT_CTL, "help"}


def test_groups_without_ctl_are_those_of_ctl() -> None:
    program = {command.name: command for command in read_program().commands}
    of_ctl = {command.name: command for command in program["ctl"].commands}

    assert set(WITHOUT_CTL) <= set(program)
    for name in WITHOUT_CTL:
        assert program[name] == of_ctl[name]


def test_every_command_has_an_example() -> None:
    bare = [
        " ".join(words)
        for words, command in read_program().leaves()
        if words[0] == "ctl" and not command.commands and "example" not in command.epilog
    ]

    assert not bare, bare


def test_every_option_and_argument_says_what_it_is() -> None:
    silent = [
        " ".join((*words, *names))
        for words, command in read_program().leaves()
        for names, about in (
            *((option.names, option.about) for option in command.options),
            *(((argument.value.name,), argument.about) for argument in command.arguments),
        )
        if not about
    ]

    assert not silent, silent
