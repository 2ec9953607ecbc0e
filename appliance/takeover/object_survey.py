"""Read the files of recordings in a bucket, beside those in the directories. Changes nothing.

Everything blocks and runs in threads; may raise OSError.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.recording import is_record_id
from appliance.settings.model import RecordingSettings
from appliance.takeover.file_survey import FileSurvey
from appliance.takeover.recording_findings import DirectoryState, Places

_BUCKET = "s3://"
_KEEP_S = 60.0
"""How long a listing of the bucket is used: an inspection asks for it in many steps."""
_LOCAL = frozenset({"RECORDING_PUBLISH_DIR", "RECORDING_UNPUBLISH_DIR"})


class ObjectSurvey(FileSurvey):
    """Reads the directories that the settings name, and the bucket."""

    def __init__(self, settings: RecordingSettings, objects: RecordingObjects) -> None:
        super().__init__(settings)
        self._objects = objects
        self._listed_s = -_KEEP_S
        self._listed: dict[tuple[str, bool], frozenset[str]] = {}

    def directories(self) -> list[DirectoryState]:
        """Return the state of the directories; those that only the disk needs may be missing."""
        return [one for one in super().directories() if one.exists or one.purpose not in _LOCAL]

    def where(self, record_ids: Iterable[str]) -> dict[str, Places]:
        """Return for each recording the places of its files, by format."""
        wanted = [record_id for record_id in record_ids if is_record_id(record_id)]
        found = {name: dict(places) for name, places in super().where(wanted).items()}
        for (format, published), names in self._list().items():
            for record_id in wanted:
                if record_id in names:
                    before = found[record_id].get(format, (False, False))
                    after = (before[0] or published, before[1] or not published)
                    found[record_id][format] = after
        return dict(found)

    def folders(self) -> list[str]:
        """Return the directories of formats, then those in the bucket, in a stable order."""
        return [*super().folders(), *sorted(self._named())]

    def recordings_in(self, folder: str) -> list[str]:
        """Return the recordings that have files in a directory of a format."""
        if not folder.startswith(_BUCKET):  # without asking a bucket that may be down
            return super().recordings_in(folder)
        return sorted(self._named().get(folder, ()))

    def _named(self) -> dict[str, frozenset[str]]:
        root = f"{_BUCKET}{self._objects.bucket.name}/"
        return {
            f"{root}{self._objects.keys.state(published=published)}{format}": names
            for (format, published), names in self._list().items()
        }

    def _list(self) -> dict[tuple[str, bool], frozenset[str]]:
        """Return the recordings of each format, published or not."""
        if time.monotonic() - self._listed_s > _KEEP_S:
            objects = self._objects
            self._listed = {
                (format, published): frozenset(objects.recordings_of(format, published=published))
                for format in objects.formats()
                for published in (True, False)
            }
            self._listed_s = time.monotonic()
        return self._listed
