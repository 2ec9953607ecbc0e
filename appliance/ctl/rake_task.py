"""Rake tasks as commands of ctl, and the parsing of their arguments. Pure.

The tasks are in rake_names.py and rake_tenant_names.py. Source of the argument syntax:
`parse_task_string` of rake's application.rb.
"""

from __future__ import annotations

from dataclasses import dataclass


class NotRake(Exception):
    """The word has the form of a rake task, but the task does not exist."""


class MisusedTask(NotRake):
    """An argument of the task is missing or invalid. `str()` is the line that rake prints."""


class MissingArguments(Exception):
    """An argument is missing and rake has no message for it. `str()` names the arguments."""


@dataclass(frozen=True, slots=True)
class RakeTask:
    """A rake task, translated to a command of ctl."""

    words: tuple[str, ...]
    before: tuple[str, ...] = ()
    """Lines that rake prints first."""
    server_id: str | None = None
    """The server of the task, for its error message."""


def split_arguments(text: str) -> list[str]:
    """Split the text between the brackets as rake does.

    Surrounding blanks are removed; a backslash makes the next character literal, also a comma.
    """
    if not text:
        return []
    parts = [""]
    characters = iter(text)
    for character in characters:
        if character == ",":
            parts.append("")
        else:
            escaped = character == "\\"
            parts[-1] += next(characters, character) if escaped else character
    return [part.strip() for part in parts]


def argument(given: list[str], index: int) -> str:
    """Return an argument, or an empty text if it is missing."""
    return given[index] if index < len(given) else ""


def required(given: list[str], count: int, names: str, missing: str = "") -> list[str]:
    """Return the arguments if the first `count` are present and not empty.

    missing: the message of rake, if it has one. Raises MisusedTask with it, else MissingArguments.
    """
    if len(given) < count or not all(given[:count]):
        raise MisusedTask(missing) if missing else MissingArguments(names)
    return given
