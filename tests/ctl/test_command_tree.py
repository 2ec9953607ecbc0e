"""The tree says what the parser says: words, options, values, choices, what runs."""

from __future__ import annotations

import argparse

from appliance.ctl.command_tree import Argument, Command, Option, Value, read_tree


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    groups = parser.add_subparsers(required=True)
    group = groups.add_parser("things", help="the things", add_help=False)
    group.set_defaults(run=print)
    commands = group.add_subparsers()
    add = commands.add_parser("add", help="add a thing", add_help=False, epilog="example:\n  x")
    add.set_defaults(run=print)
    add.add_argument("file", metavar="FILE", help="what to read")
    add.add_argument("ids", metavar="ID", nargs="*")
    add.add_argument("-m", "--mode", choices=("keep", "force"), default="keep", help="%(default)s")
    add.add_argument("--dry-run", action="store_true", help="change nothing")
    add.add_argument("--hidden", action="store_true", help=argparse.SUPPRESS)
    only = groups.add_parser("only", add_help=False)
    only.add_subparsers(required=True).add_parser("leaf", add_help=False).set_defaults(run=print)
    return parser


def test_tree_holds_what_the_parser_knows() -> None:
    tree = read_tree(make_parser(), "program")

    things, only = tree.commands
    assert (things.name, things.about, things.runs) == ("things", "the things", True)
    assert (only.name, only.runs) == ("only", False)
    assert things.commands == (
        Command(
            name="add",
            about="add a thing",
            epilog="example:\n  x",
            options=(
                Option(("-m", "--mode"), "keep", Value("keep|force", ("keep", "force"))),
                Option(("--dry-run",), "change nothing"),
            ),
            arguments=(
                Argument(Value("FILE", is_file=True), "what to read"),
                Argument(Value("ID"), "", optional=True, repeated=True),
            ),
        ),
    )


def test_leaves_are_what_can_be_run() -> None:
    tree = read_tree(make_parser())

    assert [" ".join(words) for words, _ in tree.leaves()] == ["things", "things add", "only leaf"]
    assert [" ".join(words) for words, _ in tree.nodes()] == [
        *("", "things", "things add", "only", "only leaf"),
    ]


def test_options_and_arguments_are_shown_as_help_shows_them() -> None:
    (things, _) = read_tree(make_parser()).commands
    (add,) = things.commands

    assert [option.shown for option in add.options] == ["-m, --mode keep|force", "--dry-run"]
    assert [argument.shown for argument in add.arguments] == ["FILE", "[ID …]"]
