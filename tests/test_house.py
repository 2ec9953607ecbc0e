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
from pathlib import Path

import pytest

import appliance

ROOT = Path(__file__).resolve().parent.parent
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 50

# Modules without a test file of their own, and what tests them instead. Keep it short.
TESTED_ELSEWHERE: dict[str, str] = {
    "appliance/core/faults.py": "declarations only; the adapters' tests walk every translation",
    "appliance/core/model.py": "declarations only; each rule's test uses them",
    "appliance/core/request_body.py": "declarations only",
    "appliance/ctl/parsing.py": "tests/ctl/test_arguments.py parses every command with it",
    "appliance/operations/analytics_ports.py": "declarations; mypy holds the adapter to them",
    "appliance/operations/callback_ports.py": "Protocols only; mypy holds the adapters to them",
    "appliance/ctl/simulate_arguments.py": "tests/ctl/test_simulate.py runs the command",
    "appliance/operations/hook_ports.py": "Protocols only; mypy holds the adapters to them",
    "appliance/operations/import_ports.py": "Protocols only; mypy holds the adapters to them",
    "appliance/operations/metrics.py": "declarations only; web/metrics_text.py renders them",
    "appliance/operations/playback_ports.py": "Protocols only; mypy holds the adapters to them",
    "appliance/operations/ports.py": "Protocols only; mypy holds the adapters to them",
    "appliance/operations/recording_admin_ports.py": "Protocols; mypy holds the adapters to them",
    "appliance/operations/recording_ports.py": "Protocols only; mypy holds the adapters to them",
    "appliance/operations/resources.py": "declarations only",
    "appliance/operations/tenant_admin_ports.py": "Protocols only; mypy holds the adapters to them",
    "appliance/simulation/__main__.py": "tests/ctl/test_simulate.py runs it",
    "appliance/simulation/line_plot.py": "tests/simulation/test_study.py draws with it",
    "appliance/simulation/rules.py": "tests/simulation/test_replay.py replays with each",
    "appliance/wiring/probes.py": "composition; tests/operations/test_doctor.py looks through it",
    "appliance/wiring/migration.py": "composition; tests/ctl/test_local.py migrates with it",
    "appliance/wiring/recordings.py": "composition; the end-to-end tests of recordings run on it",
    "appliance/web/admin_call.py": "declarations; tests/web/test_admin_routes.py makes the calls",
    "appliance/web/admin_recording_schema.py": "tests/web/test_openapi.py checks every description",
    "appliance/operations/doctor_ports.py": "Protocols only; mypy holds the adapters to them",
    "appliance/operations/doctor_settings.py": "tests/operations/test_doctor.py breaks each",
    "appliance/web/admin_doctor_calls.py": "tests/ctl/test_doctor.py makes the call",
    "appliance/web/admin_doctor_schema.py": "declarations; tests/web/test_openapi.py checks them",
    "appliance/web/admin_sync_schema.py": "declarations; tests/web/test_openapi.py checks them",
    "appliance/web/admin_analytics_schema.py": "declarations, as admin_callback_schema.py",
    "appliance/web/admin_callback_schema.py": "declarations; tests/web/test_openapi.py checks them",
    "appliance/web/admin_sync_calls.py": "tests/ctl/test_server_lists.py makes the calls",
    "appliance/web/admin_pool_calls.py": "tests/web/test_admin_routes.py makes the calls",
    "appliance/web/admin_pool_schema.py": "tests/web/test_openapi.py, _contract.py hold to it",
    "appliance/ctl/takeover_arguments.py": "tests/ctl/test_takeover.py runs the commands",
    "appliance/operations/takeover_ports.py": "Protocols only; mypy holds the adapters to them",
    "appliance/web/admin_takeover_schema.py": "tests/web/test_openapi.py, _contract.py hold to it",
    "appliance/web/admin_tenant_schema.py": "tests/web/test_openapi.py, _contract.py hold to it",
    "appliance/web/admin_schema.py": "declarations; tests/web/test_openapi.py reads it",
    "appliance/web/admin_server_schema.py": "tests/web/test_openapi.py, _contract.py hold to it",
}

# Directories under tests/ that mirror nothing in appliance/.
OTHER_TESTS = {"benchmarks", "doubles", "end_to_end", "packaging", "tools", "data"}


def modules() -> list[str]:
    """The appliance's modules, as paths relative to the root."""
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / "appliance").rglob("*.py"))


def is_table_of_contents(module: str) -> bool:
    """Whether the file is an __init__ that defines nothing of its own."""
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    tree = ast.parse((ROOT / module).read_text())
    return module.endswith("__init__.py") and not any(
        isinstance(node, definitions) for node in tree.body
    )


def expected_test(module: str) -> Path:
    """tests/web/test_app.py for appliance/web/app.py, tests/web/test_init.py for its __init__."""
    path = Path(module).relative_to("appliance")
    return ROOT / "tests" / path.parent / f"test_{path.stem.strip('_')}.py"


def test_every_module_has_its_test_file() -> None:
    without = [
        f"{module}: no {expected_test(module).relative_to(ROOT)}"
        for module in modules()
        if module not in TESTED_ELSEWHERE
        and not is_table_of_contents(module)
        and not expected_test(module).exists()
    ]

    assert not without, "\n".join(without)


def test_every_exception_is_needed() -> None:
    needless = [
        module
        for module in TESTED_ELSEWHERE
        if module not in modules() or expected_test(module).exists()
    ]

    assert not needless


def test_every_test_file_names_a_module() -> None:
    strays = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        folder = path.relative_to(ROOT / "tests").parent
        if path.name == "test_house.py" or OTHER_TESTS.intersection(folder.parts):
            continue
        siblings = (ROOT / "appliance" / folder).iterdir()
        # test_redis_store_leases.py may hold one part of what redis_store.py does.
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
        ("core/model.py", "import trio", "core is pure"),
        ("core/model.py", "import time", "core is pure"),
        ("core/model.py", "import appliance.settings", "Layers"),
        ("operations/__init__.py", "import appliance.web", "Layers"),
        ("web/__init__.py", "import appliance.control", "Layers"),
        ("web/__init__.py", "import appliance.adapters", "Only what puts things together"),
        ("operations/__init__.py", "import asyncpg", "Drivers of the stores"),
        ("adapters/__init__.py", "import trio_asyncio", "Only adapters/asyncio_bridge"),
        ("control/__init__.py", "import trio", "ctl starts fast"),
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
        normalised(re.split(r"[<>=!~ ]", line)[0])
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
