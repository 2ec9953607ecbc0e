"""How commands of ctl are declared: parsers, leaves, and the kinds of their values.

An error of these parsers is exit code 2. Which commands there are is in the *arguments.py.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any, NoReturn

from appliance.ctl.client import Caller
from appliance.ctl.console import Console

Command = Callable[[Console, Caller, argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """A parser without abbreviations, whose errors say where help is."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(allow_abbrev=False, **options)

    def error(self, message: str) -> NoReturn:
        """Exit with 2 and one line."""
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help)\n")


Group = argparse._SubParsersAction  # argparse has no public name for it


def add_common(parser: argparse.ArgumentParser, *, default: Any = argparse.SUPPRESS) -> None:
    """Add what every command takes."""
    parser.add_argument("--json", action="store_true", default=default, help="JSON, for scripts")


def branch(
    groups: Group[Any], name: str, about: str, run: Command | None = None, **defaults: Any
) -> Group[Any]:
    """Declare a word that commands follow; `run` and its `defaults` are for the word alone."""
    parser = groups.add_parser(name, help=about, description=_sentence(about))
    if run is None:
        commands: Group[Any] = parser.add_subparsers(metavar="COMMAND", required=True)
        return commands
    add_common(parser)
    parser.set_defaults(run=run, **defaults)
    commands = parser.add_subparsers(metavar="COMMAND")
    return commands


def _sentence(about: str) -> str:
    # Not capitalize(), which makes the rest small: ANALYTICS_STORE, Scalelite.
    return f"{about[0].upper()}{about[1:]}{'' if about.endswith('?') else '.'}"


def leaf(
    group: Group[Any], name: str, run: Command, about: str, example: str = ""
) -> argparse.ArgumentParser:
    """Declare a command, which `run` does; its arguments are added to what is returned."""
    epilog = f"example:\n  scalelite-appliance ctl {example}" if example else None
    parser: argparse.ArgumentParser = group.add_parser(
        name, help=about, description=_sentence(about), epilog=epilog
    )
    add_common(parser)
    parser.set_defaults(run=run)
    return parser


def positive(text: str) -> float:
    """Read a value that is a number greater than 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number greater than 0")
    return value


def add_limit(parser: argparse.ArgumentParser, default: int, most: int) -> None:
    """Add `--limit N`: how many are shown at most, from 1 to `most`."""

    def read(text: str) -> int:
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
        if not 1 <= number <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most}")
        return number

    parser.add_argument(
        "--limit", metavar="N", type=read, default=default, help=f"at most N (default {default})"
    )


def limit(text: str) -> int:
    """Read a server's limit: a whole number, 0 for none."""
    if not (text.isascii() and text.isdigit() and len(text) < 9):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number, or 0 for no limit")
    return int(text)
