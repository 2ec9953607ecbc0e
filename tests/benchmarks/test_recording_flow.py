"""benchmarks/recording_flow.py: the tar that is imported."""

from __future__ import annotations

import tarfile
from pathlib import Path

from benchmarks.recording_flow import RECORD_ID, write_tar


def test_tar_has_the_requested_size_and_number_of_files(tmp_path: Path) -> None:
    path = write_tar(tmp_path, 2, 40)

    with tarfile.open(path) as tar:
        files = [member for member in tar.getmembers() if member.name.endswith(".bin")]
        assert f"presentation/{RECORD_ID}/metadata.xml" in tar.getnames()
    assert len(files) == 40
    assert sum(member.size for member in files) == 2_000_000
