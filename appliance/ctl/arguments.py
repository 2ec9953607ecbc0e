"""Building blocks of the command line: parsers, groups, commands, and types of arguments.

An error of these parsers is exit code 2.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NoReturn

from appliance.ctl.client import ControlClient
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import USAGE

PROGRAM = "scalelite-appliance"

Command = Callable[[Console, ControlClient, argparse.Namespace], int]
"""Implements a command and returns its exit code."""
Commands = argparse._SubParsersAction  # argparse has no public name for it


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wraps the lines of descriptions, but not examples, which are indented."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        import textwrap  # only for --help

        # Private in argparse, which would otherwise not call it: only long lines would remain.
        return "\n".join(
            line if line.startswith(" ") else textwrap.fill(line, width)
            for line in text.splitlines()
        )


class Parser(argparse.ArgumentParser):
    """A parser without abbreviations, whose errors are a single line."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", _HelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse the words; an unknown one is an error of the command that got it."""
        if args and not any(isinstance(one, Commands) for one in self._actions):
            args = self._options_first(args)
        parsed, rest = super().parse_known_args(args, namespace)
        if rest:
            options = [name for action in self._actions for name in action.option_strings]
            unknown = next((word for word in rest if word.startswith("--")), "")
            hint = did_you_mean(unknown.partition("=")[0], options)
            words = " ".join(word for word in rest if word != "--")  # which _options_first added
            self.error(f"unrecognized arguments: {words}{hint}")
        return parsed, []

    def _options_first(self, words: Sequence[str]) -> list[str]:
        """Move the options before the other words: argparse wants these next to each other."""
        options: list[str] = []
        others: list[str] = []
        rest = iter(words)
        for word in rest:
            if word == "--":
                others += rest
            elif not word.startswith("-") or not word.strip("-.0123456789"):  # a negative number
                others.append(word)
            else:
                options.append(word)
                action = self._option_string_actions.get(word)
                if action is not None and action.nargs is None:  # its value is the next word
                    options += itertools.islice(rest, 1)
        return [*options, "--", *others] if others else options

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        # Private in argparse, which would otherwise not call it: only the hint would be missing.
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            hint = did_you_mean(str(value), [str(one) for one in action.choices or ()])
            if isinstance(action, Commands):
                self.error(f"no such command: {value}{hint}")
            if hint:
                error.message = f"invalid choice: {value!r}{hint}"
            raise

    def error(self, message: str) -> NoReturn:
        """Exit with code 2 and a line on standard error."""
        self.exit(USAGE, f"{self.prog}: {message} ({self.prog} --help)\n")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint at the known words that resemble a word; empty: none does."""
    import difflib  # only needed after an error

    close = difflib.get_close_matches(word, list(known), n=2)
    return f"; did you mean: {' or '.join(close)}?" if close else ""


def add_json_option(parser: argparse.ArgumentParser, *, default: Any = argparse.SUPPRESS) -> None:
    """Add `--json`, which every command has."""
    parser.add_argument("--json", action="store_true", default=default, help="print JSON")


def add_group(
    commands: Commands[Any], name: str, about: str, run: Command | None = None, **defaults: Any
) -> Commands[Any]:
    """Add a group of commands; `run`, with `defaults`, implements the group's name on its own."""
    parser = commands.add_parser(name, help=about, description=_sentence(about))
    if run is None:
        group: Commands[Any] = parser.add_subparsers(metavar="COMMAND", required=True)
        return group
    add_json_option(parser)
    parser.set_defaults(run=run, **defaults)
    group = parser.add_subparsers(metavar="COMMAND")
    return group


def add_command(
    commands: Commands[Any], name: str, run: Command, about: str, example: str
) -> argparse.ArgumentParser:
    """Add a command that `run` implements; return its parser, for the arguments.

    example: the words after `scalelite-appliance ctl`.
    """
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=about,
        description=_sentence(about),
        epilog=f"example:\n  {PROGRAM} ctl {example}",
    )
    add_json_option(parser)
    parser.set_defaults(run=run)
    return parser


def _sentence(about: str) -> str:
    # Not capitalize(), which converts the other letters to lower case.
    return f"{about[0].upper()}{about[1:]}."


def add_limit_option(parser: argparse.ArgumentParser, default: int, maximum: int) -> None:
    """Add `--limit N`: the number of rows to show, from 1 to `maximum`."""

    def parse(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
        if not 1 <= number <= maximum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {maximum}")
        return number

    parser.add_argument(
        "--limit", metavar="N", type=parse, default=default, help=f"show at most N ({default})"
    )


def parse_positive_number(text: str) -> float:
    """Parse a number greater than 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number greater than 0")
    return value
