"""The terminal or pipe that a command speaks to: lines, JSON, errors, questions, colours.

Colours only on a terminal and without NO_COLOR (no-color.org); questions only on a terminal.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from appliance.ctl.tables import Column, render_table
from appliance.redaction import escape_control


@dataclass(frozen=True, slots=True)
class Console:
    """Where a command reads and writes."""

    out: TextIO
    err: TextIO
    stdin: TextIO
    as_json: bool = False
    rake: bool = False
    """Called in rake's spelling, so it prints what rake prints."""
    no_color: bool = False

    @property
    def is_terminal(self) -> bool:
        """Whether the output is read by a person, now."""
        return self.out.isatty()

    @property
    def colours(self) -> bool:
        """Whether words may be coloured."""
        return self.is_terminal and not self.no_color

    def line(self, text: str = "") -> None:
        """Write a line of text that is ours, or was escaped."""
        print(text, file=self.out)

    def show(self, text: str) -> None:
        """Write a line that may hold what came from outside; leading tabs stay."""
        body = text.lstrip("\t\n")
        print(text[: len(text) - len(body)] + escape_control(body), file=self.out)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        """Write a table."""
        self.line(render_table(columns, rows, colours=self.colours))

    def document(self, value: Any) -> None:
        """Write JSON for scripts."""
        json.dump(value, self.out, indent=2, ensure_ascii=not _is_unicode(self.out))
        self.out.write("\n")

    def error(self, text: str) -> None:
        """Write one line to standard error."""
        print(escape_control(text), file=self.err)

    def can_ask(self) -> bool:
        """Whether a person can be asked."""
        return self.stdin.isatty() and self.err.isatty()

    def ask(self, question: str) -> bool:
        """Ask, on standard error so that the output stays clean; only `yes` means yes."""
        print(f"{escape_control(question)} Type yes to go on: ", end="", file=self.err, flush=True)
        line = ""
        try:
            line = self.stdin.readline()
        finally:
            if not line.endswith("\n"):  # Ctrl-D or Ctrl-C: the cursor is still behind the question
                self.err.write("\n")
        return _is_yes(line)

    def read_yes(self) -> bool:
        """Read one line and say whether it is `yes`, in any case."""
        return _is_yes(self.stdin.readline())


def _is_yes(line: str) -> bool:
    return line.strip().lower() == "yes"


def _is_unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"


def open_streams() -> None:
    """Put the null device where the caller has closed a stream, as some job runners do."""
    # Kept open: they are the process's own from here on.
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def open_console(environ: Mapping[str, str], *, as_json: bool, rake: bool) -> Console:
    """Return the console of this process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of meetings may hold what the terminal's character set does not.
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(
        sys.stdout, sys.stderr, sys.stdin, as_json, rake, no_color=bool(environ.get("NO_COLOR"))
    )
