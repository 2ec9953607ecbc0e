"""Imports of the real process, two of them on one spool, that are stopped, killed and cut off."""

from __future__ import annotations

import gzip
import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.doubles.appliance_process import ApplianceProcess, wait_for
from tests.doubles.recording_tars import metadata_xml, recording_tar
from tests.doubles.store_servers import PostgresServer

MANY = 8
LARGE_FILES, FILE_BYTES = 40, 8 << 20
"""Of zeros: packed it is small, and unpacking takes a second or two."""
WITHIN_S = 60.0
SHARED = ("SPOOL", "WORK", "PUBLISH", "UNPUBLISH")


class Pair:
    """Two appliances on one database, one spool and the same directories."""

    def __init__(self, one: ApplianceProcess, two: ApplianceProcess, root: Path) -> None:
        self.both = (one, two)
        self.root = root
        self.work = one.directory("work")
        self.spool = one.spool
        self.published = one.directory("publish")

    def drop(self, tar: Path) -> None:
        """Let them see a tar."""
        tar.rename(self.spool / tar.name)

    def drop_large(self, record_id: str) -> None:
        """Let them see one that takes a while."""
        path = self.root / f"{record_id}.tar.gz"
        with gzip.open(path, "wb", compresslevel=1) as packed:
            text = metadata_xml(record_id, "video").encode()
            head = tarfile.TarInfo(f"video/{record_id}/metadata.xml")
            head.size = len(text)
            packed.write(head.tobuf() + text + bytes(-len(text) % 512))
            for number in range(LARGE_FILES):
                head = tarfile.TarInfo(f"video/{record_id}/{number}.webm")
                head.size = FILE_BYTES
                packed.write(head.tobuf() + bytes(FILE_BYTES))
            packed.write(bytes(1024))
        self.drop(path)

    def unpacking(self) -> ApplianceProcess | None:
        """Return which of them is unpacking something now."""
        for each in self.both:
            for link in Path(f"/proc/{each.pid}/fd").iterdir() if each.pid else ():
                with suppress(OSError):
                    if link.readlink().is_relative_to(self.work):
                        return each
        return None

    def wait_unpacking(self) -> ApplianceProcess:
        """Wait until one of them unpacks something, and return it."""
        seen: list[ApplianceProcess] = []

        def looks() -> bool:
            seen.extend(filter(None, [self.unpacking()]))
            return bool(seen)

        wait_for(looks, WITHIN_S, "somebody unpacks")
        return seen[0]

    def imports(self, record_id: str) -> int:
        """Return how often both of them, in all their runs, said that they imported it."""
        line = f'"recordings": ["{record_id}"]'
        texts = [each.log_text() for each in self.both]
        return sum(text.count(line) for text in texts)

    def wait_imported(self, record_id: str) -> None:
        """Wait until a recording was imported, once, and everything is in its place."""
        wait_for(lambda: self.imports(record_id) > 0, WITHIN_S, f"{record_id} is imported")
        wait_for(lambda: not self.left(), WITHIN_S, lambda: f"nothing is left: {self.left()}")
        assert self.imports(record_id) == 1

    def left(self) -> list[str]:
        """Return what is in the spool and the work directory."""
        return os.listdir(self.work) + [one for one in os.listdir(self.spool) if one != "failed"]

    def is_whole(self, record_id: str) -> bool:
        """Whether every file of a large one is published."""
        files = list((self.published / "video" / record_id).glob("*.webm"))
        return [one.stat().st_size for one in files] == [FILE_BYTES] * LARGE_FILES


@pytest.fixture(scope="module")
def pair(both_stores: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    root = tmp_path_factory.mktemp("pair")
    shared = {f"RECORDING_{name}_DIR": str(root / name.lower()) for name in SHARED}
    environ = {**both_stores, **shared, "LOADBALANCER_SECRET": "s" * 40}
    homes = root / "one", root / "two"
    for home in homes:
        home.mkdir()
    with (
        ApplianceProcess(homes[0], **environ) as one,
        ApplianceProcess(homes[1], **environ) as two,
    ):
        yield Pair(one, two, root)


def test_each_tar_is_imported_once_by_one_of_two(pair: Pair) -> None:
    for number in range(MANY):
        pair.drop(recording_tar(pair.root, f"r{number}", {"video": {"a.webm": b"v"}}))
    for number in range(MANY):
        pair.wait_imported(f"r{number}")


def test_import_is_taken_over_from_one_that_was_killed(pair: Pair) -> None:
    pair.drop_large("taken-over")
    killed = pair.wait_unpacking()
    killed.kill()
    assert not pair.is_whole("taken-over")
    survivor = next(each for each in pair.both if each is not killed)
    survivor.wait_event("recording_imported", WITHIN_S, recordings=["taken-over"])
    assert pair.is_whole("taken-over")
    killed.start()  # and removes what it had unpacked
    pair.wait_imported("taken-over")


def test_import_is_begun_anew_after_a_stop(pair: Pair) -> None:
    one, two = pair.both
    assert two.terminate() == 0
    pair.drop_large("stopped")
    assert pair.wait_unpacking() is one
    assert one.terminate() == 0  # in time, and without an error in the log
    assert not (pair.published / "video/stopped").exists()
    one.start()
    pair.wait_imported("stopped")
    assert pair.is_whole("stopped")
    two.start()


def test_import_goes_on_after_its_connections_were_killed(
    pair: Pair, postgres_server: PostgresServer
) -> None:
    pair.drop_large("cut-off")
    pair.wait_unpacking()
    database = pair.both[0].environ["DATABASE_URL"].rpartition("/")[2].partition("?")[0]
    kill = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
    postgres_server.sql(kill)
    pair.wait_imported("cut-off")
    assert pair.is_whole("cut-off")
