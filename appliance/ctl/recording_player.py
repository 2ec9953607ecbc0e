"""`ctl recordings player show|install`: BBB's player for recordings of the format presentation."""

from __future__ import annotations

import os
from argparse import Namespace
from typing import IO, Any

from appliance.ctl.arguments import Commands, add_command, add_group
from appliance.ctl.client import LONG_S, ControlClient, ControlError
from appliance.ctl.completion import offers
from appliance.ctl.console import Console
from appliance.ctl.exit_codes import DONE, FAILED
from appliance.ctl.names import list_known, resolve
from appliance.ctl.progress import waiting
from appliance.ctl.tables import counted, format_size, format_time

_INSIDE = "presentation/2.3"
_INDEX = "index.html"
_MAX_BYTES = 256 << 20
"""As the appliance's."""


def add_player(recordings: Commands[Any]) -> None:
    """Add the group `player` to the group `recordings`."""
    about = "BigBlueButton's player, which shows recordings of the format presentation"
    group = add_group(recordings, "player", about, show)
    add_command(group, "show", show, "show which player is installed", "recordings player show")
    about = "install the player of a BigBlueButton server of the pool, or of a directory"
    command = add_command(group, "install", install, about, "recordings player install bbb1")
    about = "id, host or URL of a server; or a directory with the player's index.html"
    source = command.add_argument("source", metavar="SERVER|DIR", help=about)
    offers(source, "server")


def show(console: Console, client: ControlClient, args: Namespace) -> int:
    """Show which player is installed."""
    found = client.get_long("getPlayer")
    if console.as_json:
        console.document(found)
    elif found["installed"]:
        _show(console, found)
    else:
        console.show(f"not installed in {found['directory']}")
        console.line("Recordings are shown on a plain page of the appliance.")
        console.line("`recordings player install SERVER` takes the player of a BBB server.")
    return DONE


def _show(console: Console, found: dict[str, Any]) -> None:
    version = found["version"] or found["build"] or "of unknown version"
    console.show(f"bbb-playback {version}")
    when = found["installed_at"]
    came = f"from {found['source']}, {format_time(when)} UTC" if when else "copied by hand"
    console.show(f"\tInstalled: {came}")
    console.show(f"\tFiles: {counted(found['files'], 'file')}, {format_size(found['size'])}")
    console.show(f"\tDirectory: {found['directory']}")


def install(console: Console, client: ControlClient, args: Namespace) -> int:
    """Install the player of a server or of a directory."""
    directory = _find_directory(client, args.source)
    with waiting(console, "installing the player"):
        if directory is None:
            body = {"server": _find_server(client, args.source)}
            found = client.post("installPlayer", body, deadline_s=LONG_S)
        else:
            try:
                found = _install_directory(client, directory)
            except OSError as error:
                console.error(f"{error.filename or directory}: {error.strerror}")
                return FAILED
    if console.as_json:
        console.document(found)
    else:
        _show(console, found)
    return DONE


def _find_directory(client: ControlClient, word: str) -> str | None:
    """Return the directory that a word names; None: it names a server."""
    if "://" in word or not (os.path.isdir(word) or "/" in word):
        return None
    known = [] if "/" in word else list_known(client, "server")
    is_server = any(word.lower() in (one.id.lower(), *one.names) for one in known)
    return None if is_server else os.path.abspath(word)


def _find_server(client: ControlClient, word: str) -> str:
    """Return the id of the server that an id, a host with or without its port, or a URL names."""
    known = list_known(client, "server")
    host = word.partition("://")[2].partition("/")[0] if "://" in word else word
    bare = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    found = [resolve("server", one, known).id for one in (host, bare)]
    ids = {one.id for one in known}
    return next((one for one in found if one in ids), word)


def _install_directory(client: ControlClient, directory: str) -> Any:
    """Pass the files of a directory to the appliance, which may not be allowed to read it.

    Raises OSError, ControlError.
    """
    from tempfile import TemporaryFile

    root = next(
        (
            one
            for one in (directory, os.path.join(directory, _INSIDE))
            if os.path.isfile(os.path.join(one, _INDEX))
        ),
        None,
    )
    if root is None:
        raise ControlError(f"{directory} has no {_INDEX}: it is not BigBlueButton's player")
    built_ms = int(os.stat(os.path.join(root, _INDEX)).st_mtime * 1000)
    with TemporaryFile() as tar:
        _pack(root, tar)
        tar.seek(0)
        body = {"directory": directory, "built": built_ms}
        return client.post("installPlayer", body, deadline_s=LONG_S, file=tar.fileno())


def _pack(root: str, tar: IO[bytes]) -> None:
    """Pack the files of a directory. Raises OSError, ControlError."""
    import tarfile

    size = 0
    with tarfile.open(fileobj=tar, mode="w") as archive:
        for folder, folders, names in os.walk(root):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in [*folders, *sorted(names)]:
                path = os.path.join(folder, name)
                if os.path.islink(path):
                    raise ControlError(f"{path} is a symbolic link, which a player has none of")
                if name in folders or name.startswith("."):
                    continue
                if not os.path.isfile(path):
                    raise ControlError(f"{path} is not a regular file")
                size += os.path.getsize(path)
                if size > _MAX_BYTES:
                    raise ControlError(f"{root} has more than {_MAX_BYTES >> 20} MiB")
                archive.add(path, os.path.relpath(path, root), recursive=False)
