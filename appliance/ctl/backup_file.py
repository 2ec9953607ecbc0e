"""The file of a backup: JSON with one entry or row on a line, secrets encrypted with a passphrase.

The key is made of the passphrase by scrypt; each secret is sealed with AES-256-GCM, and so is the
checksum of the whole file, so that nothing in it can be changed unnoticed. Both are of
`cryptography`. Files of any length are read and written line by line.
Source: docs/backup.md, RFC 7914, NIST SP 800-38D.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from appliance import __version__
from appliance.ctl.client import ControlError

VERSION = 1
"""Of the format. A reader refuses later ones."""
SCRYPT_COST, SCRYPT_BLOCK, SCRYPT_LANES = 2**16, 8, 1
"""A guess takes a fifth of a second and 64 MB."""
MAX_SCRYPT_COST = 2**20
_SALT_BYTES, _NONCE_BYTES, _KEY_BYTES = 16, 12, 32
_KNOWN = b"scalelite-appliance backup"
"""Encrypted in the first line, so that a wrong passphrase is found before anything else is read."""
_ENCRYPTED = "$encrypted"
_MARKED = re.compile(rb'\{"\$secret" ?: ')
"""A line with a secret: the spaces are PostgreSQL's and json's."""
_SEALED = b'{"$encrypted": "'
_CHECKSUM = b'"checksum": '
MAX_REWRITTEN_BYTES = 64 * 1024 * 1024
"""A file that something else has written is only read to say of which version it is."""


class BackupError(ControlError):
    """A file is not a backup that can be used; `str()` says why."""


class Sealer:
    """Encrypts and decrypts secrets."""

    def __init__(self, passphrase: str, salt: bytes, cost: int) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

        kdf = Scrypt(salt=salt, length=_KEY_BYTES, n=cost, r=SCRYPT_BLOCK, p=SCRYPT_LANES)
        self._cipher = AESGCM(kdf.derive(passphrase.encode()))

    def seal(self, text: bytes) -> str:
        """Encrypt bytes."""
        nonce = os.urandom(_NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, text, None)).decode()

    def open(self, sealed: str) -> bytes:
        """Decrypt bytes. Raises ValueError: of another passphrase, or changed."""
        from cryptography.exceptions import InvalidTag

        try:
            data = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], None)
        except (InvalidTag, binascii.Error, ValueError, TypeError):
            raise ValueError("a secret cannot be decrypted") from None


class BackupWriter:
    """Writes the lines of an appliance (backup/transfer.py) into a file."""

    def __init__(self, file: BinaryIO, passphrase: str, created: str) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        salt = os.urandom(_SALT_BYTES)
        self._sealer = Sealer(passphrase, salt, SCRYPT_COST)
        self._in_section = self._has_lines = False
        secrets = {
            "cipher": "AES-256-GCM",
            "kdf": "scrypt",
            "n": SCRYPT_COST,
            "r": SCRYPT_BLOCK,
            "p": SCRYPT_LANES,
            "salt": base64.b64encode(salt).decode(),
            "check": self._sealer.seal(_KNOWN),
        }
        head = {"version": VERSION, "created": created, "appliance": __version__}
        self._put(b"{\n")
        for name, value in (*head.items(), ("secrets", secrets)):
            self._put(f"{json.dumps(name)}: {json.dumps(value)},\n".encode())

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)

    def section(self, name: str) -> None:
        """Begin a section."""
        self._end_section()
        self._put(json.dumps(name).encode() + b": [\n")
        self._in_section, self._has_lines = True, False

    def _end_section(self) -> None:
        if self._in_section:
            self._put(b"\n],\n" if self._has_lines else b"],\n")
        self._in_section = False

    def line(self, line: bytes) -> None:
        """Write an entry or a row."""
        if _MARKED.search(line):
            document = _replace(json.loads(line), "$secret", self._seal)
            try:
                line = json.dumps(document, ensure_ascii=False).encode()
            except UnicodeEncodeError:  # bytes of a front-end that are not UTF-8
                line = json.dumps(document).encode()
        self._put(b",\n" + line if self._has_lines else line)
        self._has_lines = True

    def _seal(self, text: str) -> dict[str, str]:
        return {_ENCRYPTED: self._sealer.seal(text.encode("utf-8", "surrogatepass"))}

    def end(self) -> None:
        """Write the end, with the checksum."""
        self._end_section()
        checksum = f"sha256:{self._hash.hexdigest()}"
        sealed = self._sealer.seal(checksum.encode())
        tail = json.dumps({"sum": checksum, "sealed": sealed})
        self._file.write(_CHECKSUM + tail.encode() + b"\n}\n")


def _replace(value: Any, marker: str, function: Callable[[str], Any]) -> Any:
    """Return a document in which each object with only this key was replaced."""
    if isinstance(value, dict):
        if len(value) == 1 and isinstance(text := value.get(marker), str):
            return function(text)
        return {name: _replace(one, marker, function) for name, one in value.items()}
    if isinstance(value, list):
        return [_replace(one, marker, function) for one in value]
    return value


class BackupReader:
    """Reads a file, which must be as it was written."""

    def __init__(self, file: BinaryIO, passphrase: str) -> None:
        """Read the head. Raises BackupError."""
        self._file = file
        self._passphrase = passphrase
        self.created = ""
        self._sealer = self._read_head()

    def _read_head(self) -> Sealer:
        head: dict[str, Any] = {}
        self._file.seek(0)
        if self._file.readline(16) != b"{\n":
            raise self._foreign()
        for name in ("version", "created", "appliance", "secrets"):
            line = self._file.readline(4096)
            try:
                head |= json.loads(b"{" + line.removesuffix(b"\n").removesuffix(b",") + b"}")
            except ValueError:
                raise self._foreign() from None
            if name == "version":
                _check_version(head.get("version"))
        self.created = str(head.get("created", ""))
        return self._make_sealer(head.get("secrets"))

    def _make_sealer(self, given: Any) -> Sealer:
        try:
            cost, salt = given["n"], base64.b64decode(given["salt"], validate=True)
            known = (given["cipher"], given["kdf"], given["r"], given["p"])
            usable = known == ("AES-256-GCM", "scrypt", SCRYPT_BLOCK, SCRYPT_LANES)
            if not usable or not isinstance(cost, int) or not 2 <= cost <= MAX_SCRYPT_COST:
                raise ValueError
            sealer, check = Sealer(self._passphrase, salt, cost), given["check"]
        except (KeyError, TypeError, ValueError):
            raise BackupError("the file is damaged: its head cannot be read") from None
        try:
            if sealer.open(check) == _KNOWN:
                return sealer
        except ValueError:
            pass
        raise BackupError("the passphrase is not that of this backup")

    def _foreign(self) -> BackupError:
        """Return why a file that does not begin as one of ours cannot be used."""
        self._file.seek(0)
        try:
            document = json.loads(self._file.read(MAX_REWRITTEN_BYTES))
            version = document["version"]
        except (ValueError, KeyError, TypeError, RecursionError):
            return BackupError("the file is not a backup, or it is damaged")
        try:
            _check_version(version)
        except BackupError as error:
            return error
        return BackupError("the file was changed after `ctl backup` wrote it")

    def verify(self) -> None:
        """Read everything: each line, each secret and the checksum. Raises BackupError."""
        for _ in self.lines():
            pass

    def lines(self) -> Iterator[bytes]:
        """Yield the lines for an appliance, secrets decrypted, `#end` last. Raises BackupError."""
        self._file.seek(0)
        digest = hashlib.sha256()
        in_section, ended = False, False
        for number, line in enumerate(self._file, 1):
            if line.startswith(_CHECKSUM) and not in_section:
                self._check_end(line, digest.hexdigest())
                ended = True
                break
            digest.update(line)
            if number <= 5:  # the head
                continue
            if not in_section:
                in_section = True
                yield b"#" + self._section(line, number).encode()
            elif line in (b"],\n", b"]\n"):
                in_section = False
            else:
                yield self._open(line.removesuffix(b"\n").removesuffix(b","), number)
        if not ended:
            raise BackupError("the file is damaged: its end is missing")
        yield b"#end"

    def _section(self, line: bytes, number: int) -> str:
        try:
            ((name, _),) = json.loads(b"{" + line.removesuffix(b"\n") + b"]}").items()
        except ValueError:
            raise _damaged(number) from None
        return str(name)

    def _open(self, line: bytes, number: int) -> bytes:
        """Return a line with its secrets as texts."""
        if _SEALED not in line:
            return line
        try:
            plain = _replace(json.loads(line), _ENCRYPTED, self._decrypt)
        except ValueError:
            raise _damaged(number) from None
        return json.dumps(plain).encode()

    def _decrypt(self, sealed: str) -> str:
        return self._sealer.open(sealed).decode("utf-8", "surrogatepass")

    def _check_end(self, line: bytes, digest: str) -> None:
        try:
            tail = json.loads(b"{" + line + b"}")["checksum"]
            is_right = tail["sum"] == f"sha256:{digest}"
            is_right = is_right and self._sealer.open(tail["sealed"]).decode() == tail["sum"]
        except (ValueError, KeyError, TypeError):
            is_right = False
        if not is_right or self._file.read() != b"}\n":
            raise BackupError("the file is damaged, or was changed: its checksum is wrong")


def _check_version(version: Any) -> None:
    """Raise BackupError unless this version of the format can be read."""
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise BackupError("the file is not a backup: it has no version")
    if version > VERSION:
        raise BackupError(
            f"the backup has format version {version}, which a later appliance wrote: this one"
            f" reads up to {VERSION}; upgrade it first"
        )


def _damaged(number: int) -> BackupError:
    return BackupError(f"the file is damaged: line {number} cannot be read")
