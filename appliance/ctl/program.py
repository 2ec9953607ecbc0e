"""Runs a ctl command: parses it, and turns every failure into a line and an exit code."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from appliance.ctl import completion
from appliance.ctl.arguments import PROGRAM
from appliance.ctl.client import ControlClient, ControlError, NotRunning, Refusal, find_socket
from appliance.ctl.commands import build_parser
from appliance.ctl.console import Console, open_console, open_streams
from appliance.ctl.exit_codes import FAILED, INTERRUPTED, NOT_RUNNING, USAGE
from appliance.ctl.names import resolve_arguments
from appliance.ctl.rake_names import MisusedTask, NotRake, RakeTask, parse_rake
from appliance.ctl.standalone import Standalone

_NAME = f"{PROGRAM} ctl"


def main(argv: Sequence[str], standalone: Standalone) -> int:
    """Run a command and return its exit code. argv: the words after `ctl`."""
    open_streams()
    if argv[:1] == [completion.FLAG]:
        path = find_socket(os.environ, is_root=os.geteuid() == 0)
        return completion.complete(ControlClient(path, completion.LIMIT_S), argv[1:])
    parsed = _parse(list(argv))
    if isinstance(parsed, int):
        return parsed
    args, rake = parsed
    args.standalone = standalone
    environ = os.environ
    console = open_console(environ, as_json=args.json, rake=rake is not None)
    client = ControlClient(find_socket(environ, is_root=os.geteuid() == 0))
    try:
        for line in () if rake is None else rake.before:
            console.show(line)
        resolve_arguments(console, client, args)
        code: int = args.run(console, client, args)
        console.out.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader, for example `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:  # for example, the output is a file on a full disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        subject = error.filename or "the output cannot be written"
        console.error(f"{subject}: {error.strerror or error}")
        return FAILED
    except NotRunning as error:
        console.error(str(error))
        return NOT_RUNNING
    except ControlError as error:
        _report(console, error, None if rake is None else rake.server_id, args)
        return FAILED


def _parse(words: list[str]) -> tuple[Namespace, RakeTask | None] | int:
    """Return the arguments and the rake task, if it is one; after an error the exit code."""
    if invalid := [word for word in words if not _is_utf8(word)]:
        print(f"{_NAME}: {invalid[0]!a} is not UTF-8 text", file=sys.stderr)
        return USAGE
    if words[:1] == ["help"]:
        words = [*words[1:], "--help"]
    try:
        rake = parse_rake(words)
    except MisusedTask as error:  # for rake, this is a failed task
        print(error, file=sys.stderr)
        return FAILED
    except NotRake as error:
        print(f"{_NAME}: {error}", file=sys.stderr)
        return USAGE
    try:
        return build_parser().parse_args(words if rake is None else list(rake.words)), rake
    except SystemExit as stop:  # argparse has printed the error
        return stop.code if isinstance(stop.code, int) else USAGE


def _is_utf8(word: str) -> bool:
    """Return whether a word can be encoded; Python decodes invalid bytes to lone surrogates."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def _report(console: Console, error: ControlError, server_id: str | None, args: Namespace) -> None:
    if not isinstance(error, Refusal):
        # Of a local command: an invalid configuration has a line for each problem, an ambiguous
        # name one for each candidate.
        for number, line in enumerate(str(error).splitlines()):
            console.error(f"ERROR: {line}" if console.rake and number == 0 else line)
    elif not console.rake:
        console.error(f"{error}{getattr(args, 'hint', '') if error.status == 404 else ''}")
    elif error.status == 404 and server_id is not None:
        console.error(f"ERROR: No server found with id: {server_id}")
    elif error.status == 412:
        console.error("Multitenancy is disabled, task can not be completed")
    else:
        console.error(f"ERROR: {error}")
