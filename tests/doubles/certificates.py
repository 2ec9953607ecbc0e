"""Certificates for the tests of several folders."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.doubles.raw_http import Authority, make_authority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Give a certificate authority and a server certificate that it signed."""
    return make_authority(tmp_path_factory.mktemp("tls"))


def make_certificate(directory: Path, name: str, days: int = 30, *extra: str) -> tuple[Path, Path]:
    """Make a self-signed certificate; return its file and that of its key."""
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
