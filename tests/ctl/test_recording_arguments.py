"""The arguments of `ctl recordings`."""

from __future__ import annotations

import pytest

from appliance.ctl import recording_imports, recordings
from appliance.ctl.arguments import build_parser
from tests.doubles.ctl_usage import check_command, check_refusal


@pytest.mark.parametrize(
    ("words", "run"),
    [
        ("recordings", recordings.list_all),
        ("recordings list --state any --limit 5", recordings.list_all),
        ("recordings show r1", recordings.show),
        ("recordings update", recordings.update),
        ("recordings add-to-tenant t1", recordings.add_to_tenant),
        ("recordings import a.tar", recording_imports.import_files),
        ("recordings imports", recording_imports.list_imports),
        ("recordings retry", recording_imports.retry),
        ("recordings prune", recordings.prune),
    ],
)
def test_command_is_found_and_has_help(
    words: str, run: object, capsys: pytest.CaptureFixture[str]
) -> None:
    check_command(words, run, capsys)


def test_values_are_read() -> None:
    def parse(words: str) -> dict[str, object]:
        return vars(build_parser().parse_args(f"recordings {words}".split()))

    update = parse("update a b --unpublish --protect --meta course=Phy=sics --meta draft=")
    assert (update["ids"], update["publish"], update["protect"]) == (["a", "b"], False, True)
    assert update["meta"] == [("course", "Phy=sics"), ("draft", "")]
    assert parse("update")["publish"] is None
    assert parse("")["limit"] == 50
    assert parse("prune --days 2.5")["days"] == 2.5
    tenant = parse("add-to-tenant r1 r2 t")
    assert (tenant["ids"], tenant["tenant"]) == (["r1", "r2"], "t")
    assert parse("add-to-tenant t")["ids"] == []


@pytest.mark.parametrize(
    "words",
    [
        "show", "show a b", "list --state lost", "list --limit 0", "list --limit x",
        "list --limit 1000000", "import", "update r --publish --unpublish",
        "update r --meta course",
        "update r --meta =x", "prune --days 0", "prune --days nan", "add-to-tenant", "delete r",
    ],
)  # fmt: skip
def test_bad_usage_is_one_line_and_exit_code_2(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check_refusal(f"recordings {words}", capsys)
