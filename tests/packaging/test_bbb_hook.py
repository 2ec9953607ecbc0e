"""The post-publish hook of BigBlueButton, run by a real Ruby."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

BBB = Path(__file__).resolve().parents[2] / "config" / "bbb"
HOOK = "post_publish_scalelite_appliance.rb"


def test_hook_delivers_the_recording(tmp_path: Path) -> None:
    scripts, spool = tmp_path / "scripts", tmp_path / "spool"
    (scripts / "post_publish").mkdir(parents=True)
    spool.mkdir()
    shutil.copy(BBB / "scalelite_appliance.py", scripts)
    shutil.copy(BBB / HOOK, scripts / "post_publish")
    published = tmp_path / "published" / "video" / "rec-1"
    published.mkdir(parents=True)
    (published / "metadata.xml").write_text("<recording/>")
    config = tmp_path / "appliance.conf"
    config.write_text(
        f"[appliance]\nspool = {spool}\npublished = {tmp_path / 'published'}\n"
        f"queue = {tmp_path / 'queue'}\n"
    )

    done = subprocess.run(
        [
            *("ruby", str(scripts / "post_publish" / HOOK)),
            *("-m", "rec-1", "-f", "video", "--config", str(config)),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    with tarfile.open(spool / "rec-1.tar") as tar:
        assert "video/rec-1/metadata.xml" in tar.getnames()
    assert not list((tmp_path / "queue").glob("*.tar"))


def test_script_is_valid_syntax_for_the_oldest_python_of_servers() -> None:
    # BigBlueButton 2.4 runs on Ubuntu 18.04, with Python 3.6.
    ast.parse((BBB / "scalelite_appliance.py").read_text(), feature_version=(3, 6))


def test_first_hour_copies_the_files_to_where_they_are_run() -> None:
    head = (BBB / "scalelite-appliance.conf").read_text()
    page = (BBB.parents[1] / "docs/first-hour.md").read_text()
    places = re.findall(r"^#   (\S+) +(/\S+)$", head, re.MULTILINE)

    assert len(places) == 2
    for name, place in places:
        assert f"    scp {name} bbb1.example.org:{place}\n" in page
