"""The rules of the house that a machine can keep: test files, layers, sizes, pins, versions.

What must not be committed at all is the matter of tools/check_tree.py and its test.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import appliance

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

# Directories under tests/ that mirror nothing in appliance/.
OTHER_TESTS = {"benchmarks", "compat", "doubles", "end_to_end", "packaging", "tools", "data"}


def modules() -> list[str]:
    """The appliance's modules, as paths relative to the root."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "appliance").rglob("*.py"))


def test_every_test_file_names_a_module() -> None:
    strays = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        folder = path.relative_to(ROOT / "tests").parent
        if path.name == "test_house.py" or OTHER_TESTS.intersection(folder.parts):
            continue
        siblings = (ROOT / "appliance" / folder).iterdir()
        # test_failover_races.py may hold one part of what failover.py does.
        names = {sibling.stem.strip("_") for sibling in siblings}
        if not any(re.match(rf"test_{name}(_|$)", path.stem) for name in names):
            strays.append(str(path.relative_to(ROOT)))

    assert not strays


def test_test_directories_are_no_packages() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_files_and_functions_keep_their_size() -> None:
    too_long = []
    for module in modules():
        text = (ROOT / module).read_text()
        if (lines := len(text.splitlines())) > MAX_FILE_LINES:
            too_long.append(f"{module}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
                length = node.end_lineno - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    too_long.append(f"{module}: {node.name} has {length} lines")

    assert not too_long, "\n".join(too_long)


def test_every_module_says_its_job() -> None:
    silent = [
        module
        for module in modules()
        if not ast.get_docstring(ast.parse((ROOT / module).read_text()))
    ]

    assert not silent


def docstrings(tree: ast.AST) -> Iterator[str]:
    """Yield the docstrings of a module, its classes, functions and attributes."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        for one in body if isinstance(body, list) else ():
            if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                yield str(one.value.value)


def test_docstrings_begin_with_a_noun_or_a_verb() -> None:
    clauses = [
        f"{module}: {text.splitlines()[0]}"
        for module in modules()
        for text in docstrings(ast.parse((ROOT / module).read_text()))
        if re.match(r"(What|Who|Whom|Whose)\b", text)
    ]

    assert not clauses, "\n".join(clauses)


# --- layers ---------------------------------------------------------------------------------------


def check_layers(root: Path) -> subprocess.CompletedProcess[str]:
    """Run import-linter on the tree at root."""
    script = str(Path(sys.executable).with_name("lint-imports"))
    command = [script, "--no-cache", "--no-logo"]
    return subprocess.run(
        command, cwd=root, capture_output=True, text=True, timeout=60, check=False
    )


def test_layers_are_kept() -> None:
    answer = check_layers(ROOT)

    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("bbb/__init__.py", "import appliance.meetings", "Layers"),
        ("servers/__init__.py", "import appliance.meetings", "Layers"),
        ("ctl/program.py", "import trio", "ctl starts fast"),
        ("servers/__init__.py", "import asyncpg", "Only the engines import"),
        ("newcomer.py", "", "Layers"),
    ],
)
def test_layers_are_broken_when_a_module_reaches_too_far(
    module: str, line: str, contract: str, tmp_path: Path
) -> None:
    shutil.copytree(ROOT / "appliance", tmp_path / "appliance")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "appliance" / module).open("a") as file:
        file.write(f"\n{line}\n")

    answer = check_layers(tmp_path)

    assert answer.returncode != 0
    assert re.search(rf"{re.escape(contract)}.* BROKEN", answer.stdout) or module == "newcomer.py"


# --- pins and versions ----------------------------------------------------------------------------


def wanted(name: str) -> set[str]:
    """The project names in one of requirements/*.in, normalised."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return {
        normalised(re.split(r"[\[<>=!~ ]", line)[0])
        for line in lines
        if line and not line.startswith(("#", "-"))
    }


def pinned(name: str) -> dict[str, set[str]]:
    """Project name -> its pins ("1.2 ; marker") in one of requirements/*.txt."""
    pins: dict[str, set[str]] = {}
    text = (ROOT / "requirements" / name).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith(("#", " ")) or not line:
            continue
        requirement, *hashes = line.split("--hash=sha256:")
        assert hashes, line
        project, version = requirement.split("==", 1)
        pins.setdefault(normalised(project), set()).add(version.strip())
    return pins


def normalised(project: str) -> str:
    """A project's name as PEP 503 compares them."""
    return re.sub(r"[-_.]+", "-", project).lower()


@pytest.mark.parametrize(
    ("sources", "lock"), [(("build.in", "runtime.in"), "runtime.txt"), (("dev.in",), "dev.txt")]
)
def test_lock_file_pins_with_hashes_what_is_wanted(sources: tuple[str, ...], lock: str) -> None:
    assert set[str]().union(*map(wanted, sources)) <= pinned(lock).keys()


def test_lock_files_agree() -> None:
    runtime, dev = pinned("runtime.txt"), pinned("dev.txt")
    versions = {
        name: {pin.split()[0] for pin in dev[name]} - {pin.split()[0] for pin in runtime[name]}
        for name in runtime.keys() & dev.keys()
    }

    assert not any(versions.values()), versions


def test_version_is_written_once() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    literal = re.compile(rf"""["']{re.escape(appliance.__version__)}["']""")

    holders = [module for module in modules() if literal.search((ROOT / module).read_text())]

    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "appliance.__version__"}
    assert "version" not in project["project"]
    assert holders == ["appliance/__init__.py"]


def test_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[0] == appliance.__version__
