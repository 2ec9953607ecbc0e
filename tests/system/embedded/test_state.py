"""STATE_DIR: lock, directories of the store user, installed servers."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from appliance.system.embedded.state import (
    EmbeddedStoresError,
    StoreUser,
    choose_store_user,
    find_postgres,
    find_redis,
    lock_state_dir,
    make_store_directory,
    store_directories,
)

IS_ROOT = os.geteuid() == 0


def program(path: Path, text: str = "#!/bin/sh\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def debian_postgres(directory: Path, *majors: int) -> Path:
    for major in majors:
        for name in ("initdb", "postgres"):
            program(directory / str(major) / "bin" / name)
    return directory


def cluster(directory: Path, version: str) -> Path:
    directory.mkdir()
    (directory / "PG_VERSION").write_text(version)
    return directory


def test_lock_refuses_a_second_appliance_and_is_released(tmp_path: Path) -> None:
    state_dir = tmp_path / "new" / "state"
    refused = pytest.raises(EmbeddedStoresError, match=rf"in use .*process {os.getpid()}\)")
    with lock_state_dir(state_dir), refused, lock_state_dir(state_dir):
        pass
    with lock_state_dir(state_dir):
        assert (state_dir / "stores.lock").read_text() == f"{os.getpid()}\n"


def test_lock_reports_why_the_directory_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EmbeddedStoresError, match="cannot be used: Not a directory"),
        lock_state_dir(tmp_path / "file" / "state"),
    ):
        pass


def test_store_user_is_unprivileged(tmp_path: Path) -> None:
    user = choose_store_user(tmp_path)

    assert (user is not None) is IS_ROOT
    assert user is None or user.uid != 0


def test_store_user_is_the_owner_of_existing_stores(tmp_path: Path) -> None:
    (tmp_path / "stores").mkdir()
    if IS_ROOT:
        os.chown(tmp_path / "stores", 12345, 23456)

    assert choose_store_user(tmp_path) == (StoreUser(12345, 23456) if IS_ROOT else None)


def test_directories_are_accessible_to_the_store_user_only(tmp_path: Path) -> None:
    user = choose_store_user(tmp_path)
    with store_directories(tmp_path, user) as where:
        for path in (where.base, where.redis, where.sockets):
            found = path.stat()
            assert stat.S_IMODE(found.st_mode) == 0o700
            assert found.st_uid == (user.uid if user else os.geteuid())
        assert where.sockets == tmp_path / "stores" / "run"
    assert not where.sockets.exists()
    assert where.redis.exists()


def test_directories_are_repaired_after_a_killed_start(tmp_path: Path) -> None:
    (tmp_path / "stores").mkdir(mode=0o700)
    (tmp_path / "stores" / "run").mkdir()
    (tmp_path / "stores" / "run" / "redis.sock").write_text("")
    user = choose_store_user(tmp_path)
    with store_directories(tmp_path, user) as where:
        assert where.base.stat().st_uid == (user.uid if user else os.geteuid())
        assert list(where.sockets.iterdir()) == []


def test_link_in_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "stores").symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").stat()
    with (
        pytest.raises(EmbeddedStoresError, match="stores cannot be used: Not a directory"),
        store_directories(tmp_path, StoreUser(12345, 12345)),
    ):
        pass
    assert (tmp_path / "elsewhere").stat().st_uid == before.st_uid


def test_long_path_gets_a_short_socket_directory_that_the_next_start_removes(
    tmp_path: Path,
) -> None:
    state_dir = tmp_path / ("x" * 100)
    state_dir.mkdir()
    user = choose_store_user(state_dir)
    with store_directories(state_dir, user) as killed:
        assert len(bytes(killed.sockets)) < 60
        assert (state_dir / "stores" / "run").resolve() == killed.sockets
        # A second start, as after a SIGKILL, which leaves the directory of the first one.
        with store_directories(state_dir, user) as where:
            assert where.sockets != killed.sockets
            assert not killed.sockets.exists()
        assert not where.sockets.exists()


def test_foreign_directory_behind_the_socket_link_is_not_removed(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    user = choose_store_user(tmp_path)
    make_store_directory(tmp_path / "stores", user)
    (tmp_path / "stores" / "run").symlink_to(precious)
    with store_directories(tmp_path, user) as where:
        assert where.sockets.is_dir()
    assert precious.is_dir()


@pytest.mark.parametrize("name", ["redis-server", "valkey-server"])
def test_find_redis_accepts_either_server(tmp_path: Path, name: str) -> None:
    program(tmp_path / name)

    assert find_redis(str(tmp_path)) == str(tmp_path / name)


def test_find_redis_names_the_packages_when_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedStoresError, match=r"redis-server \(or valkey-server\)"):
        find_redis(str(tmp_path))


def test_find_postgres_returns_the_newest_for_a_new_cluster(tmp_path: Path) -> None:
    debian = debian_postgres(tmp_path / "lib", 9, 15, 17)
    (debian / "18" / "bin").mkdir(parents=True)  # only the client

    found = find_postgres(tmp_path / "cluster", debian, path="")

    assert (found.major, found.postgres) == (17, str(debian / "17" / "bin" / "postgres"))


def test_find_postgres_returns_the_one_that_made_the_cluster(tmp_path: Path) -> None:
    debian = debian_postgres(tmp_path / "lib", 15, 17)

    assert find_postgres(cluster(tmp_path / "cluster", "15\n"), debian, path="").major == 15


def test_find_postgres_searches_path(tmp_path: Path) -> None:
    program(tmp_path / "bin" / "initdb")
    answer = "#!/bin/sh\necho 'postgres (PostgreSQL) 16.4 (Home-made)'\n"
    program(tmp_path / "bin" / "postgres", answer)

    found = find_postgres(tmp_path / "cluster", tmp_path / "lib", path=str(tmp_path / "bin"))

    assert (found.major, found.initdb) == (16, str(tmp_path / "bin" / "initdb"))


@pytest.mark.parametrize(
    ("majors", "version", "message"),
    [
        ((), None, r"install the Debian package postgresql, or set DATABASE_URL"),
        ((15, 17), "13\n", r"made by PostgreSQL 13, but only 15, 17 .* postgresql-13"),
        ((15,), "what?", r"cluster is not a PostgreSQL data directory"),
    ],
)
def test_find_postgres_error_names_the_remedy(
    tmp_path: Path, majors: tuple[int, ...], version: str | None, message: str
) -> None:
    debian = debian_postgres(tmp_path / "lib", *majors)
    directory = tmp_path / "cluster"
    if version is not None:
        cluster(directory, version)

    with pytest.raises(EmbeddedStoresError, match=f"(?s){message}"):
        find_postgres(directory, debian, path="")
