"""Answers as JSON: long ones are rendered in slices, and are the same."""

from __future__ import annotations

import json

import msgspec
import pytest

from appliance.admin_calls.call import Answer
from appliance.admin_calls.rendering import SLICE, records_of, render_json


class RecordJson(Answer, frozen=True):
    """A record."""

    name: str
    number: int | None


class RecordsJson(Answer, frozen=True):
    """Records, and something about them."""

    total: int
    records: list[RecordJson]
    from_: list[str] = msgspec.field(name="from", default_factory=list)


@pytest.mark.parametrize("count", [0, 1, SLICE, SLICE + 1, 3 * SLICE])
def test_slices_make_the_same_text(count: int) -> None:
    records = [RecordJson(f'"ä{number}', number or None) for number in range(count)]

    for answer in (records, tuple(records), RecordsJson(count, records, ["x"])):
        assert records_of(answer) == max(count, 1 if isinstance(answer, RecordsJson) else 0)
        assert render_json(answer) == msgspec.json.encode(answer)


def test_name_that_is_not_utf_8_is_escaped() -> None:
    records = [RecordJson("\udcff", 1)] * (SLICE + 1)

    assert json.loads(render_json(records))[SLICE]["name"] == "\udcff"
