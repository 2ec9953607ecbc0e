"""What this host says: names, limits, certificates."""

from __future__ import annotations

import os
import resource
import subprocess
import time
from pathlib import Path

from appliance.system.host_facts import (
    own_user,
    read_authorities,
    read_certificate,
    read_file_limit,
    resolve_name,
)


def make_certificate(directory: Path, name: str, days: int = 30, *extra: str) -> tuple[Path, Path]:
    certificate, key = directory / f"{name}.pem", directory / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", str(days), "-subj", f"/CN={name}", *extra),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def test_names_are_resolved_or_not() -> None:
    assert resolve_name("localhost") == ""
    assert resolve_name("127.0.0.1") == ""
    assert resolve_name("nothing.invalid")
    assert resolve_name("a" * 300)


def test_limit_and_user_are_this_process_s() -> None:
    assert read_file_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert own_user() in (os.environ.get("USER"), "root", own_user())


def test_certificate_is_read(tmp_path: Path) -> None:
    names = ("-addext", "subjectAltName=DNS:BBB.example.org,DNS:*.b.org")
    facts = read_certificate(*make_certificate(tmp_path, "one", 30, *names))

    assert (facts.problem, facts.names) == ("", ("bbb.example.org", "*.b.org"))
    assert facts.begins_s <= time.time() < facts.ends_s
    assert 29 < (facts.ends_s - time.time()) / 86_400 <= 30


def test_files_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    one, key = make_certificate(tmp_path, "one")
    _, other_key = make_certificate(tmp_path, "two")
    (tmp_path / "text").write_text("no certificate")

    assert read_certificate(one, key).names == ()
    assert "MISMATCH" in read_certificate(one, other_key).problem
    assert read_certificate(tmp_path / "gone", key).problem == "No such file or directory"
    assert read_certificate(tmp_path / "text", key).problem


def test_authorities_are_read_each(tmp_path: Path) -> None:
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
