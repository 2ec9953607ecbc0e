"""Renames that rename(2) does not offer: without replacing a file, and exchanging two. Blocks.

Each function documents its behaviour on file systems without support (NFS).

Source: renameat2(2).
"""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

_AT_FDCWD, _RENAME_NOREPLACE, _RENAME_EXCHANGE = -100, 1, 2  # <fcntl.h>, <linux/fs.h>
_LIBC = ctypes.CDLL(None, use_errno=True)
_NOT_POSSIBLE = (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)


def rename_new(source: Path, target: Path) -> None:
    """Rename to an unused name. Raises FileExistsError, OSError.

    Atomic, so that one of two concurrent calls is refused; on NFS check and rename are two steps.
    """
    code = _renameat2(source, target, _RENAME_NOREPLACE)
    if code in _NOT_POSSIBLE:
        code = errno.EEXIST if os.path.lexists(target) else 0
        if not code:
            source.rename(target)
    if code:
        raise OSError(code, os.strerror(code), str(target))


def exchange(one: Path, other: Path) -> bool:
    """Exchange two directories atomically. False: not supported here."""
    return _renameat2(one, other, _RENAME_EXCHANGE) == 0


def _renameat2(source: Path, target: Path, flags: int) -> int:
    """Return 0 or an errno."""
    call = getattr(_LIBC, "renameat2", None)
    if call is None:
        return errno.ENOSYS
    done: int = call(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(target), flags)
    return ctypes.get_errno() if done != 0 else 0
