"""tools/check_tree.py: the tree has no faults, and each rule finds its fault."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tools import check_tree


def test_tree_has_no_faults(capsys: pytest.CaptureFixture[str]) -> None:
    code = check_tree.main()

    assert code == 0, capsys.readouterr().out


# The forbidden texts are concatenated, so that this file has no faults.
@pytest.mark.parametrize(
    ("path", "text", "fault"),
    [
        ("README.md", "see " + "/wo" + "rk/main", "path of a build machine"),
        ("tests/test_x.py", "ROOT = '/fa" + "rm/x'", "path of a build machine"),
        ("Makefile", "pip --index" + "-url https://a.b/simple", "address of a package registry"),
        ("x.json", '"resolved"' + ': "https://a.b/c"', "address of a package registry"),
        ("README.md", "https:" + "//a.b/c.whl", "address of a package registry"),
        ("requirements/runtime.txt", "a @ https" + "://a.b/c", "host or option in a lock file"),
        ("requirements/dev.txt", "--" + "find-links x", "host or option in a lock file"),
        ("appliance/public/app.py", "# TO" + "DO later", "unfinished code"),
        ("appliance/public/app.py", "raise Not" + "ImplementedError", "unfinished code"),
        ("tests/test_x.py", "@pytest.mark.sk" + "ip", "skipped test"),
        ("docs/x.md", "|" * 500, "line that is too long for lintian"),
        ("config/x", "<" * 7 + " HEAD", "conflict marker"),
    ],
)
def test_fault_is_found_with_its_line(path: str, text: str, fault: str) -> None:
    assert list(check_tree.find_faults(path, f"\n{text}\n")) == [(2, fault)]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("requirements/runtime.txt", "    --hash=sha256:00"),
        ("requirements/dev.in", "-c runtime.txt"),
        ("README.md", "https://files.example.org/work/of/others"),
        ("docs/notes.md", "a TO" + "DO list is documentation"),
    ],
)
def test_allowed_line_is_no_fault(path: str, text: str) -> None:
    assert list(check_tree.find_faults(path, text)) == []


def test_untracked_files_are_checked_and_ignored_ones_are_not(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True, timeout=40)
    for name, text in {"new.py": "", "ignored.py": "", ".gitignore": "ignored.py\n"}.items():
        (tmp_path / name).write_text(text)

    assert sorted(check_tree.tracked_files(tmp_path)) == [".gitignore", "new.py"]


def test_files_are_listed_without_git(tmp_path: Path) -> None:
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "x.py").write_text("")
    (tmp_path / "a.py").write_text("")

    assert check_tree.tracked_files(tmp_path) == ["a.py"]
