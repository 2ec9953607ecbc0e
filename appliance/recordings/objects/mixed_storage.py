"""Recordings in a bucket, with those that are still on the disk.

Imports go to the bucket. What was on the disk before stays there, and is served, until it is moved
(`ctl recordings move`) or imported again.
"""

from __future__ import annotations

from typing import cast

from appliance.recordings.files import RecordingFiles
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.storage import NewObjects, Rewrite, Storage, Transfer
from appliance.recordings.summary import FormatFiles
from appliance.recordings.text_tracks.rules import TextTrack, is_uploaded


class MixedStorage:
    """Both, as one storage. Every method raises OSError."""

    def __init__(self, objects: RecordingObjects, disk: RecordingFiles) -> None:
        self.objects = objects
        self.disk = disk

    def publish(self, record_id: str, format: str) -> bool:
        """Move the files, wherever they are."""
        on_disk = self.disk.publish(record_id, format)
        return self.objects.publish(record_id, format) or on_disk

    def unpublish(self, record_id: str, format: str) -> bool:
        """Move the files, wherever they are."""
        on_disk = self.disk.unpublish(record_id, format)
        return self.objects.unpublish(record_id, format) or on_disk

    def has(self, format: str, record_id: str) -> bool:
        """Return whether there are files on the disk or in the bucket."""
        return self.disk.has(format, record_id) or self.objects.has(format, record_id)

    def where(self, record_id: str) -> dict[str, tuple[bool, bool]]:
        """Return the places on the disk and in the bucket together."""
        found = self.disk.where(record_id)
        for format, (published, unpublished) in self.objects.where(record_id).items():
            before = found.get(format, (False, False))
            found[format] = (before[0] or published, before[1] or unpublished)
        return found

    def locate(self, record_id: str) -> list[FormatFiles]:
        """Return the directories, then the objects."""
        return [*self.disk.locate(record_id), *self.objects.locate(record_id)]

    def check(self) -> None:
        """Raise BucketFault if the bucket cannot be reached now."""
        self.objects.check()

    def new_objects(
        self, source: str, record_id: str, format: str, *, published: bool
    ) -> NewObjects | None:
        """Return those of the bucket."""
        return self.objects.new_objects(source, record_id, format, published=published)

    def stage(
        self, source: str, record_id: str, format: str, *, published: bool, transfer: Transfer
    ) -> str:
        """Upload."""
        return self.objects.stage(source, record_id, format, published=published, transfer=transfer)

    def unstage(self, staged: str) -> None:
        """Undo it."""
        self.objects.unstage(staged)

    def place(self, staged: str, record_id: str, format: str, *, published: bool) -> None:
        """Replace what is in the bucket, then what is on the disk."""
        carried = [
            (track, self.disk.read_track(record_id, format, track))
            for track in self.disk.read_tracks(record_id, format)
            if is_uploaded(track)
        ]
        self.objects.place(staged, record_id, format, published=published, carried=carried)
        self.disk.remove(record_id, format)

    def remove(self, record_id: str, format: str | None = None) -> None:
        """Remove the files, wherever they are."""
        self.disk.remove(record_id, format)
        self.objects.remove(record_id, format)

    def empty_trash(self) -> None:
        """Remove what is left of them."""
        self.disk.empty_trash()

    def read_tracks(self, record_id: str, format: str) -> list[TextTrack]:
        """Return the text tracks."""
        return self._of(format, record_id).read_tracks(record_id, format)

    def read_track(self, record_id: str, format: str, track: TextTrack) -> bytes:
        """Return the file of a text track."""
        return self._of(format, record_id).read_track(record_id, format, track)

    def write_track(self, record_id: str, format: str, track: TextTrack, webvtt: bytes) -> bool:
        """Add or replace a text track."""
        return self._of(format, record_id).write_track(record_id, format, track, webvtt)

    def rewrite_metadata(self, record_id: str, format: str, rewrite: Rewrite) -> None:
        """Change the metadata.xml, wherever it is."""
        self.disk.rewrite_metadata(record_id, format, rewrite)
        self.objects.rewrite_metadata(record_id, format, rewrite)

    def _of(self, format: str, record_id: str) -> Storage:
        return self.disk if self.disk.has(format, record_id) else self.objects


def disk_of(storage: Storage) -> RecordingFiles:
    """Return the disk of a storage: its files are moved at once, and objects follow later."""
    return storage.disk if isinstance(storage, MixedStorage) else cast("RecordingFiles", storage)
