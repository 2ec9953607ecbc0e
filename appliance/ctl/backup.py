"""`ctl backup FILE` and `ctl restore FILE`: the pool in one file, and back.

The appliance sends and takes the pool through a pipe (backup/transfer.py); the file is made here,
so that the passphrase stays here. With --offline a child process does the appliance's part on the
stores of this environment, for an appliance that is stopped.
"""

from __future__ import annotations

import json
import os
import re
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO

from appliance.ctl.arguments import Commands, add_command
from appliance.ctl.client import ControlClient, ControlError, NotRunning, Refusal
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED
from appliance.ctl.progress import waiting
from appliance.ctl.tables import Column

if TYPE_CHECKING:
    from datetime import date

    from appliance.ctl.backup_file import BackupWriter

LIMIT_S = 3 * 3600.0 + 60
"""Slightly more than the appliance's own limit."""
VARIABLE = "BACKUP_PASSPHRASE"
DAILY, WEEKLY = 7, 4
_DATED = re.compile(r"pool-(\d{4}-\d\d-\d\d)\.json")
_END = b"#end\n"
_COLUMNS = (
    Column("KIND"),
    Column("IN BACKUP", right=True),
    Column("ADDED", right=True),
    Column("REPLACED", right=True),
    Column("KEPT", right=True),
)

Answer = Mapping[str, Any]


def add_backup(commands: Commands[Any]) -> None:
    """Add the commands."""
    about = "write the pool into a file: servers, tenants, tokens, usage, rows of recordings"
    command = add_command(commands, "backup", backup, about, "backup /var/backups/pool.json")
    _add_arguments(command, "the file to write; an older one is replaced")
    about = f"FILE is a directory: write pool-DATE.json, keep {DAILY} days and {WEEKLY} more weeks"
    command.add_argument("--rotate", action="store_true", help=about)
    about = "pool: what creates and joins need; history: recordings and usage (default: all)"
    command.add_argument("--part", choices=("all", "pool", "history"), default="all", help=about)
    about = "restore the pool from a file into the appliance's stores"
    command = add_command(commands, "restore", restore, about, "restore pool.json --dry-run")
    _add_arguments(command, "a file that `ctl backup` wrote")
    about = "only check the file, and show what would be restored"
    command.add_argument("--dry-run", action="store_true", help=about)
    modes = command.add_mutually_exclusive_group()
    about = "into a pool that is in use: add what is missing, keep what is there"
    modes.add_argument(
        "--merge", dest="mode", action="store_const", const="merge", default="empty", help=about
    )
    about = "remove the pool in Redis first; rows of recordings and usage are overwritten"
    modes.add_argument("--replace", dest="mode", action="store_const", const="replace", help=about)


def _add_arguments(command: Any, about: str) -> None:
    command.add_argument("file", metavar="FILE", help=about)
    about = f"a file with the passphrase of the secrets (default: {VARIABLE})"
    command.add_argument("--passphrase-file", metavar="FILE", help=about)
    about = "without the appliance, which is stopped: use the stores of the environment"
    command.add_argument("--offline", action="store_true", help=about)


def backup(console: Console, client: ControlClient, args: Namespace) -> int:
    """Write the pool into a file with mode 0600, all or nothing."""
    # Imported here, as elsewhere in this module: every command of ctl imports it.
    from appliance.ctl.backup_file import BackupWriter
    from appliance.system.new_file import new_file

    if args.file == "-":
        raise ControlError("name a file: a backup that ends early must not look like one")
    passphrase = _read_passphrase(console, args, repeat=True)
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    path: str = os.path.join(args.file, f"pool-{created[:10]}.json") if args.rotate else args.file
    target = os.path.realpath(path)  # of a link, the file that it names is replaced
    with waiting(console, "backing up"), new_file(target) as file:
        writer = BackupWriter(file, passphrase, created)
        body = {"part": args.part}
        with _exchange(client, args, "writeBackup", body, sends=False) as (pipe, finish):
            complete = _copy(pipe, writer)
            answer = finish()
        if not complete:
            raise ControlError("the backup ended early; nothing was written")
    if args.rotate:
        for name in choose_old(os.listdir(args.file)):
            os.unlink(os.path.join(args.file, name))
    if console.as_json:
        console.document({"file": path, **answer})
    else:
        found = ", ".join(f"{name} {one['total']}" for name, one in _shown(answer))
        console.show(f"{path}: {found or 'there is nothing to keep'}")
    return DONE


def choose_old(names: Iterable[str]) -> list[str]:
    """Return the backups of a directory that are not kept any more.

    Kept are the last DAILY ones, and of WEEKLY whole weeks before the last one the last of each.
    """
    from datetime import date

    days: dict[date, str] = {}
    for name in names:
        if found := _DATED.fullmatch(name):
            with suppress(ValueError):  # no day of the calendar
                days[date.fromisoformat(found[1])] = name
    newest_first = sorted(days, reverse=True)
    kept, weeks = set(newest_first[:DAILY]), set[tuple[int, int]]()
    for day in newest_first:
        week = day.isocalendar()[:2]
        if week != newest_first[0].isocalendar()[:2] and week not in weeks and len(weeks) < WEEKLY:
            weeks.add(week)
            kept.add(day)
    return [days[day] for day in newest_first if day not in kept]


def _copy(pipe: BinaryIO, writer: BackupWriter) -> bool:
    """Write all lines of the pipe; return whether they came to their end."""
    for line in pipe:
        if line == _END:
            writer.end()
            return True
        if line.startswith(b"#"):
            writer.section(line[1:-1].decode())
        else:
            writer.line(line.removesuffix(b"\n"))
    return False


def restore(console: Console, client: ControlClient, args: Namespace) -> int:
    """Check the whole file, then restore it."""
    from appliance.ctl.backup_file import BackupError, BackupReader

    passphrase = _read_passphrase(console, args, repeat=False)
    try:
        file = open(args.file, "rb")  # noqa: SIM115
    except OSError as error:
        raise BackupError(f"{args.file}: {error.strerror}") from None
    if not file.seekable():
        text = "it can be read only once, and is checked before it is restored: copy it to a file"
        raise BackupError(f"{args.file}: {text}")
    with file, waiting(console, "restoring"):
        reader = BackupReader(file, passphrase)
        reader.verify()
        body = {"mode": args.mode, "dry_run": args.dry_run}
        with _exchange(client, args, "restoreBackup", body, sends=True) as (pipe, finish):
            with suppress(BrokenPipeError):  # then the answer says why
                for line in reader.lines():
                    pipe.write(line + b"\n")
                pipe.flush()
            answer = finish()
    if console.as_json:
        console.document({"dry_run": args.dry_run, "created": reader.created, **answer})
    else:
        _show(console, answer, args.dry_run, reader.created)
    if answer["failure"]:
        text = "the rows of the database were not restored; Redis was, so repeat the command"
        console.error(f"{text}: {answer['failure']}")
        return FAILED
    return DONE


def _show(console: Console, answer: Answer, dry_run: bool, created: str) -> None:
    rows = [
        (name, one["total"], one["added"], one["replaced"], one["kept"])
        for name, one in _shown(answer)
    ]
    if rows:
        console.table(_COLUMNS, rows)
    word = "would be restored" if dry_run else "restored"
    console.show(f"{word}: the pool as of {created}" if rows else "the backup is empty")


def _shown(answer: Answer) -> list[tuple[str, Mapping[str, int]]]:
    return [(name, one) for name, one in answer["objects"].items() if one["total"]]


# --- the passphrase ------------------------------------------------------------------------------


def _read_passphrase(console: Console, args: Namespace, *, repeat: bool) -> str:
    """Return the passphrase of the file, of the environment, or as it is typed.

    Raises ControlError: there is none.
    """
    path = args.passphrase_file or os.environ.get(f"{VARIABLE}_FILE", "")
    given = "" if args.passphrase_file else os.environ.get(VARIABLE, "")
    if not given and path:
        try:
            with open(path, encoding="utf-8") as file:
                given = file.read().removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not UTF-8 text"
            raise ControlError(f"{path}: {reason}") from None
        if not given.strip():
            raise ControlError(f"{path}: the passphrase is empty")
    if not given.strip() and console.can_ask():
        given = _ask_passphrase(repeat)
    if not given.strip():
        raise ControlError(
            "no passphrase is given, and a backup holds secrets: name a file with"
            f" --passphrase-file, or set {VARIABLE}"
        )
    return given


def _ask_passphrase(repeat: bool) -> str:
    from getpass import getpass

    given = getpass("Passphrase of the backup: ")
    if repeat and given != getpass("Again: "):
        raise ControlError("the passphrases differ")
    return given


# --- the other end of the pipe -------------------------------------------------------------------


@contextmanager
def _exchange(
    client: ControlClient, args: Namespace, call: str, body: Mapping[str, Any], *, sends: bool
) -> Iterator[tuple[BinaryIO, Callable[[], Answer]]]:
    """Give our end of a pipe while a call has the other one, and a function that ends both.

    That function closes our end and returns the answer of the call. Raises ControlError.
    """
    read_end, write_end = os.pipe()
    kept, passed = (write_end, read_end) if sends else (read_end, write_end)
    other = _offline if args.offline else _online
    wait = other(client, args, call, body, passed, kept)
    pipe = open(kept, "wb" if sends else "rb")  # noqa: SIM115

    def finish() -> Answer:
        with suppress(BrokenPipeError):
            pipe.close()
        return wait()

    try:
        yield pipe, finish
    except BaseException:
        with suppress(OSError):
            pipe.close()
        raise


def _online(
    client: ControlClient,
    args: Namespace,
    call: str,
    body: Mapping[str, Any],
    passed: int,
    kept: int,
) -> Callable[[], Answer]:
    """Have the running appliance use one end of a pipe; return what waits for its answer."""
    import threading

    answers: list[Answer | ControlError] = []

    def run() -> None:
        try:
            answers.append(client.post(call, body, deadline_s=LIMIT_S, file=passed))
        except NotRunning as error:
            text = f"{error}; if it is stopped on purpose, --offline uses its stores"
            answers.append(NotRunning(text))
        except ControlError as error:
            answers.append(_with_hint(error))
        finally:
            os.close(passed)

    thread = threading.Thread(target=run, name=call, daemon=True)
    thread.start()

    def wait() -> Answer:
        thread.join()
        return _answer(answers[0])

    return wait


def _with_hint(error: ControlError) -> ControlError:
    if isinstance(error, Refusal) and error.kind == "confirmation_needed":
        return ControlError(f"{error} (--merge keeps these and adds the rest, --replace removes)")
    return error


def _answer(found: Answer | ControlError) -> Answer:
    if isinstance(found, ControlError):
        raise found
    return found


def _offline(
    client: ControlClient,
    args: Namespace,
    call: str,
    body: Mapping[str, Any],
    passed: int,
    kept: int,
) -> Callable[[], Answer]:
    """Have a child process use one end of a pipe: it becomes the user of the service."""
    result_read, result_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(kept)
        os.close(result_read)
        found: Answer = {"error": "the stores could not be used"}
        try:
            found = args.standalone.transfer(call, body, passed)
        except ControlError as error:
            found = {"error": str(_with_hint(error))}
        finally:
            os.write(result_write, json.dumps(found).encode())
            os._exit(0)
    os.close(passed)
    os.close(result_write)

    def wait() -> Answer:
        with open(result_read, "rb") as results:
            text = results.read()
        os.waitpid(child, 0)
        found: Answer = json.loads(text or b'{"error": "the process with the stores has ended"}')
        if "error" in found:
            raise ControlError(str(found["error"]))
        return found

    return wait
