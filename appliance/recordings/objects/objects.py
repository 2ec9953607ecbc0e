"""The objects of recordings in a bucket; see keys.py for their keys.

A bucket cannot rename. A format is replaced object by object, its metadata.xml last, and moved by
copies inside the bucket, after which the originals are deleted: whatever is interrupted, nothing is
missing, and repeating it completes it. Viewers find a published format in either place meanwhile
(playback/from_bucket.py). Everything blocks and is called in threads; in the appliance, what is
more than a look or a text track runs in a process of its own (worker.py).
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar, cast

from appliance.recordings.objects.bucket import Bucket, StoredObject
from appliance.recordings.objects.bucket_client import BucketFault
from appliance.recordings.objects.keys import PART_BYTES, ObjectKeys
from appliance.recordings.objects.local_files import LocalFile, local_files, new_names
from appliance.recordings.recording import is_format, is_record_id
from appliance.recordings.storage import METADATA, NewObjects, Rewrite, Transfer
from appliance.recordings.summary import FormatFiles
from appliance.recordings.text_tracks.caption_files import INDEX, CaptionFiles
from appliance.recordings.text_tracks.rules import (
    TextTrack,
    add_track,
    is_uploaded,
    parse_index,
    render_index,
)

if TYPE_CHECKING:
    from appliance.recordings.objects.worker import ObjectWorker

_STATES = (True, False)
_REMEMBERED_S = 10.0

P = ParamSpec("P")
T = TypeVar("T")


def _in_worker(
    method: Callable[Concatenate[RecordingObjects, P], T],
) -> Callable[Concatenate[RecordingObjects, P], T]:
    """Have a method run in the worker, if there is one; then it must bear to be repeated."""

    @wraps(method)
    def call(self: RecordingObjects, /, *args: P.args, **kwargs: P.kwargs) -> T:
        if self.worker is None:
            return method(self, *args, **kwargs)
        settings, name = self.bucket.settings, method.__name__
        return cast("T", self.worker.run(settings, self.keys, name, args, kwargs))

    return call


class RecordingObjects:
    """The published and unpublished objects. Every method raises OSError (BucketFault)."""

    def __init__(
        self, bucket: Bucket, keys: ObjectKeys, worker: ObjectWorker | None = None
    ) -> None:
        self.bucket = bucket
        self.keys = keys
        self.worker = worker
        self._failed: tuple[float, BucketFault | None] = 0.0, None

    @_in_worker
    def publish(self, record_id: str, format: str) -> bool:
        """Move a format to the published objects; False: it has none. Completes a broken move."""
        return self._move(record_id, format, published=True)

    @_in_worker
    def unpublish(self, record_id: str, format: str) -> bool:
        """Move a format to the unpublished objects; False: it has none. See `publish`."""
        return self._move(record_id, format, published=False)

    def has(self, format: str, record_id: str) -> bool:
        """Return whether a format has objects, published or not."""
        return next(self._prefixes(record_id, format), None) is not None

    @_in_worker
    def where(self, record_id: str) -> dict[str, tuple[bool, bool]]:
        """Return for each format with objects whether it has published and unpublished ones."""
        if not is_record_id(record_id):
            return {}
        found = {}
        for format in sorted(self.formats()):
            places = tuple(self._exists(format, record_id, published) for published in _STATES)
            if any(places):
                found[format] = (places[0], places[1])
        return found

    def formats(self) -> set[str]:
        """Return the formats of all recordings."""
        roots = [self.keys.state(published=published) for published in _STATES]
        return {
            name for root in roots for name in self.bucket.list_folders(root) if is_format(name)
        }

    @_in_worker
    def formats_of_all(self) -> dict[str, list[str]]:
        """Return the formats with objects of every recording, in order."""
        found: dict[str, set[str]] = {}
        for format in self.formats():
            for published in _STATES:
                for record_id in self.recordings_of(format, published=published):
                    found.setdefault(record_id, set()).add(format)
        return {record_id: sorted(found[record_id]) for record_id in sorted(found)}

    def recordings_of(self, format: str, *, published: bool) -> list[str]:
        """Return the recordings with published or unpublished objects of a format."""
        folder = f"{self.keys.state(published=published)}{format}/"
        return [name for name in self.bucket.list_folders(folder) if is_record_id(name)]

    @_in_worker
    def locate(self, record_id: str) -> list[FormatFiles]:
        """Return the number and size of the objects; a format may have some in both places."""
        found = []
        for format, places in self.where(record_id).items():
            for published, there in zip(_STATES, places, strict=True):
                if there:
                    prefix = self.keys.directory(format, record_id, published=published)
                    sizes = [one.size for one in self.bucket.list_objects(prefix)]
                    path = f"s3://{self.bucket.name}/{prefix}"
                    found.append(FormatFiles(format, path, published, len(sizes), sum(sizes)))
        return found

    def check(self) -> None:
        """Raise BucketFault if the bucket cannot be reached now, or could not a moment ago.

        Many imports ask, and a bucket that hangs keeps each waiting for half a minute.
        """
        failed_s, fault = self._failed
        if fault is not None and time.monotonic() - failed_s < _REMEMBERED_S:
            raise BucketFault(fault.code, (fault.strerror or "").partition(": ")[2])
        self._failed = 0.0, None
        try:
            self.reach()
        except BucketFault as found:
            self._failed = time.monotonic(), found
            raise

    @_in_worker
    def reach(self) -> None:
        """Raise BucketFault if the bucket cannot be reached now."""
        self.bucket.exists(self.keys.state(published=True))

    @_in_worker
    def new_objects(
        self, source: str, record_id: str, format: str, *, published: bool
    ) -> NewObjects:
        """Return the objects that storing a directory will add. Raises BrokenTar."""
        prefix = self.keys.directory(format, record_id, published=published)
        names = new_names(source, prefix, (one.key for one in self.bucket.list_objects(prefix)))
        return NewObjects(record_id, format, published, names)

    @_in_worker
    def discard(self, new: NewObjects) -> None:
        """Remove the objects and unfinished uploads of a format that was not completed."""
        prefix = self.keys.directory(new.format, new.record_id, published=new.published)
        keys = [prefix + name for name in new.names]
        self.bucket.abort_uploads(prefix, keys)
        self.bucket.delete(keys)

    @_in_worker
    def stage(
        self, source: str, record_id: str, format: str, *, published: bool, transfer: Transfer
    ) -> str:
        """Upload the files of a directory, except of the few that decide what viewers see."""
        prefix = self.keys.directory(format, record_id, published=published)
        files = [one for one in local_files(source, prefix) if not one.is_late]
        self._upload(prefix, files, transfer)
        return f"{'published' if published else 'unpublished'}:{source}"

    def unstage(self, staged: str) -> None:
        """Leave the objects to the next attempt, or to the sweeper."""

    @_in_worker
    def place(
        self,
        staged: str,
        record_id: str,
        format: str,
        *,
        published: bool,
        carried: Iterable[tuple[TextTrack, bytes]] = (),
    ) -> None:
        """Upload the rest of a staged directory, and remove what it replaces.

        carried: text tracks that users added to files on the disk.
        """
        state, _, source = staged.partition(":")
        if (state == "published") != published:
            self._move(record_id, format, published=published)
        present = {one.key for one in self._in_both_states(record_id, format)}
        for track, webvtt in (*carried, *self._uploaded_tracks(record_id, format, present)):
            CaptionFiles().write_track(Path(source), track, webvtt)
        prefix = self.keys.directory(format, record_id, published=published)
        files = local_files(source, prefix)
        self._upload(prefix, [one for one in files if one.is_late], Transfer())
        self.bucket.delete(present - {one.key for one in files})

    @_in_worker
    def compare(
        self, source: str, record_id: str, format: str, *, published: bool
    ) -> tuple[NewObjects, list[StoredObject]]:
        """Return what storing a directory will add, and the objects of the format in both states.

        Raises BrokenTar.
        """
        prefix = self.keys.directory(format, record_id, published=published)
        present = list(self._in_both_states(record_id, format))
        names = new_names(source, prefix, (one.key for one in present))
        return NewObjects(record_id, format, published, names), present

    @_in_worker
    def store(
        self,
        source: str,
        record_id: str,
        format: str,
        *,
        published: bool,
        present: Sequence[StoredObject],
        transfer: Transfer,
    ) -> None:
        """Make a directory the objects of a format, replacing the present ones, and verify them.

        Those that are stored already are not uploaded again. present: from `compare`; the objects
        are claimed since.
        """
        prefix = self.keys.directory(format, record_id, published=published)
        files = local_files(source, prefix)
        there = {one.key: one for one in present}
        missing = [
            one
            for one in files
            if one.key not in there or not self.bucket.matches(there[one.key], one.path)
        ]
        transfer.add(sum(one.size for one in files) - sum(one.size for one in missing))
        self._upload(prefix, missing, transfer)
        self.bucket.delete(there.keys() - {one.key for one in files})

    @_in_worker
    def remove(self, record_id: str, format: str | None = None) -> None:
        """Delete all objects of a recording, or of one format."""
        if not is_record_id(record_id):
            return
        for name in self.formats() if format is None else (format,):
            for published in _STATES:
                self.bucket.delete(one.key for one in self._all(record_id, name, published))

    def empty_trash(self) -> None:
        """Do nothing: objects are deleted, not put aside."""

    @_in_worker
    def fetch(
        self, record_id: str, format: str, target: Path, *, published: bool, transfer: Transfer
    ) -> list[str]:
        """Download a format into a new directory, and verify every file; return the keys.

        Of an interrupted move between the states there are objects of both: those that are not in
        their place yet count.
        """
        keys, pairs = list[str](), dict[Path, StoredObject]()
        for state in (published, not published):
            prefix = self.keys.directory(format, record_id, published=state)
            for one in self._all(record_id, format, state):
                keys.append(one.key)
                names = one.key.removeprefix(prefix).split("/")
                if not names[-1]:
                    continue  # the mark of a directory that other programs make
                if any(name in ("", ".", "..") for name in names) or "\0" in one.key:
                    raise OSError(errno.EINVAL, f"no file can have the name of {one.key}")
                path = target.joinpath(*names)
                path.parent.mkdir(parents=True, exist_ok=True)
                pairs[path] = one
        transfer.expect(sum(one.size for one in pairs.values()))
        self.bucket.download([(one, path) for path, one in pairs.items()], transfer)
        return keys

    @_in_worker
    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects by their keys."""
        self.bucket.delete(keys)

    def read_tracks(self, record_id: str, format: str) -> list[TextTrack]:
        """Return the tracks of the index whose objects exist."""
        prefix = next(self._prefixes(record_id, format), None)
        return [] if prefix is None else self._tracks(prefix)

    def read_track(self, record_id: str, format: str, track: TextTrack) -> bytes:
        """Return the content of a track."""
        prefix = next(self._prefixes(record_id, format), None)
        found = None if prefix is None else self.bucket.read(prefix + track.file_name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), track.file_name)
        return found

    def write_track(self, record_id: str, format: str, track: TextTrack, webvtt: bytes) -> bool:
        """Add or replace a track, its file before the index; False: the format has no objects.

        Of an interrupted move between the states both get it, since one index replaces the other.
        """
        prefixes = list(self._prefixes(record_id, format))
        tracks = list[TextTrack]()
        for prefix in prefixes:
            tracks += [one for one in self._index(prefix) if not any(map(one.is_same, tracks))]
        tracks = add_track(tracks, track)
        for prefix in prefixes:
            self.bucket.put(prefix + tracks[-1].file_name, webvtt)
            self.bucket.put(prefix + INDEX, render_index(tracks))
        return bool(prefixes)

    def rewrite_metadata(self, record_id: str, format: str, rewrite: Rewrite) -> None:
        """Change the metadata.xml of a format, in both states. Raises what `rewrite` does."""
        for key in [prefix + METADATA for prefix in self._prefixes(record_id, format)]:
            found = self.bucket.read(key)
            content = None if found is None else rewrite(found)
            if content is not None:
                self.bucket.put(key, content)

    def _uploaded_tracks(
        self, record_id: str, format: str, present: Container[str]
    ) -> Iterator[tuple[TextTrack, bytes]]:
        """Yield the tracks that users added, with their contents. present: keys of the format."""
        for published in _STATES:
            prefix = self.keys.directory(format, record_id, published=published)
            index = self._index(prefix) if prefix + INDEX in present else []
            for track in filter(is_uploaded, index):
                key = prefix + track.file_name
                webvtt = self.bucket.read(key) if key in present else None
                if webvtt is not None:
                    yield track, webvtt

    def _tracks(self, prefix: str) -> list[TextTrack]:
        found = self._index(prefix)
        keys = self.bucket.list_objects(f"{prefix}caption_") if found else ()
        there = {one.key.removeprefix(prefix) for one in keys}
        return [one for one in found if one.file_name in there]

    def _index(self, prefix: str) -> list[TextTrack]:
        return parse_index(self.bucket.read(prefix + INDEX))

    def _prefixes(self, record_id: str, format: str) -> Iterator[str]:
        """Yield what the keys of a format begin with, the published ones first."""
        if is_format(format) and is_record_id(record_id):
            for published in _STATES:
                if self._exists(format, record_id, published):
                    yield self.keys.directory(format, record_id, published=published)

    def _all(self, record_id: str, format: str, published: bool) -> Iterator[StoredObject]:
        return self.bucket.list_objects(self.keys.directory(format, record_id, published=published))

    def _in_both_states(self, record_id: str, format: str) -> Iterator[StoredObject]:
        for published in _STATES:
            yield from self._all(record_id, format, published)

    def _exists(self, format: str, record_id: str, published: bool) -> bool:
        return self.bucket.exists(self.keys.directory(format, record_id, published=published))

    def _move(self, record_id: str, format: str, *, published: bool) -> bool:
        if not (is_format(format) and is_record_id(record_id)):
            return False
        source = self.keys.directory(format, record_id, published=not published)
        target = self.keys.directory(format, record_id, published=published)
        objects = list(self.bucket.list_objects(source))
        there = {one.key: one for one in self.bucket.list_objects(target)}
        if not objects:
            return bool(there)
        pairs = [(one, target + one.key.removeprefix(source)) for one in objects]
        self.bucket.copy([pair for pair in pairs if not _is_copy(pair, there)], Transfer())
        sizes = {one.key: one.size for one in self.bucket.list_objects(target)}
        for one, key in pairs:
            if sizes.get(key) != one.size:
                raise BucketFault("ChecksumMismatch", f"{one.key} was not copied completely")
        self.bucket.delete(one.key for one in objects)
        return True

    def _upload(self, prefix: str, files: Sequence[LocalFile], transfer: Transfer) -> None:
        """Upload files, and verify their sizes and checksums."""
        transfer.expect(sum(one.size for one in files))
        if large := [one.key for one in files if one.size > PART_BYTES]:
            self.bucket.abort_uploads(prefix, large)
        self.bucket.upload([(one.content, one.key) for one in files], transfer)


def _is_copy(pair: tuple[StoredObject, str], there: dict[str, StoredObject]) -> bool:
    """Return whether an object was copied to a key by an earlier attempt."""
    source, key = pair
    copy = there.get(key)
    return copy is not None and (copy.size, copy.tag) == (source.size, source.tag)
