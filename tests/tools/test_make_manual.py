"""The generated manual page and completions: reproducible, complete, and working in a real bash."""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.ctl.commands import build_program_parser
from appliance.settings.reading import VARIABLES

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 40.0
NAMES = {"scalelite-appliance.8", "scalelite-appliance.bash", "_scalelite-appliance"}


def run_tool(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "tools/make_manual.py"), *words],
        env={"PATH": "/usr/bin:/bin", "SOURCE_DATE_EPOCH": "86400"},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        cwd="/",
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate the files, and return their directory."""
    directory = tmp_path_factory.mktemp("made") / "new"
    done = run_tool(str(directory))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    return directory


def test_files_are_reproducible_and_dated_by_the_build(made: Path, tmp_path: Path) -> None:
    assert run_tool(str(tmp_path)).returncode == 0

    files = {path.name: path.read_text() for path in made.iterdir()}
    assert files.keys() == NAMES
    assert files == {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert '.TH SCALELITE\\-APPLIANCE "8" "1970\\-01\\-02"' in files["scalelite-appliance.8"]


def test_wrong_usage_is_exit_code_2() -> None:
    done = run_tool()

    assert done.returncode == 2
    assert "usage" in done.stderr


# --- manual page ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page(made: Path) -> str:
    """Return the page as text, formatted by groff."""
    done = subprocess.run(
        ["groff", "-man", "-Kutf8", "-Tascii", "-P-cbou", "-rLL=120n", "-ww"],
        input=(made / "scalelite-appliance.8").read_text(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def commands_of(
    parser: argparse.ArgumentParser,
) -> list[tuple[argparse.ArgumentParser, list[argparse.Action]]]:
    """Return each parser with its own options and arguments."""
    groups = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
    own = [one for one in parser._actions if one not in groups]
    found = [(parser, own)]
    for group in groups:
        for child in group.choices.values():
            found += commands_of(child)
    return found


def test_page_has_every_command_with_its_arguments_and_example(page: str) -> None:
    words = re.sub(r"\s+", " ", page)

    for parser, actions in commands_of(build_program_parser())[1:]:
        section = page.split(f"\n   {parser.prog}\n")[1].split("\n   scalelite-appliance ")[0]
        for action in actions:
            name = action.option_strings[0] if action.option_strings else action.metavar
            if name not in ("-h", "--json"):  # described once, for all commands
                assert f"\n              {name}" in section, parser.prog
        if parser.epilog:
            # Examples are not filled, so that they can be copied.
            assert parser.epilog.removeprefix("example:\n").rstrip() in section
        assert parser.description is not None
        assert parser.description.replace("`", "") in words


def test_page_has_every_variable(page: str) -> None:
    found = set(re.findall(r"^       ([A-Z][A-Z0-9_]+)(?: |$)", page, re.MULTILINE))

    assert {variable.name for variable in VARIABLES} <= found


# --- completion ----------------------------------------------------------------------------------


def complete(made: Path, words: str, directory: Path | None = None, **variables: str) -> set[str]:
    """Return the completions that bash offers for the last word."""
    line = ["scalelite-appliance", *words.split(" ")]
    script = "\n".join(
        (
            f"source {shlex.quote(str(made / 'scalelite-appliance.bash'))}",
            f"COMP_WORDS=({shlex.join(line)})",
            f"COMP_CWORD={len(line) - 1}",
            "_scalelite_appliance",
            'printf "%s\\n" "${COMPREPLY[@]}"',
        )
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
        cwd=directory,
        env={**os.environ, **variables},
    )
    assert done.stderr == ""
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("ct", {"ctl"}),
        ("config ", {"check"}),
        ("ctl servers dr", {"drain"}),
        ("ctl servers --json dr", {"drain"}),
        (
            "ctl servers add https://x s --load-multiplier 2 --ma",
            {"--max-meetings", "--max-users"},
        ),
        ("ctl servers add --tag servers --en", {"--enable"}),
        ("ctl servers add --tag ", set()),
        ("ctl servers sync --mode k", {"keep"}),
        # bash splits words at "=".
        ("ctl servers sync --mode = f", {"force"}),
        ("ctl servers sync --mode =", {"keep", "cordon", "force"}),
        ("ctl servers sync --mode = keep --dr", {"--dry-run"}),
        ("ctl poll ", {"all", "servers", "meetings", "versions"}),
        ("ctl poll s", {"servers"}),
        ("ctl nothing x", set()),
    ],
)
def test_bash_completes_commands_options_and_choices(
    made: Path, words: str, offered: set[str]
) -> None:
    assert complete(made, words) == offered


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("ctl servers sync ", {"one.yml", "two.yml"}),
        ("ctl servers sync --mode keep on", {"one.yml"}),
        ("ctl takeover check --env-file t", {"two.yml"}),
    ],
)
def test_bash_completes_files(made: Path, words: str, offered: set[str], tmp_path: Path) -> None:
    for name in ("one.yml", "two.yml"):
        (tmp_path / name).touch()

    assert complete(made, words, tmp_path) == offered


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ("ctl servers drain bb", "server bb"),
        ("ctl servers meetings one tw", "server tw"),
        ("ctl meetings end --yes ", "meeting "),
        ("ctl tenants remove ", "tenant "),
        ("ctl recordings list --tenant = s", "tenant s"),
        ("ctl recordings show 18", "recording 18"),
        ("ctl tokens revoke ", "token "),
    ],
)
def test_bash_asks_the_appliance_for_objects(
    made: Path, words: str, asked: str, tmp_path: Path
) -> None:
    program = tmp_path / "scalelite-appliance"
    program.write_text('#!/bin/sh\necho "$3/$4"; echo lost >&2\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"

    assert complete(made, words, PATH=path) == {asked.replace(" ", "/")}


def test_bash_offers_every_command_of_each_group(made: Path) -> None:
    for parser, _ in commands_of(build_program_parser()):
        for group in parser._actions:
            if isinstance(group, argparse._SubParsersAction):
                words = " ".join([*parser.prog.split()[1:], ""])
                assert set(group.choices) <= complete(made, words), parser.prog


def test_interactive_bash_completes_after_tab(made: Path) -> None:
    leader, follower = pty.openpty()
    script = shlex.quote(str(made / "scalelite-appliance.bash"))
    bash = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={"PATH": "/usr/bin:/bin", "TERM": "dumb", "PS1": "$ ", "INPUTRC": "/dev/null"},
        start_new_session=True,
    )
    os.close(follower)
    try:
        line = "scalelite-appliance ctl servers sync --mode=f\t --dry\t"
        os.write(leader, f"source {script}\n{line}".encode())
        shown, limit_s = b"", time.monotonic() + DEADLINE_S
        while b"--mode=force  --dry-run" not in shown and time.monotonic() < limit_s:
            if select.select([leader], [], [], 0.2)[0]:
                shown += os.read(leader, 4096)
    finally:
        bash.kill()
        bash.wait()
        os.close(leader)

    assert b"--mode=force  --dry-run" in shown, shown.decode()


def test_zsh_completion_describes_commands_and_options(made: Path) -> None:
    script = (made / "_scalelite-appliance").read_text()

    assert script.startswith("#compdef scalelite-appliance\n")
    for parser, actions in commands_of(build_program_parser()):
        function = f"_shtab_{re.sub(r'[^a-z]', '_', parser.prog)}"
        assert function in script
        for action in actions:
            assert all(name in script for name in action.option_strings)
