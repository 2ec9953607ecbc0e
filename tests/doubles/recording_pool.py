"""An appliance with recordings and without BBB servers, with real stores, files and HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from appliance.features import Features
from appliance.postgres.database import Database
from appliance.recordings.change_notes import ChangeNotes
from appliance.recordings.files import RecordingFiles
from appliance.recordings.recording import Recording
from appliance.recordings.store import RecordingStore
from tests.doubles.features import open_features, rewire
from tests.doubles.public import Public, serve_public
from tests.doubles.recordings import add, open_recordings


class CountedTokens:
    """Numbered tokens: `token-1`, `token-2`, …"""

    def __init__(self) -> None:
        self.issued: list[tuple[str, str]] = []

    async def issue_tokens(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """Return a token for each (recordID, format)."""
        first = len(self.issued) + 1
        self.issued += pairs
        return [f"token-{number}" for number in range(first, first + len(pairs))]

    async def consume_token(self, token: str) -> tuple[str, str] | None:
        """Return the recording and format of a token."""
        number = token.removeprefix("token-")
        return self.issued[int(number) - 1] if number.isdecimal() else None


@dataclass(frozen=True)
class RecordingPool:
    """A served appliance and its parts."""

    res: Features
    public: Public
    postgres: Database
    store: RecordingStore
    files: RecordingFiles
    tokens: CountedTokens
    published: Path
    unpublished: Path

    async def add(self, *recordings: Recording) -> None:
        """Import recordings with a file `index.html` in each format."""
        await add(self.store, *recordings)
        for one in recordings:
            for shown in one.formats:
                root = self.published if one.published else self.unpublished
                directory = root / shown.format / one.record_id
                directory.mkdir(parents=True)
                (directory / "index.html").write_text(one.record_id)

    async def find(self, record_id: str) -> Recording:
        """Return an existing recording."""
        found = await self.store.find_recording(record_id)
        assert found is not None
        return found


@asynccontextmanager
async def open_recording_pool(
    redis_url: str, namespace: str, database_url: str, directory: Path, **variables: str
) -> AsyncIterator[RecordingPool]:
    """Serve an appliance with the recordings of a database and files below `directory`."""
    published, unpublished = directory / "published", directory / "unpublished"
    paths = {
        "RECORDING_PUBLISH_DIR": str(published),
        "RECORDING_UNPUBLISH_DIR": str(unpublished),
    }
    async with (
        open_features(redis_url, namespace, log=None, **(paths | variables)) as bare,
        open_recordings(database_url) as (postgres, store),
    ):
        files, tokens = RecordingFiles(bare.settings.recordings), CountedTokens()
        res = rewire(
            bare,
            recordings__store=store,
            recordings__files=files,
            recordings__change_notes=ChangeNotes(bare.settings.recordings),
            recordings__tokens=tokens,
        )
        async with serve_public(res) as public:
            yield RecordingPool(res, public, postgres, store, files, tokens, published, unpublished)
