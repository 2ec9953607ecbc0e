"""Disks and the certificate in /metrics."""

from __future__ import annotations

from pathlib import Path

from appliance.instruments import Metrics
from appliance.metrics.exposition import StoreSnapshot, render_metrics
from appliance.metrics.host import DiskStatus, HostReader, HostStatus
from tests.doubles.certificates import make_certificate
from tests.doubles.prometheus_text import samples
from tests.doubles.settings import settings_of


def test_disks_and_certificate_are_read(tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path, "one")
    settings = settings_of(
        STATE_DIR=str(tmp_path),
        RECORDING_SPOOL_DIR=str(tmp_path / "gone"),
        TLS_CERT_FILE=str(cert),
        TLS_KEY_FILE=str(key),
    )
    reader = HostReader(settings)

    first = reader.read()
    cert.unlink()
    second = reader.read()

    disks = {disk.directory: disk for disk in first.disks}
    assert disks["state"].size_bytes >= disks["state"].free_bytes > 0
    assert "spool" not in disks
    assert first.certificate_ends_s is not None
    assert second.certificate_ends_s is None


def test_disks_and_certificate_are_shown() -> None:
    host = HostStatus((DiskStatus("state", 5, 10),), 1_900_000_000.0)

    read = samples(render_metrics(Metrics(), StoreSnapshot(None, host=host), "")[1])

    assert read["scalelite_disk_free_bytes", ("state",)] == 5
    assert read["scalelite_disk_size_bytes", ("state",)] == 10
    assert read["scalelite_tls_certificate_end_timestamp_seconds", ()] == 1_900_000_000
