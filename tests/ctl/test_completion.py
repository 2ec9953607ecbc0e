"""Completion offers words, options, choices and files: bash really asked, zsh by its structure."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from appliance.ctl.command_tree import Argument, Command, Option, Value
from appliance.ctl.completion import render_bash, render_zsh
from appliance.ctl.program_tree import read_program

DEADLINE_S = 40.0

SMALL = Command(
    "small",
    commands=(
        Command(
            "load",
            about="it's: a [test]",
            options=(
                Option(("--mode",), "which", Value("M", ("keep", "force"))),
                Option(("--tag",), "free", Value("T")),
                Option(("--from",), "where", Value("FILE", is_file=True)),
                Option(("-n", "--dry-run"), "nothing"),
            ),
            arguments=(Argument(Value("what", ("all", "some")), ""),),
        ),
        Command("import", arguments=(Argument(Value("FILE", is_file=True), ""),)),
    ),
)


def complete(script: str, *words: str, directory: Path | None = None) -> set[str]:
    """Return what bash offers for the last word."""
    run = "\n".join(
        (
            script,
            f"COMP_WORDS=({shlex.join(words)})",
            f"COMP_CWORD={len(words) - 1}",
            "_scalelite_appliance",
            'printf "%s\\n" "${COMPREPLY[@]}"',
        )
    )
    done = subprocess.run(
        ["bash", "--norc", "-eu", "-c", run],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
        cwd=directory,
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.fixture(scope="module")
def script() -> str:
    return render_bash(read_program())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("servers dr", {"drain"}),
        ("servers --json dr", {"drain"}),
        ("servers add https://x s --load-multiplier 2 --ma", {"--max-meetings", "--max-users"}),
        ("servers add --tag servers --en", {"--enable"}),
        ("servers add --tag ", set()),
        ("poll ", {"all", "servers", "meetings", "versions"}),
        ("poll s", {"servers"}),
        ("nothing x", set()),
    ],
)
def test_bash_offers_what_may_follow_in_ctl(script: str, words: str, offered: set[str]) -> None:
    assert complete(script, "scalelite-appliance", "ctl", *words.split(" ")) == offered


def test_bash_offers_every_command_of_each_group(script: str) -> None:
    program = read_program()
    groups = [(words, node) for words, node in program.nodes() if node.commands]

    assert len(groups) > 5
    for words, node in groups:
        offered = complete(script, program.name, *words, "")
        assert {command.name for command in node.commands} <= offered


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("load", "--mode", "k"), {"keep"}),
        (("load", "--mode", "=", "f"), {"force"}),
        (("load", "--mode", "="), {"keep", "force"}),
        (("load", "-n", "a"), {"all"}),
        (("load", "--", "--m"), set()),
        (("load", "--tag", "load", "s"), {"some"}),
        (("load", "--from", "on"), {"one.yml"}),
        (("import", ""), {"one.yml", "two.yml"}),
    ],
)
def test_bash_knows_values_choices_and_files(
    words: tuple[str, ...], offered: set[str], tmp_path: Path
) -> None:
    for name in ("one.yml", "two.yml"):
        (tmp_path / name).touch()

    assert complete(render_bash(SMALL), "small", *words, directory=tmp_path) == offered


def test_zsh_has_a_case_for_each_node_with_its_words_described() -> None:
    script = render_zsh(SMALL)

    assert script.startswith("#compdef small\n")
    assert re.findall(r"^    '?([a-z]*)'?\)$", script, re.MULTILINE) == ["", "load", "import"]
    assert "commands=(" + shlex.quote("load:it's: a [test]") + " import)" in script
    assert r"values=$'--mode=keep force\n--tag=\n--from=@files'" in script
    assert "options=(--mode:which --tag:free --from:where -n:nothing --dry-run:nothing)" in script
    assert "words_here='all some'" in script


def test_zsh_names_every_option_of_every_command() -> None:
    program, script = read_program(), render_zsh(read_program())

    for words, node in program.nodes():
        case = script.split(f"\n    {shlex.quote(' '.join(words))})\n")[1].split(";;")[0]
        for option in node.options:
            assert option.names[-1] in case, words
