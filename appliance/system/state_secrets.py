"""Keep secrets in STATE_DIR that were generated because none is configured.

The first process to create the file decides the secret. Secrets are never logged or shown.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from appliance.system.file_system import sync_directory

FILE_NAME = "secret_key_base"
_BYTES = 64
_MIN_LENGTH = 32


class StateSecretError(Exception):
    """The secret cannot be stored or read; the text says what to do."""


def load_secret_key_base(state_dir: Path) -> str:
    """Return SECRET_KEY_BASE as stored in STATE_DIR; generate it (mode 0600) if it is missing.

    Raises StateSecretError: the directory cannot be written, or the file holds no secret.
    """
    path = state_dir / FILE_NAME
    try:
        found = _read(path)
        if found is None:
            state_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
            _create(path, secrets.token_hex(_BYTES))
            found = _read(path)
    except OSError as error:
        raise StateSecretError(
            f"{path} cannot be used: {error.strerror}. Make STATE_DIR writable or set"
            " SECRET_KEY_BASE."
        ) from error
    if found is None or len(found) < _MIN_LENGTH:
        raise StateSecretError(
            f"{path} holds no secret of {_MIN_LENGTH} characters: remove it, or set"
            " SECRET_KEY_BASE."
        )
    return found


def _read(path: Path) -> str | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        return os.read(descriptor, 4096).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)


def _create(path: Path, secret: str) -> None:
    """Create the file atomically and on disk; an existing one stays."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secret + "\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, unlike a rename, does not replace a file that another process made meanwhile.
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_directory(path.parent)
