"""Notes of changes under way: written whole or not at all, read by whoever comes later."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.recordings.change_notes import CHANGES, ChangeNotes
from appliance.recordings.changes import ChangeNote
from tests.doubles.import_tools import recording_settings


@pytest.fixture
def notes(tmp_path: Path) -> ChangeNotes:
    return ChangeNotes(recording_settings(tmp_path))


def test_notes_are_read_until_they_are_removed(notes: ChangeNotes) -> None:
    assert notes.read(older_than_s=0.0) == []
    moved, deleted = notes.write(["a", "b"], delete=False), notes.write(["c"], delete=True)
    expected = {ChangeNote(moved, ("a", "b"), False), ChangeNote(deleted, ("c",), True)}
    assert set(notes.read(older_than_s=0.0)) == expected
    assert notes.read(older_than_s=60.0) == []
    notes.remove([moved, deleted, "gone"])
    assert notes.read(older_than_s=0.0) == []


def test_deletion_is_forgotten_but_no_other_note(notes: ChangeNotes) -> None:
    kept = {notes.write(["a"], delete=False), notes.write(["b"], delete=True)}
    notes.write(["a"], delete=True)
    notes.forget_deletion("a")
    assert {note.name for note in notes.read(older_than_s=0.0)} == kept


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"record_ids": ["a"]}', b"\xff"])
def test_what_is_no_note_is_removed(notes: ChangeNotes, tmp_path: Path, content: bytes) -> None:
    kept = notes.write(["a"], delete=True)
    folder = tmp_path / "published" / CHANGES
    (folder / "bad.json").write_bytes(content)
    (folder / "cut-off.new").write_bytes(content)
    assert [note.name for note in notes.read(older_than_s=0.0)] == [kept]
    assert [path.name for path in folder.iterdir()] == [f"{kept}.json"]


def test_names_that_would_leave_the_directories_are_left_out(
    notes: ChangeNotes, tmp_path: Path
) -> None:
    notes.write(["a"], delete=False)
    (path,) = (tmp_path / "published" / CHANGES).iterdir()
    path.write_text('{"record_ids": ["../x", "b"], "delete": true}')
    assert [note.record_ids for note in notes.read(older_than_s=0.0)] == [("b",)]
