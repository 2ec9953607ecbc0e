"""Secrets in STATE_DIR."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from appliance.system.state_secrets import FILE_NAME, StateSecretError, load_secret_key_base


def test_secret_is_generated_once_with_mode_0600(tmp_path: Path) -> None:
    state_dir = tmp_path / "new" / "state"

    made = load_secret_key_base(state_dir)

    assert len(made) == 128
    assert load_secret_key_base(state_dir) == made
    path = state_dir / FILE_NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(state_dir.iterdir()) == [path]
    assert load_secret_key_base(tmp_path / "other") != made


def test_concurrent_starts_share_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(load_secret_key_base, [tmp_path] * 64))

    assert len(found) == 1
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize("content", ["", "short\n"])
def test_file_without_secret_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE_NAME).write_text(content)

    with pytest.raises(StateSecretError, match="holds no secret"):
        load_secret_key_base(tmp_path)


def test_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("s" * 64)
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "other")

    with pytest.raises(StateSecretError) as caught:
        load_secret_key_base(tmp_path)
    assert "ssss" not in str(caught.value)


def test_error_names_the_setting_when_the_directory_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StateSecretError, match="SECRET_KEY_BASE"):
        load_secret_key_base(tmp_path / "file")
