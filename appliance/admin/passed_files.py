"""Files that ctl passes over the control socket, as open descriptors (SCM_RIGHTS).

The service may not see a file by its path (PrivateTmp=, ProtectHome=), or may not read it; a
descriptor proves that the client may. Source: unix(7), cmsg(3).
"""

from __future__ import annotations

import array
import errno
import os
import socket

import trio

_SIZE = array.array("i").itemsize
_MAX_BYTES = 65_536


class PassedFileStream:
    """A connection that keeps the last descriptor passed to it, until `close_file`.

    For Hypercorn, which reads with `receive_some`. More than one descriptor in a message is not
    accepted: the kernel closes the others.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self.socket = stream.socket
        self.file: int | None = None

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive bytes. Raises trio.BrokenResourceError, trio.ClosedResourceError."""
        try:
            data, ancillary, _flags, _address = await self.socket.recvmsg(
                max_bytes or _MAX_BYTES, socket.CMSG_SPACE(_SIZE), socket.MSG_CMSG_CLOEXEC
            )
        except OSError as error:
            if error.errno == errno.EBADF:
                raise trio.ClosedResourceError("this socket was already closed") from None
            raise trio.BrokenResourceError("socket connection broken") from error
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._keep(content)
        return data

    def _keep(self, content: bytes) -> None:
        descriptors = array.array("i")
        descriptors.frombytes(content[: len(content) - len(content) % _SIZE])
        for descriptor in descriptors:
            self.close_file()
            self.file = descriptor

    def close_file(self) -> None:
        """Close the passed file."""
        if self.file is not None:
            os.close(self.file)
            self.file = None

    async def send_all(self, data: bytes) -> None:
        """Send bytes, as trio.SocketStream does."""
        await self._stream.send_all(data)

    async def send_eof(self) -> None:
        """Close the sending direction, as trio.SocketStream does."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()
