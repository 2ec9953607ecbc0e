"""The host: certificates, names, limit of open files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from appliance.doctor.findings import Level
from appliance.doctor.host_findings import (
    judge_authorities,
    judge_certificate,
    judge_file_limit,
    judge_name,
)
from appliance.system.host_facts import AuthorityFacts, CertificateFacts

DAY_S = 86_400.0
NOW_S = 1000 * DAY_S
FACTS = CertificateFacts(begins_s=0.0, ends_s=NOW_S + 60 * DAY_S, names=("bbb.example.org",))


@pytest.mark.parametrize(
    ("changes", "host", "level", "text"),
    [
        ({}, "bbb.example.org", Level.OK, "60 more days"),
        ({}, None, Level.OK, "60 more days"),
        ({"names": ("*.example.org",)}, "bbb.example.org", Level.OK, "60 more days"),
        ({"names": ("*.example.org",)}, "a.b.example.org", Level.WARN, "not for a.b.example.org"),
        ({"names": ()}, "bbb.example.org", Level.WARN, "no name"),
        ({"ends_s": NOW_S + 3 * DAY_S}, "bbb.example.org", Level.WARN, "in 3 days"),
        ({"ends_s": NOW_S}, None, Level.FAIL, "expired"),
        ({"begins_s": NOW_S + 1}, None, Level.FAIL, "not valid yet"),
        ({"problem": "KEY_VALUES_MISMATCH"}, None, Level.FAIL, "KEY_VALUES_MISMATCH"),
    ],
)
def test_certificate_is_judged(
    changes: dict[str, Any], host: str | None, level: Level, text: str
) -> None:
    finding = judge_certificate(replace(FACTS, **changes), host, NOW_S)

    assert finding.level is level
    assert text in finding.text


@pytest.mark.parametrize(
    ("facts", "level", "text"),
    [
        (AuthorityFacts(ends_s=(("CN=a", NOW_S + 60 * DAY_S),)), Level.OK, "60 more days"),
        (
            AuthorityFacts(ends_s=(("CN=a", NOW_S + 60 * DAY_S), ("CN=b", NOW_S + 3 * DAY_S))),
            Level.WARN,
            "CN=b expires in 3 days",
        ),
        (
            AuthorityFacts(ends_s=(("CN=a", NOW_S), ("CN=b", NOW_S + 60 * DAY_S))),
            Level.WARN,
            "CN=a has expired",
        ),
        (
            AuthorityFacts(ends_s=(("CN=a", NOW_S - 1), ("CN=b", NOW_S))),
            Level.FAIL,
            "CN=a has expired",
        ),
        (AuthorityFacts(problem="Permission denied"), Level.FAIL, "Permission denied"),
        (AuthorityFacts(), Level.FAIL, "no certificate"),
    ],
)
def test_authorities_are_judged_by_the_one_that_expires_first(
    facts: AuthorityFacts, level: Level, text: str
) -> None:
    finding = judge_authorities(facts, NOW_S)

    assert finding.level is level
    assert text in finding.text


@pytest.mark.parametrize(
    ("limit", "level"), [(512, Level.FAIL), (1024, Level.WARN), (65_536, Level.OK)]
)
def test_limit_of_open_files_is_judged(limit: int, level: Level) -> None:
    assert judge_file_limit(limit).level is level


def test_name_is_judged() -> None:
    assert judge_name("URL_HOST", "x.example", "").level is Level.OK
    finding = judge_name("URL_HOST", "x.example", "Name or service not known")
    assert (finding.level, finding.check) == (Level.WARN, "name x.example")
