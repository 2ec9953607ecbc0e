"""Input and output of a command: lines, tables, JSON, errors, questions.

Colours are used only on a terminal and without NO_COLOR (https://no-color.org); questions are asked
only on a terminal.
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
    """The streams of a command and the form of its output."""

    out: TextIO
    err: TextIO
    stdin: TextIO
    as_json: bool = False
    rake: bool = False
    """Called with the name of a rake task: prints the lines of rake."""
    no_color: bool = False

    @property
    def is_terminal(self) -> bool:
        """Return whether the output is a terminal."""
        return self.out.isatty()

    @property
    def colours(self) -> bool:
        """Return whether to use colours."""
        return self.is_terminal and not self.no_color

    @property
    def width(self) -> int | None:
        """Return the width of the terminal; None: a pipe or a file, which gets everything."""
        if not self.is_terminal:
            return None
        import shutil

        return shutil.get_terminal_size().columns

    def line(self, text: str = "") -> None:
        """Write a line without untrusted text."""
        print(text, file=self.out)

    def show(self, text: str) -> None:
        """Write a line, with control characters escaped; leading tabs are kept."""
        body = text.lstrip("\t\n")
        print(text[: len(text) - len(body)] + escape_control(body), file=self.out)

    def wrapped(self, text: str, indent: str = "") -> str:
        """Return a line, on a terminal as several that fit it, with control characters escaped.

        indent: of all lines but the first.
        """
        text, width = escape_control(text), self.width
        if width is None or len(text) <= width:
            return text
        import textwrap

        indent = indent if width > 2 * len(indent) else ""
        return textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False)

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[object]]) -> None:
        """Write a table."""
        self.line(render_table(columns, rows, colours=self.colours, width=self.width))

    def document(self, value: Any) -> None:
        """Write a JSON document."""
        json.dump(value, self.out, indent=2, ensure_ascii=not _is_unicode(self.out))
        self.out.write("\n")

    def error(self, text: str) -> None:
        """Write a line to standard error, with control characters escaped."""
        print(escape_control(text), file=self.err)

    def can_ask(self) -> bool:
        """Return whether a question can be asked."""
        return self.stdin.isatty() and self.err.isatty()

    def ask(self, question: str) -> bool:
        """Ask for confirmation on standard error; only `yes` confirms."""
        print(
            f"{escape_control(question)} Type yes to continue: ", end="", file=self.err, flush=True
        )
        line = ""
        try:
            line = self.stdin.readline()
        finally:
            if not line.endswith("\n"):  # after Ctrl-D or Ctrl-C the cursor is on the same line
                self.err.write("\n")
        return _is_yes(line)

    def read_line(self, question: str) -> str:
        """Ask for a text on standard error; return it with its line break, empty after Ctrl-D."""
        print(question, end="", file=self.err, flush=True)
        return self.stdin.readline()

    def read_yes(self) -> bool:
        """Read a line and return whether it is `yes`, in any case."""
        return _is_yes(self.stdin.readline())


def _is_yes(line: str) -> bool:
    return line.strip().lower() == "yes"


def _is_unicode(stream: TextIO) -> bool:
    return (getattr(stream, "encoding", None) or "").lower().replace("-", "") == "utf8"


def open_streams() -> None:
    """Replace standard streams that the caller has closed, as some job runners do."""
    # Not closed: they are the standard streams of the process from now on.
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def open_console(environ: Mapping[str, str], *, as_json: bool, rake: bool) -> Console:
    """Return the console of this process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of meetings can contain characters that the terminal's encoding does not have.
        sys.stdout.reconfigure(errors="backslashreplace")
    return Console(
        sys.stdout, sys.stderr, sys.stdin, as_json, rake, no_color=bool(environ.get("NO_COLOR"))
    )
