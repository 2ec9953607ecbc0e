"""Writes the manual page and the completion files into a directory: `tools/make_manual.py DIR`.

Needs nothing but the source tree and a Python: no package of it is imported by what is read here.
With SOURCE_DATE_EPOCH set (reproducible-builds.org) the page bears that date, else none.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from appliance import __version__  # noqa: E402
from appliance.ctl.completion import render_bash, render_zsh  # noqa: E402
from appliance.ctl.manual import render_manual  # noqa: E402
from appliance.ctl.program_tree import PROGRAM, read_program  # noqa: E402


def main(arguments: list[str]) -> int:
    """Write the files into the one directory named; return the exit code, 2 for wrong usage."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.stderr.write("usage: python3 tools/make_manual.py DIR\n")
        return 2
    directory = Path(arguments[0])
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in render_files(_date(os.environ.get("SOURCE_DATE_EPOCH", ""))).items():
        (directory / name).write_text(text, encoding="utf-8")
    return 0


def render_files(date: str = "") -> dict[str, str]:
    """Return the files by name: the manual, bash's completion, zsh's."""
    program = read_program()
    return {
        f"{PROGRAM}.8": render_manual(program, __version__, date),
        f"{PROGRAM}.bash": render_bash(program),
        f"_{PROGRAM}": render_zsh(program),
    }


def _date(epoch: str) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(int(epoch))) if epoch.isdigit() else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
