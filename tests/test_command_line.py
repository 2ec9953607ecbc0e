"""The command line, in this process; tests/end_to_end/ runs the program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from appliance import __version__
from appliance.command_line import EX_CONFIG, EX_USAGE, USAGE, run_command


@pytest.mark.parametrize("words", [["version"], ["--version"], ["-V"]])
def test_version_is_printed(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run_command(words) == 0
    assert capsys.readouterr().out == f"scalelite-appliance {__version__}\n"


def test_version_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"version": __version__}


@pytest.mark.parametrize("words", [["help"], ["--help"], ["-h"]])
def test_help_is_printed(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert run_command(words) == 0
    assert capsys.readouterr().out == USAGE


@pytest.mark.parametrize(
    ("words", "mistake"),
    [
        ([], ""),
        (["bogus"], "scalelite-appliance: no such command: bogus\n"),
        (["run", "x"], "scalelite-appliance: run takes no arguments: x\n"),
        (["-V", "x"], "scalelite-appliance: -V takes no arguments: x\n"),
        ([""], "scalelite-appliance: no such command: \n"),
    ],
)
def test_usage_is_printed_to_standard_error_after_the_mistake(
    capsys: pytest.CaptureFixture[str], words: list[str], mistake: str
) -> None:
    assert run_command(words) == EX_USAGE
    assert capsys.readouterr() == ("", f"{mistake}{USAGE}")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("status --watch", "ctl status"),
        ("servers list", "ctl servers"),
        ("servers:enable[one]", "ctl servers:enable[one]"),
        ("rnu", "run"),
        ("ctl sttaus", "status"),
        ("ctl servers enabel one", "enable"),
        ("ctl servers update one --load-multiplyer=2", "--load-multiplier"),
    ],
)
def test_misspelt_command_is_answered_with_what_was_meant(
    capsys: pytest.CaptureFixture[str], words: str, meant: str
) -> None:
    assert run_command(words.split()) == EX_USAGE

    out, error = capsys.readouterr()
    assert (out, len(error.splitlines())) == ("", 1)
    assert f"; did you mean: {meant}?" in error


def test_run_reports_an_invalid_configuration(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOADBALANCER_SECRET", "")
    monkeypatch.setenv("PORT", "high")

    assert run_command(["run"]) == EX_CONFIG
    error = capsys.readouterr().err
    assert "LOADBALANCER_SECRET" in error
    assert 'PORT="high"' in error


@pytest.mark.parametrize(("words", "code"), [(["ctl", "bogus"], EX_USAGE), (["config"], EX_USAGE)])
def test_ctl_command_is_passed_on(
    capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    assert run_command(words) == code
    assert "scalelite-appliance ctl" in capsys.readouterr().err


def test_ctl_imports_nothing_heavy() -> None:
    heavy = ["trio", "hypercorn", "quart", "httpx", "redis", "asyncpg", "structlog", "lxml"]
    program = (
        "import sys; from appliance.command_line import run_command as run;"
        f"run(['ctl', 'version']); print([name for name in {heavy!r} if name in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True
    )

    assert done.stdout.splitlines()[-1] == "[]"


def test_start_imports_no_library_that_it_does_not_need() -> None:
    program = (
        "import sys; from appliance.command_line import run_command as run;"
        "assert run(['run']) == 78; import appliance.supervisor;"
        "from appliance.redis.url import parse_redis_url as parse; parse('unix:///run/r.sock');"
        "roots = {name.partition('.')[0] for name, one in sys.modules.items() if one};"
        "print(sorted(roots & {'rich', 'pygments', 'redis', 'boto3', 'botocore'}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PORT": "invalid", "PATH": os.environ["PATH"]},
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert done.stdout.splitlines()[-1] == "[]"


INTERRUPTED_WHILE_LOADING = """
import os, signal, sys
from appliance import command_line

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == "appliance.ctl":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
if sys.argv[1:] == ["ignored"]:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.exit(command_line.run_command(["ctl", "version"]))
"""


@pytest.mark.parametrize(("how", "code"), [("", -signal.SIGINT), ("ignored", 0)])
def test_interrupt_during_the_imports_causes_no_traceback(how: str, code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_WHILE_LOADING, how],
        capture_output=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (code, b"")
    assert bool(done.stdout) is (code == 0)
