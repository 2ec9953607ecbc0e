"""The entry point refuses unsupported versions of Python with a clear message."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from appliance import __main__ as entry_point

ROOT = Path(__file__).resolve().parents[1]
# Pretends to be another version, because a test cannot rely on other interpreters.
RUN = """
import runpy, sys
sys.version_info = ({version}, "final", 0)
sys.argv[1:] = ["version"]
try:
    runpy.run_module("appliance", run_name="__main__", alter_sys=True)
finally:
    loaded = [name for name in sys.modules if name.startswith("appliance")]
    print(sorted(loaded))
"""


@pytest.mark.parametrize("version", ["3, 10, 13", "3, 14, 0"])
def test_unsupported_python_is_refused_before_other_imports(version: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(version=version)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    shown = version.replace(", ", ".")
    assert done.returncode == 1
    assert done.stderr == (
        f"scalelite-appliance requires Python 3.11 to 3.13; {sys.executable} is Python {shown}\n"
    )
    assert done.stdout == "['appliance']\n"


@pytest.mark.parametrize("version", ["3, 11, 0", "3, 13, 9"])
def test_supported_python_is_accepted(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", ast.literal_eval(f"({version}, 'final', 0)"))

    entry_point.check_python()


def test_entry_point_is_valid_syntax_for_old_versions() -> None:
    for name in ("__init__.py", "__main__.py"):
        # 3.7 is the oldest grammar that ast can check.
        tree = ast.parse((ROOT / "appliance" / name).read_text(), feature_version=(3, 7))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]


def test_limits_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lowest, end = (
        ".".join(map(str, one)) for one in (entry_point.MIN_PYTHON, entry_point.END_PYTHON)
    )

    assert project["requires-python"] == f">={lowest},<{end}"


def test_command_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert entry_point.main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("scalelite-appliance ")
