"""Generates the manual page and the completions for bash and zsh: `tools/make_manual.py DIR`.

The page is made by argparse-manpage from the command line, the table of variables and
manual_sections.roff; the completions are made by shtab. With SOURCE_DATE_EPOCH
(reproducible-builds.org) the page has that date.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import shtab
from argparse_manpage.manpage import Manpage

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from appliance import __version__  # noqa: E402
from appliance.ctl.arguments import PROGRAM  # noqa: E402
from appliance.ctl.commands import build_program_parser  # noqa: E402
from appliance.ctl.completion import kinds_by_action  # noqa: E402
from appliance.settings.reading import SECTIONS  # noqa: E402
from appliance.settings.table import Variable  # noqa: E402

# bash splits words at "=", but shtab expects the value of an option in the next word.
BASH_EQUALS = f"""
_scalelite_appliance() {{
    local index cword=$COMP_CWORD words=()
    for index in "${{!COMP_WORDS[@]}}"; do
        if [[ ${{COMP_WORDS[index]}} != = ]]; then
            words+=("${{COMP_WORDS[index]}}")
        elif ((index == COMP_CWORD)); then
            words+=("")
        elif ((index < COMP_CWORD)); then
            ((cword -= 1))
        fi
    done
    local COMP_WORDS=("${{words[@]}}") COMP_CWORD=$cword
    _shtab_scalelite_appliance "$@"
}}

complete -o bashdefault -F _scalelite_appliance {PROGRAM}
"""

OBJECTS = "_scalelite_appliance_objects_"
OBJECT_FUNCTIONS = {
    "bash": """\
{name}() {{
    scalelite-appliance ctl --complete "{kind}" "$1" 2>/dev/null
}}
""",
    "zsh": """\
{name}() {{
    local found=(${{(f)"$(scalelite-appliance ctl --complete "{kind}" "$PREFIX" 2>/dev/null)"}})
    compadd -a found
}}
""",
}
"""Functions that ask the running appliance for the objects of a kind."""


def main(arguments: list[str]) -> int:
    """Write the files into the directory; return the exit code, 2 for wrong usage."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python3 tools/make_manual.py DIR\n")
        return 2
    directory = Path(arguments[0])
    directory.mkdir(parents=True, exist_ok=True)
    files = {
        f"{PROGRAM}.8": render_manual(),
        f"{PROGRAM}.bash": render_completion("bash") + BASH_EQUALS,
        f"_{PROGRAM}": render_completion("zsh"),
    }
    for name, text in files.items():
        (directory / name).write_text(text, encoding="utf-8")
    return 0


def parsers_below(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser and the parsers of all its commands."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from parsers_below(child)


# --- completion ----------------------------------------------------------------------------------


def render_completion(shell: str) -> str:
    """Return the completion of the whole program for a shell."""
    program, kinds = build_program_parser(), set[str]()
    for parser in parsers_below(program):
        for action in parser._actions:
            if isinstance(action.metavar, str) and action.metavar.startswith("FILE"):
                action.complete = shtab.FILE  # type: ignore[attr-defined]
        for action, kind in kinds_by_action(parser):
            word = _function_of(kind)
            kinds.add(kind)
            action.complete = {"bash": word, "zsh": word}  # type: ignore[attr-defined]
    form = OBJECT_FUNCTIONS[shell]
    preamble = "\n".join(form.format(name=_function_of(kind), kind=kind) for kind in sorted(kinds))
    text: str = shtab.complete(program, shell=shell, preamble=preamble)
    return f"{text.rstrip()}\n"


# --- manual page ---------------------------------------------------------------------------------


def _function_of(kind: str) -> str:
    """Return the shell function that asks for the objects of a kind."""
    return OBJECTS + kind.replace(" ", "_")


def render_manual() -> str:
    """Return the page scalelite-appliance(8) as roff."""
    program = build_program_parser()
    for parser in parsers_below(program):
        _prepare(parser)
    data = {
        "project_name": PROGRAM,
        "version": __version__,
        "description": "load balancer for BigBlueButton servers",
        "manual_section": 8,
        "manual_title": "System Administration",
        "include": str(Path(__file__).with_name("manual_sections.roff")),
    }
    page = Manpage(program, _data=data, format="single-commands-section")
    page.add_section("environment", ">", "\n" + "\n".join(_environment()))
    # Keep roff from changing apostrophes and examples, so that they can be copied from the page.
    text = str(page).replace("'", "\\(aq")
    text = re.sub(r"^Example:\n\n((?:  .+\n)+)", r"Example:\n.PP\n.EX\n\1.EE\n", text, flags=re.M)
    return re.sub(r"`([^`\n]+)`", r"\\fB\1\\fR", text)


def _prepare(parser: argparse.ArgumentParser) -> None:
    """Adapt a parser to argparse-manpage, which ignores the epilog with the example."""
    # A long line: roff breaks the usage.
    parser.formatter_class = partial(argparse.RawDescriptionHelpFormatter, width=10_000)
    example = (parser.epilog or "").removeprefix("example:\n").rstrip()
    if example:
        parser.description = f"{parser.description}\n\nExample:\n\n{example}"
        parser.epilog = None
    for action in parser._actions:
        if "--json" in action.option_strings:  # the same for every command; see DESCRIPTION
            action.help = argparse.SUPPRESS
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                choice.help = ""  # the same as the description


def _environment() -> Iterator[str]:
    for section in SECTIONS:
        yield f".SS {_escape(section.title)}"
        for variable in section.variables:
            yield ".TP"
            yield f".B {_escape(variable.name)}"
            yield _escape(_describe(variable))


def _describe(variable: Variable[Any]) -> str:
    text = variable.meaning
    if variable.fallbacks:
        text += f" If unset, {', '.join(variable.fallbacks)} is used."
    if variable.secret:
        text += " Secret."
    default = variable.shown_default()
    return f"{text} Default: {default}." if default else text


def _escape(text: str) -> str:
    text = text.replace("\\", "\\e").replace("-", "\\-")
    # Allow line breaks in long lists and URLs.
    return re.sub(r"(?<=\S{30})([,:/])(?=\S)", r"\1\\:", text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
