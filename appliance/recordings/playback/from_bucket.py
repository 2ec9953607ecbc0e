"""Plays recordings from a bucket: streamed through the appliance, or by redirects (S3_SERVE).

access.py checks access before every request. Objects are looked for
among the published ones first: those of a recording that was published just now, or by a program
that moves nothing, may be among the unpublished ones. Everything that blocks is called in threads.
Source: docs/object-storage.md; Scalelite's playback_controller.rb (CloudFront).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import trio

from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.bucket_client import BucketFault, cloudfront_cookies
from appliance.recordings.objects.keys import is_key
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.playback.rules import NotAFile
from appliance.recordings.playback.served_files import INDEX
from appliance.settings.model import S3Settings

STREAMED = frozenset({"xml", "json", "vtt", "srt", "html", "svg", "txt"})
"""Extensions of what a player loads by script, which browsers allow from its own host only."""
COOKIES_S = 300
"""As Scalelite's."""
THREADS = 32
_RANGE = re.compile(r"bytes=[0-9]{1,18}-[0-9]{0,18}").fullmatch
_SUFFIX = re.compile(r"bytes=-[0-9]{1,18}").fullmatch
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+)").fullmatch
_NO_RANGE = frozenset({"InvalidRange", "416"})


@dataclass(frozen=True, slots=True)
class ObjectRedirect:
    """The address of an object in the bucket or at CloudFront."""

    status: int
    url: str
    cookies: tuple[tuple[str, str], ...] = ()
    """Names and values for CloudFront."""


class ObjectFile:
    """An object, read as a stream that follows the offsets asked for. Every method blocks."""

    def __init__(self, bucket: Bucket, key: str, name: str, answer: Mapping[str, Any]) -> None:
        """`answer` is that of HeadObject or GetObject."""
        part = _CONTENT_RANGE(answer.get("ContentRange", ""))
        self._bucket = bucket
        self._key = key
        self._body: Any = answer.get("Body")
        self._offset = int(part[1]) if part else 0
        self.name = name
        self.size = int(part[2]) if part else int(answer["ContentLength"])
        self.modified_ns = round(answer["LastModified"].timestamp() * 1e9)
        self.tag = str(answer["ETag"])

    def read(self, offset: int, count: int) -> bytes:
        """Return `count` bytes, fewer at the end of the object only. Raises BucketFault."""
        try:
            return self._read(offset, count)
        except BucketFault:
            self.close()  # a connection that was cut off: once more from here
            return self._read(offset, count)

    def _read(self, offset: int, count: int) -> bytes:
        if self._body is None or offset != self._offset:
            self.close()
            answer = self._bucket.open(self._key, Range=f"bytes={offset}-", IfMatch=self.tag)
            if answer is None:
                raise BucketFault("NoSuchKey", "the object was deleted meanwhile")
            self._body, self._offset = answer["Body"], offset
        chunk = self._bucket.read_body(self._body, count)
        self._offset += len(chunk)
        return chunk

    def close(self) -> None:
        """Close the stream; safe to call twice."""
        body, self._body = self._body, None
        if body is not None:
            body.close()

    __del__ = close
    """A response that was made may never be sent."""


class ObjectPlayback:
    """Opens objects, or says where viewers get them."""

    def __init__(self, objects: RecordingObjects, settings: S3Settings) -> None:
        self._objects = objects
        self._bucket = objects.bucket
        self._settings = settings
        self.threads = trio.CapacityLimiter(THREADS)
        """Separate threads, so that a bucket that hangs delays no other call."""

    def find(
        self,
        format: str,
        record_id: str,
        names: Sequence[str],
        *,
        wanted_range: str | None,
        attachment: bool,
        now_s: float,
        head: bool = False,
    ) -> ObjectFile | ObjectRedirect | NotAFile:
        """Return an object or where it is. Raises BucketFault.

        names: from playback_rules.split_path; '' at the end stands for index.html. wanted_range:
        the Range header of a GET without conditions; '' if there is none; None: do not begin to
        read. attachment: whether browsers should download the file. head: a HEAD, by which BBB's
        player asks which videos there are; answered here, since presigned URLs are for GET only.
        """
        path = "/".join((*names[:-1], names[-1] or INDEX))
        if not is_key(self._objects.keys.directory(format, record_id, published=True) + path):
            return NotAFile.MISSING
        streamed = self._is_streamed(path) or (head and self._settings.serve != "cloudfront")
        for published in (True, False):
            key = self._objects.keys.directory(format, record_id, published=published) + path
            if streamed or (self._settings.serve == "cloudfront" and not published):
                answer = self._open(key, wanted_range)
                if answer is not None:
                    return ObjectFile(self._bucket, key, path.rpartition("/")[2], answer)
            elif self._bucket.head(key) is not None:
                if self._settings.serve == "cloudfront":
                    return self._at_cloudfront(f"{format}/{record_id}", path, now_s)
                more = {"ResponseContentDisposition": "attachment"} if attachment else {}
                return ObjectRedirect(302, self._bucket.presign(key, **more))
        return self._find_directory(format, record_id, names)

    def _is_streamed(self, path: str) -> bool:
        extension = path.rpartition(".")[2].lower()
        match self._settings.serve:
            case "proxy":
                return True
            case "redirect":
                return False
            case "cloudfront":  # pages as in Scalelite; what they load by script is at its side
                return extension in STREAMED - {"html"}
        return extension in STREAMED

    def _open(self, key: str, wanted_range: str | None) -> Mapping[str, Any] | None:
        """Open an object at the beginning of the range, or read its headers only."""
        if wanted_range is None or (
            wanted_range and not (_RANGE(wanted_range) or _SUFFIX(wanted_range))
        ):
            return self._bucket.head(key)
        try:
            return self._bucket.open(key, **({"Range": wanted_range} if wanted_range else {}))
        except BucketFault as fault:
            if fault.code not in _NO_RANGE:
                raise
            return self._bucket.head(key)

    def _at_cloudfront(self, directory: str, path: str, now_s: float) -> ObjectRedirect:
        from urllib.parse import quote

        settings = self._settings
        base = f"{(settings.cloudfront_url or '').rstrip('/')}/published/{directory}"
        cookies = cloudfront_cookies(settings, f"{base}/*", int(now_s) + COOKIES_S)
        return ObjectRedirect(307, f"{base}/{quote(path)}", tuple(cookies.items()))

    def _find_directory(self, format: str, record_id: str, names: Sequence[str]) -> NotAFile:
        """Return whether a path without objects is a directory; also tells a missing bucket."""
        for published in (True, False):
            prefix = self._objects.keys.directory(format, record_id, published=published)
            if self._bucket.exists(prefix + "".join(f"{name}/" for name in names if name)):
                return NotAFile.DIRECTORY if names[-1] else NotAFile.MISSING
        return NotAFile.MISSING


def parent_domain(host: str, other: str) -> str | None:
    """Return the domain that two hosts share; None: they share none that a cookie may have."""
    common: list[str] = []
    for one, two in zip(
        reversed(host.lower().split(".")), reversed(other.lower().split(".")), strict=False
    ):
        if one != two:
            break
        common.insert(0, one)
    if len(common) < 2 or common[-1].isdigit():
        return None
    return ".".join(common)


def render_cloudfront_cookie(name: str, value: str, *, domain: str | None, expires: str) -> str:
    """Return a Set-Cookie header with the attributes of Scalelite's."""
    parts = [f"{name}={value}", *([f"Domain=.{domain}"] if domain else []), "Path=/"]
    return "; ".join([*parts, f"Expires={expires}", "Secure", "HttpOnly", "SameSite=None"])
