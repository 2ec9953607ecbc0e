"""The spool: what counts as a tar, and nothing is ever overwritten or lost."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from appliance.recordings.imports.model import SpooledTar, UnpackedFormat, may_hold
from appliance.recordings.imports.spool import Spool, Upload, look_at
from tests.doubles.import_tools import recording_settings


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(recording_settings(tmp_path))
    made.make()
    return made


def put(spool: Spool, name: str, text: str = "x") -> Path:
    path = spool.directory / name
    path.write_text(text)
    return path


def test_scan_gives_finished_tars_the_oldest_first(spool: Spool) -> None:
    for age, name in enumerate(("new.tar", "old.tar", ".hidden.tar", "x.part")):
        path = put(spool, name)
        os.utime(path, ns=(0, 10**18 - age))
    (spool.directory / "directory.tar").mkdir()
    (spool.directory / "link.tar").symlink_to("new.tar")
    assert [tar.name for tar in spool.scan()] == ["old.tar", "new.tar"]


def test_accept_and_reject_leave_a_newer_tar_alone(spool: Spool) -> None:
    put(spool, "r1.tar")
    old = spool.look("r1.tar")
    assert old is not None
    put(spool, "r1.tar", "newer")
    spool.accept(old)
    spool.reject(old, "bad")
    assert (spool.directory / "r1.tar").read_text() == "newer"
    assert spool.failed_names() == []


class BusySpool(Spool):
    """Another program replaces a tar between the look at it and what follows."""

    def look(self, name: str) -> SpooledTar | None:
        found = super().look(name)
        put(self, ".new", "newer")
        (self.directory / ".new").rename(self.directory / name)
        return found


@pytest.mark.parametrize("rejects", [False, True])
def test_tar_that_gets_the_name_at_the_last_moment_stays(tmp_path: Path, rejects: bool) -> None:
    spool = BusySpool(recording_settings(tmp_path))
    spool.make()
    tar = look_at(put(spool, "r1.tar"))
    assert tar is not None
    if rejects:
        spool.reject(tar, "bad")
    else:
        spool.accept(tar)
    assert (spool.directory / "r1.tar").read_text() == "newer"
    assert sorted(path.name for path in spool.directory.iterdir()) == sorted(
        ["r1.tar", *(["failed"] if rejects else [])]
    )
    assert spool.failed_names() == []


def test_tar_left_aside_by_a_crash_is_back(spool: Spool) -> None:
    put(spool, ".done-01234567.r1.tar", "one")
    put(spool, ".done-89abcdef.r1.tar", "two")
    put(spool, ".other", "three")
    spool.put_back_aside()
    names = sorted(tar.name for tar in spool.scan())
    assert len(names) == 2
    assert all(name == "r1.tar" or name.endswith(".r1.tar") for name in names)
    assert (spool.directory / ".other").exists()


def test_reject_overwrites_nothing(spool: Spool) -> None:
    for text in ("one", "two"):
        put(spool, "r1.tar", text)
        tar = spool.look("r1.tar")
        assert tar is not None
        spool.reject(tar, f"reason {text}\udcff")
    failed = spool.directory / "failed"
    assert sorted((failed / name).read_text() for name in spool.failed_names()) == ["one", "two"]
    assert all((failed / f"{name}.error").exists() for name in spool.failed_names())


def test_names_of_any_length_come_and_go(spool: Spool) -> None:
    name = "n" * 251 + ".tar"
    for text in ("one", "two"):
        put(spool, name, text)
        tar = spool.look(name)
        assert tar is not None
        spool.reject(tar, "reason")
        assert spool.look(name) is None
    assert len(spool.failed_names()) == 2
    spool.restore(name)
    upload = spool.open_upload("r" * 255)
    upload.write(b"one")
    upload.finish()
    assert len(spool.scan()) == 2


def test_upload_keeps_its_recording_in_its_name(spool: Spool) -> None:
    for record_id in ("r1", "r" * 255):
        for _ in range(3):  # beside the one before, then from failed/
            upload = spool.open_upload(record_id)
            upload.write(b"one")
            upload.finish()
        for _ in range(2):
            for tar in spool.scan():
                assert may_hold(tar.name, record_id)
                assert not may_hold(tar.name, "upload")
                assert not may_hold(tar.name, "r2")
                spool.reject(tar, "reason")
            for name in spool.failed_names():
                spool.restore(name)
        for tar in spool.scan():
            spool.accept(tar)


def test_restore_brings_a_tar_back_but_not_onto_another(spool: Spool) -> None:
    put(spool, "r1.tar", "bad")
    tar = spool.look("r1.tar")
    assert tar is not None
    spool.reject(tar, "reason")
    assert spool.look_failed("r1.tar") == tar
    put(spool, "r1.tar", "newer")
    with pytest.raises(FileExistsError):
        spool.restore("r1.tar")
    (spool.directory / "r1.tar").unlink()
    spool.restore("r1.tar")
    assert spool.look("r1.tar") == tar
    assert os.listdir(spool.directory / "failed") == []


@pytest.mark.parametrize("name", ["../r1.tar", "missing.tar", "a/b.tar", "r1.tar.error"])
def test_look_failed_knows_only_tars_of_the_directory(spool: Spool, name: str) -> None:
    put(spool, "r1.tar")
    assert spool.look_failed(name) is None


def test_upload_appears_when_it_is_whole_and_overwrites_nothing(spool: Spool) -> None:
    for text in (b"one", b"two"):
        upload = spool.open_upload("r1")
        upload.write(text)
        count = len(spool.scan())
        upload.finish()
        assert len(spool.scan()) == count + 1
    found = {(spool.directory / tar.name).read_bytes() for tar in spool.scan()}
    assert found == {b"one", b"two"}
    upload = spool.open_upload("r1")
    upload.write(b"three")
    upload.abort()
    assert len(os.listdir(spool.directory)) == 2


@pytest.mark.parametrize("record_id", [f"r{number}" for number in range(8)])
def test_uploads_that_end_at_once_are_all_kept(spool: Spool, record_id: str) -> None:
    texts = [str(number).encode() for number in range(8)]
    uploads = [spool.open_upload(record_id) for _ in texts]
    for upload, text in zip(uploads, texts, strict=True):
        upload.write(text)
    together = Barrier(len(uploads))

    def finish(upload: Upload) -> None:
        together.wait()
        upload.finish()

    with ThreadPoolExecutor(len(uploads)) as threads:
        list(threads.map(finish, uploads))
    assert {(spool.directory / tar.name).read_bytes() for tar in spool.scan()} == set(texts)


def test_upload_of_an_odd_name_is_refused(spool: Spool) -> None:
    with pytest.raises(ValueError, match="recordID"):
        spool.open_upload("../r1")


def test_abandoned_uploads_are_removed_after_a_day(spool: Spool) -> None:
    put(spool, ".upload-new")
    os.utime(put(spool, ".upload-old"), (0, 0))
    os.utime(put(spool, ".r1.tar.Xy"), (0, 0))
    spool.remove_abandoned_uploads()
    assert sorted(os.listdir(spool.directory)) == [".r1.tar.Xy", ".upload-new"]


def test_other_metadata_take_the_place_of_what_was_unpacked_alone(
    spool: Spool, tmp_path: Path
) -> None:
    folder = tmp_path / "unpacked"
    folder.mkdir()
    (folder / "linked").write_bytes(b"before")
    (folder / "metadata.xml").hardlink_to(folder / "linked")

    spool.show(UnpackedFormat("video", "r1", str(folder), b"before"), b"after")

    assert (folder / "metadata.xml").read_bytes() == b"after"
    assert (folder / "linked").read_bytes() == b"before"
