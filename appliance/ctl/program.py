"""The ctl program: parse, run the command, turn every failure into one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from appliance.control import ControlClient, ControlError, NotRunning, Refusal, find_socket
from appliance.control.rake_names import MisusedTask, NotRake, parse_rake
from appliance.ctl.arguments import build_parser
from appliance.ctl.console import Console, open_console
from appliance.ctl.local import Migrate
from appliance.ctl.takeover import Look

FAILED, USAGE, NOT_RUNNING, INTERRUPTED = 1, 2, 3, 130
"""As docs/administration.md lists them; 130 is the shell's for Ctrl-C."""


def main(argv: Sequence[str], migrate: Migrate | None = None, look: Look | None = None) -> int:
    """Run one ctl command and return the exit code. argv: the words after `ctl`.

    migrate, look: what `database migrate` and `takeover check --local` run, which needs more than
    ctl may load.
    """
    words, rake = list(argv), None
    try:
        rake = parse_rake(words)
    except MisusedTask as error:  # a task that fails, as with rake
        print(error, file=sys.stderr)
        return FAILED
    except NotRake as error:
        print(f"scalelite-appliance ctl: {error}", file=sys.stderr)
        return USAGE
    try:
        args = build_parser().parse_args(words if rake is None else list(rake.words))
    except SystemExit as stop:  # argparse has said what is wrong
        return stop.code if isinstance(stop.code, int) else USAGE
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
