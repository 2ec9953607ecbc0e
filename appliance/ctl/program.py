"""The ctl program: parse, run the command, turn every failure into one line and an exit code."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from appliance.ctl.arguments import build_parser
from appliance.ctl.client import ControlClient, ControlError, NotRunning, Refusal, find_socket
from appliance.ctl.console import Console, open_console, open_streams
from appliance.ctl.local import Migrate
from appliance.ctl.rake_names import MisusedTask, NotRake, RakeTask, parse_rake
from appliance.ctl.takeover import Look

FAILED, USAGE, NOT_RUNNING, INTERRUPTED = 1, 2, 3, 130
"""As docs/administration.md lists them; 130 is the shell's for Ctrl-C."""
_NAME = "scalelite-appliance ctl"


def main(argv: Sequence[str], migrate: Migrate | None = None, look: Look | None = None) -> int:
    """Run one ctl command and return the exit code. argv: the words after `ctl`.

    migrate, look: what `database migrate` and `takeover check --local` run, which needs more than
    ctl may load.
    """
    open_streams()
    understood = _understand(list(argv))
    if isinstance(understood, int):
        return understood
    args, rake = understood
    environ = os.environ
    console = open_console(environ, as_json=args.json, rake=rake is not None)
    client = ControlClient(find_socket(environ, is_root=os.geteuid() == 0))
    try:
        for line in () if rake is None else rake.before:
            console.show(line)
        args.migrate, args.look = migrate, look
        code: int = args.run(console, client, args)
        console.out.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:  # the disk behind the output is full, say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        what = error.filename or "the output cannot be written"
        console.error(f"{what}: {error.strerror or error}")
        return FAILED
    except NotRunning as error:
        console.error(str(error))
        return NOT_RUNNING
    except ControlError as error:
        _report(console, error, None if rake is None else rake.server_id)
        return FAILED


def _understand(words: list[str]) -> tuple[Namespace, RakeTask | None] | int:
    """Return the arguments, and the task in rake's spelling; or an exit code, having said why."""
    if unreadable := [word for word in words if not _is_text(word)]:
        print(f"{_NAME}: {unreadable[0]!a} is no text in UTF-8", file=sys.stderr)
        return USAGE
    try:
        rake = parse_rake(words)
    except MisusedTask as error:  # a task that fails, as with rake
        print(error, file=sys.stderr)
        return FAILED
    except NotRake as error:
        print(f"{_NAME}: {error}", file=sys.stderr)
        return USAGE
    try:
        return build_parser().parse_args(words if rake is None else list(rake.words)), rake
    except SystemExit as stop:  # argparse has said what is wrong
        return stop.code if isinstance(stop.code, int) else USAGE


def _is_text(word: str) -> bool:
    """Whether a word of the command line can be said to the appliance: Python has half a surrogate
    pair for each byte that it cannot decode."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _report(console: Console, error: ControlError, server_id: str | None) -> None:
    if not isinstance(error, Refusal):
        # Ours to the last word, and the configuration's problems are one a line.
        lines = str(error).splitlines()
        for line in lines:
            console.error(f"ERROR: {line}" if console.rake else line)
    elif not console.rake:
        console.error(str(error))
    elif error.status == 404 and server_id is not None:
        console.error(f"ERROR: No server found with id: {server_id}")
    elif error.status == 412:
        console.error("Multitenancy is disabled, task can not be completed")
    else:
        console.error(f"ERROR: {error}")
