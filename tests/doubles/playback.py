"""An appliance that serves recordings, with real stores, tokens, files and HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from appliance.recordings.files import RecordingFiles
from appliance.recordings.objects.bucket import Bucket
from appliance.recordings.objects.keys import ObjectKeys
from appliance.recordings.objects.objects import RecordingObjects
from appliance.recordings.playback.from_bucket import ObjectPlayback
from appliance.recordings.playback.served_files import ServedFiles
from appliance.recordings.playback.tokens import PlaybackTokens
from appliance.recordings.recording import Recording
from appliance.recordings.store import RecordingStore
from appliance.settings.model import S3Settings
from tests.doubles.features import open_features, rewire
from tests.doubles.public import Public, serve_public
from tests.doubles.recordings import add, make_format, make_recording, open_recordings

KEY = "k" * 64
INDEX = b"<p>index</p>"


@dataclass(frozen=True)
class Player:
    """A served appliance and its parts."""

    public: Public
    store: RecordingStore
    tokens: PlaybackTokens
    published: Path
    unpublished: Path
    player: Path

    def place(self, record_id: str, format: str, **files: bytes) -> Path:
        """Write files of a published recording and an index.html; `_` in names becomes a dot."""
        directory = self.published / format / record_id
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "index.html").write_bytes(INDEX)
        for name, content in files.items():
            (directory / name.replace("_", ".")).write_bytes(content)
        return directory

    async def add(self, record_id: str = "rec-1", *formats: str, **changes: object) -> Recording:
        """Import a recording with files."""
        names = formats or ("presentation",)
        shown = tuple(make_format(name, record_id) for name in names)
        one = make_recording(record_id, **({"formats": shown} | changes))
        await add(self.store, one)
        for name in names:
            self.place(record_id, name)
        return one

    async def protect(self, record_id: str, protected: bool = True) -> None:
        """Protect a recording as updateRecordings does."""
        async with self.store.lock_recordings([record_id], None) as locked:
            for one in locked.recordings:
                await locked.update(one, metadata=(), protected=protected)


@asynccontextmanager
async def open_player(
    redis_url: str,
    namespace: str,
    database_url: str,
    directory: Path,
    *,
    s3: S3Settings | None = None,
    **variables: str,
) -> AsyncIterator[Player]:
    """Serve an appliance whose files are below `directory` and, with `s3`, in a bucket."""
    paths = [directory / name for name in ("published", "unpublished", "playback")]
    names = ("RECORDING_PUBLISH_DIR", "RECORDING_UNPUBLISH_DIR", "PLAYBACK_DIR")
    for path in paths:
        path.mkdir(exist_ok=True)
    environment = dict(zip(names, map(str, paths), strict=True)) | variables
    async with (
        open_features(redis_url, namespace, log=None, **environment) as bare,
        open_recordings(database_url) as (_, store),
    ):
        if s3 is not None:
            settings = replace(bare.settings, s3=s3)
            objects = RecordingObjects(Bucket(s3), ObjectKeys(s3.prefix))
            playing = ObjectPlayback(objects, s3)
            bare = rewire(bare, settings=settings, recordings__objects=playing)
        recordings = bare.settings.recordings
        tokens = PlaybackTokens(bare.redis.foreground, 60)
        res = rewire(
            bare,
            recordings__store=store,
            recordings__files=RecordingFiles(recordings),
            recordings__tokens=tokens,
            recordings__served=ServedFiles(recordings),
            recordings__secret_key_base=KEY,
        )
        async with serve_public(res) as public:
            yield Player(public, store, tokens, *paths)
