"""The command line of sync, export and add-all."""

from __future__ import annotations

import pytest

from appliance.ctl import server_lists
from appliance.ctl.arguments import build_parser
from tests.doubles.ctl_usage import check_command, check_refusal


@pytest.mark.parametrize(
    ("words", "run"),
    [
        ("servers sync f.yml", server_lists.sync),
        ("servers sync - --mode force --dry-run", server_lists.sync),
        ("servers export --verbose", server_lists.export),
        ("servers add-all f.yml", server_lists.add_all),
    ],
)
def test_command_is_found_and_has_help(
    words: str, run: object, capsys: pytest.CaptureFixture[str]
) -> None:
    check_command(words, run, capsys)


def test_values_are_read() -> None:
    args = build_parser().parse_args(["servers", "sync", "-", "--mode", "force", "--dry-run"])
    assert (args.file, args.mode, args.dry_run) == ("-", "force", True)

    plain = build_parser().parse_args(["servers", "sync", "f.yml"])
    assert (plain.file, plain.mode, plain.dry_run) == ("f.yml", "cordon", False)


@pytest.mark.parametrize(
    "words", ["servers sync", "servers sync f --mode all", "servers add-all", "servers export x"]
)
def test_bad_usage_is_one_line_and_exit_code_2(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refusal(words, capsys)
