"""The command line as data: what argparse knows, as a tree that manuals and completion are made of.

Pure. Reads the parser that ctl really uses, so that nothing is said twice.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, field

FILE_NAMES = ("FILE", "PATH", "DIR")
"""What metavars of values begin with that name a file."""


@dataclass(frozen=True, slots=True)
class Value:
    """What may be given: the value of an option, or a word in its place."""

    name: str
    """As help shows it: `ID`."""
    choices: tuple[str, ...] = ()
    is_file: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One option."""

    names: tuple[str, ...]
    about: str
    value: Value | None = None
    """None: a switch."""

    @property
    def shown(self) -> str:
        """Return it as help shows it: `--tag T`."""
        names = ", ".join(self.names)
        return names if self.value is None else f"{names} {self.value.name}"


@dataclass(frozen=True, slots=True)
class Argument:
    """One word, or several, that a command takes."""

    value: Value
    about: str
    optional: bool = False
    repeated: bool = False

    @property
    def shown(self) -> str:
        """Return it as help shows it: `[ID …]`."""
        text = self.value.name + (" …" if self.repeated else "")
        return f"[{text}]" if self.optional else text


@dataclass(frozen=True, slots=True)
class Command:
    """A command, or a group of them."""

    name: str
    about: str = ""
    description: str = ""
    epilog: str = ""
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()
    commands: tuple[Command, ...] = field(default=())
    runs: bool = True
    """Whether it does something by itself, without a further word."""

    def leaves(self, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
        """Yield everything below that can be run, with its words."""
        for command in self.commands:
            path = (*words, command.name)
            if command.runs:
                yield path, command
            yield from command.leaves(path)

    def nodes(self, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
        """Yield this command and everything below it, with its words."""
        yield words, self
        for command in self.commands:
            yield from command.nodes((*words, command.name))


def read_tree(parser: argparse.ArgumentParser, name: str = "", about: str = "") -> Command:
    """Return the tree of a parser."""
    options: list[Option] = []
    arguments: list[Argument] = []
    commands: list[Command] = []
    needs_word = False
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            needs_word = needs_word or action.required
            abouts = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for word, child in action.choices.items():
                commands.append(read_tree(child, word, abouts.get(word, "")))
        elif action.help == argparse.SUPPRESS:
            continue
        elif action.option_strings:
            options.append(_read_option(action))
        else:
            arguments.append(_read_argument(action))
    return Command(
        name=name,
        about=about,
        description=parser.description or "",
        epilog=parser.epilog or "",
        options=tuple(options),
        arguments=tuple(arguments),
        commands=tuple(commands),
        runs=not needs_word and parser.get_default("run") is not None,
    )


def _read_option(action: argparse.Action) -> Option:
    value = None if action.nargs == 0 else _read_value(action, action.dest.upper())
    return Option(tuple(action.option_strings), _about(action), value)


def _read_argument(action: argparse.Action) -> Argument:
    return Argument(
        _read_value(action, action.dest),
        _about(action),
        optional=action.nargs in ("?", "*"),
        repeated=action.nargs in ("*", "+"),
    )


def _read_value(action: argparse.Action, name: str) -> Value:
    choices = tuple(str(choice) for choice in action.choices or ())
    shown = action.metavar if isinstance(action.metavar, str) else None
    shown = shown or ("|".join(choices) if choices else name)
    return Value(shown, choices, shown.startswith(FILE_NAMES))


def _about(action: argparse.Action) -> str:
    """Return an option's help with what argparse would fill in."""
    if not action.help:
        return ""
    known = {"default": action.default, "prog": "scalelite-appliance"}
    return action.help % known if "%" in action.help else action.help
