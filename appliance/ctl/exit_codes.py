"""Exit codes of `ctl`, as docs/administration.md lists them."""

from __future__ import annotations

DONE = 0
FAILED = 1
"""Refused or failed; a line on standard error gives the reason."""
USAGE = 2
NOT_RUNNING = 3
INTERRUPTED = 130
"""The shell's code for a program that Ctrl-C ended."""
CONFIG = 78
"""The configuration is invalid; `run` exits with the same code."""
