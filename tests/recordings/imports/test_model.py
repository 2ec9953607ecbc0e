"""Which names in the spool are finished tars."""

from __future__ import annotations

import pytest

from appliance.recordings.imports.model import is_tar_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("r1.tar", True),
        ("r1.tar.gz", True),
        ("r1.tgz", True),
        ("r1.tar.xz", True),
        ("r1.tar.zst", True),
        (".r1.tar", False),
        (".r1.tar.Xy12ab", False),
        ("r1.tar.part", False),
        ("r1", False),
        ("failed", False),
        ("", False),
    ],
)
def test_is_tar_name_knows_finished_tars(name: str, expected: bool) -> None:
    assert is_tar_name(name) is expected
