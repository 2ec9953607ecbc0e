"""The command line: help of every command, options, and wrong usage."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator

import pytest

from appliance import command_line
from appliance.ctl.commands import build_parser, build_program_parser

WITHOUT_CTL = {"config", "secret", "database", "simulate", "takeover"}


def commands_of(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each command that can be run, with its words."""
    groups = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    if words and not groups:
        yield " ".join(words), parser
    for group in groups:
        for word, child in group.choices.items():
            yield from commands_of(child, (*words, word))


PARSER = build_parser()  # a fortieth of a second each time
COMMANDS = dict(commands_of(PARSER))


@pytest.mark.parametrize("words", COMMANDS)
def test_help_has_usage_and_example(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        PARSER.parse_args([*words.split(), "--help"])

    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: scalelite-appliance ctl {words} ")
    assert f"\nexample:\n  scalelite-appliance ctl {words}" in text


@pytest.mark.parametrize("words", COMMANDS)
def test_every_argument_is_described(words: str) -> None:
    assert all(action.help for action in COMMANDS[words]._actions)


@pytest.mark.parametrize(
    "words", ["--json servers list", "servers --json list", "servers list --json"]
)
def test_json_option_is_accepted_at_every_position(words: str) -> None:
    assert PARSER.parse_args(words.split()).json is True


@pytest.mark.parametrize(
    "words",
    [
        "nothing",
        "servers nothing",
        "servers add",
        "servers add https://x/api s --load-multiplier 0",
        "servers add https://x/api s --load-multiplier -2",
        "servers add https://x/api s --load-multiplier nan",
        "servers add https://x/api s --load-multiplier much",
        "servers add https://x/api s --max-users -1",
        "servers add https://x/api s --max-users 1.5",
        "servers enable",
        "servers enable a b",
        "servers list --js",
        "servers disable i --y",
        "servers sync",
        "servers sync f --mode all",
        "servers add-all",
        "servers export x",
        "poll everything",
        "status --interval 0",
        "config",
        "doctor me",
        "analytics list --limit 0",
        "analytics list --limit 10001",
        "analytics list --limit 1.5",
        "callbacks drop",
        "callbacks list --state x",
        "callbacks list --limit x",
        "recordings show",
        "recordings show a b",
        "recordings list --state lost",
        "recordings list --limit 1000000",
        "recordings import",
        "recordings update r --publish --unpublish",
        "recordings update r --meta course",
        "recordings update r --meta =x",
        "recordings prune --days 0",
        "recordings prune --days nan",
        "recordings add-to-tenant",
        "recordings delete r",
        "tenants nothing",
        "tenants add school",
        "tenants update",
        "tenant-settings add t p v yes",
        "tenant-settings add t p v true --call end",
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        PARSER.parse_args(words.split())

    assert stop.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


def test_negative_number_is_no_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        PARSER.parse_args(["servers", "load-multiplier", "bbb1", "-1.5"])

    assert "argument N: '-1.5' is not a number greater than 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("servers add U --enable S", {"url": "U", "secret": "S", "enable": True, "id": None}),
        ("servers add --id=x U --tag t S", {"url": "U", "secret": "S", "tag": "t", "id": "x"}),
        ("servers add U --enable", {"url": "U", "secret": "-", "enable": True}),
        ("servers add U --enable -", {"url": "U", "secret": "-", "enable": True}),
        ("servers add --tag t -- U --secret", {"url": "U", "secret": "--secret", "tag": "t"}),
        ("recordings update a --meta k=-v b --publish c", {"ids": ["a", "b", "c"]}),
        ("meetings end a --yes b", {"ids": ["a", "b"], "yes": True}),
        ("servers update a --tag", None),
        ("servers enable a --no b", None),
    ],
)
def test_options_may_stand_between_other_arguments(
    words: str, expected: dict[str, object] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    if expected is None:
        with pytest.raises(SystemExit):
            PARSER.parse_args(words.split())
        assert len(capsys.readouterr().err.splitlines()) == 1
        return
    found = vars(PARSER.parse_args(words.split()))
    assert {name: found[name] for name in expected} == expected


# --- the whole program ---------------------------------------------------------------------------


def words_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return the first words that a parser accepts."""
    (group,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    return set(group.choices)


def test_program_has_the_commands_of_its_usage() -> None:
    shown = set(re.findall(r"^  ([a-z]+)", command_line.USAGE, re.MULTILINE))

    assert words_of(build_program_parser()) == shown | {"help"}


def test_commands_without_ctl_are_commands_of_ctl() -> None:
    assert words_of(build_parser()) & words_of(build_program_parser()) >= WITHOUT_CTL
