"""The recordings' files of the Scalelite whose stores are in tests/data/scalelite.

There is one file per format, at the location given by the rows.
"""

from __future__ import annotations

from pathlib import Path

from tests.doubles.import_tools import recording_settings
from tests.doubles.recording_tars import metadata_xml

DUMP = Path(__file__).parents[1] / "data" / "scalelite" / "postgres.sql"
UNPUBLISHED = "5573e39b6600496d40f493d00ec7658479a19607-1700000000154"
DELETED = "7e264138d0ca103b872057862b9b0359962ec5d2-1700000000154"
PUBLISHED = "a50126cc2d6c726de0ca203c3b659f658d356173-1700000000154"
OLD = "aa893358be4b506d8aeb52b29b8a9cacdd695b64-1700000000154"
FORMATS = (
    ("unpublished", "presentation", UNPUBLISHED),
    ("unpublished", "video", UNPUBLISHED),
    ("published", "podcast", PUBLISHED),
    ("published", "presentation", PUBLISHED),
    ("published", "presentation", OLD),
)


def make_scalelite_files(root: Path) -> None:
    """Create the directories below `root` with the files of all recordings."""
    for name in ("spool", "work", "published", "unpublished"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for top, format, record_id in FORMATS:
        add_format(root, top, format, record_id)


def add_format(root: Path, top: str, format: str, record_id: str) -> Path:
    """Create the files of a format and return their directory."""
    folder = root / top / format / record_id
    folder.mkdir(parents=True)
    (folder / "metadata.xml").write_text(metadata_xml(record_id, format))
    (folder / "index.html").write_text(f"{format} of {record_id}")
    return folder


def directory_variables(root: Path) -> dict[str, str]:
    """Return the environment variables of these directories."""
    settings = recording_settings(root)
    return {
        "RECORDING_SPOOL_DIR": str(settings.spool_dir),
        "RECORDING_WORK_DIR": str(settings.work_dir),
        "RECORDING_PUBLISH_DIR": str(settings.publish_dir),
        "RECORDING_UNPUBLISH_DIR": str(settings.unpublish_dir),
    }
