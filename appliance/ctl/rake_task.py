"""What a task in rake's spelling is, and how its arguments are read. Pure.

Which tasks there are is in the rake_*names.py. Truth: rake's `parse_task_string`.
"""

from __future__ import annotations

from dataclasses import dataclass


class NotRake(Exception):
    """It is spelt as rake does, but there is no such task."""


class MisusedTask(NotRake):
    """An argument of the task is missing or wrong; `str()` is the line that rake prints."""


class MissingArguments(Exception):
    """An argument of the task is missing, and rake says nothing of use; `str()` are their names."""


@dataclass(frozen=True, slots=True)
class RakeTask:
    """One task in the words of ctl."""

    words: tuple[str, ...]
    before: tuple[str, ...] = ()
    """The lines that rake prints before it begins."""
    server_id: str | None = None
    """The server that the task is about."""


def split_arguments(text: str) -> list[str]:
    """Split what stands between the brackets, as rake does.

    Blanks around an argument do not count; a backslash takes the next character as it is, so
    that a comma may be part of a value.
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
    """Return an argument, empty if it is missing."""
    return given[index] if index < len(given) else ""


def required(given: list[str], count: int, names: str, missing: str = "") -> list[str]:
    """Return the arguments.

    Raises MisusedTask: one of the first `count` is missing or empty, with what rake says then
    (`missing`); MissingArguments: so, and rake says nothing that is any help.
    """
    if len(given) < count or not all(given[:count]):
        raise MisusedTask(missing) if missing else MissingArguments(names)
    return given
