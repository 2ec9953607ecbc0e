"""Facts about this host: name resolution and certificates."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from appliance.system.host_facts import read_authorities, read_certificate, resolve_name
from tests.doubles.certificates import make_certificate


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_known_name_is_resolved(host: str) -> None:
    assert resolve_name(host) == ""


@pytest.mark.parametrize("host", ["nothing.invalid", "a" * 300])
def test_reason_is_returned_when_a_name_cannot_be_resolved(host: str) -> None:
    assert resolve_name(host)


def test_certificate_is_read(tmp_path: Path) -> None:
    names = ("-addext", "subjectAltName=DNS:BBB.example.org,DNS:*.b.org")
    facts = read_certificate(*make_certificate(tmp_path, "one", 30, *names))

    assert (facts.problem, facts.names) == ("", ("bbb.example.org", "*.b.org"))
    assert facts.begins_s <= time.time() < facts.ends_s
    assert 29 < (facts.ends_s - time.time()) / 86_400 <= 30


def test_unusable_certificate_has_a_problem(tmp_path: Path) -> None:
    one, key = make_certificate(tmp_path, "one")
    _, other_key = make_certificate(tmp_path, "two")
    (tmp_path / "text").write_text("no certificate")

    assert read_certificate(one, key).names == ()
    assert "MISMATCH" in read_certificate(one, other_key).problem
    assert read_certificate(tmp_path / "gone", key).problem == "No such file or directory"
    assert read_certificate(tmp_path / "text", key).problem


def test_each_authority_is_read(tmp_path: Path) -> None:
    one, _ = make_certificate(tmp_path, "one", 30)
    two, _ = make_certificate(tmp_path, "two", 3)
    both = tmp_path / "both.pem"
    both.write_text(one.read_text() + two.read_text())
    (tmp_path / "text").write_text("no certificate")

    days = {name: (ends_s - time.time()) / 86_400 for name, ends_s in read_authorities(both).ends_s}

    assert 29 < days.pop("CN=one") <= 30
    assert 2 < days.pop("CN=two") <= 3
    assert not days
    assert read_authorities(tmp_path / "gone").problem == "No such file or directory"
    assert read_authorities(tmp_path / "text").problem
