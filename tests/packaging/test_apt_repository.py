"""The script that builds the apt repository. tools/deb_test installs from such a one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.doubles.redis_processes import short_directory

ROOT = Path(__file__).resolve().parents[2]
KEYRING = "scalelite-appliance-archive-keyring"


@dataclass(frozen=True)
class Repository:
    """A repository with a package of nothing."""

    directory: Path
    home: Path

    @property
    def pool(self) -> Path:
        return self.directory / "apt/pool/main/s/scalelite-appliance"

    @property
    def by_hash(self) -> Path:
        return self.directory / "apt/dists/stable/main/binary-amd64/by-hash/SHA256"

    def run(self, *command: str | Path) -> str:
        environ = {**os.environ, "GNUPGHOME": str(self.home)}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def new_key(self, name: str) -> str:
        options = ("--batch", "--quiet", "--passphrase", "", "--status-fd", "1")
        made = self.run("gpg", *options, "--quick-gen-key", name, "ed25519", "sign", "never")
        return next(line for line in made.splitlines() if "KEY_CREATED" in line).split()[-1]

    def add(self, version: str) -> None:
        tree = self.directory / "tree"
        (tree / "DEBIAN").mkdir(parents=True, exist_ok=True)
        (tree / "DEBIAN/control").write_text(
            f"Package: scalelite-appliance\nVersion: {version}\nArchitecture: all\n"
            "Maintainer: t <t@example.org>\nDescription: nothing\n"
        )
        name = f"packages/scalelite-appliance_{version}_all.deb"
        self.run("dpkg-deb", "--build", tree, self.directory / name)

    def build(self, *words: str) -> None:
        places = ("--packages", self.directory / "packages", "--output", self.directory / "apt")
        script = ROOT / "packaging/apt/build"
        self.run(script, "--url", "http://localhost:8000", *places, *words)

    def keyrings(self) -> dict[str, list[str]]:
        """Return the keys of each keyring package, by its version."""
        found = {}
        for package in sorted(self.pool.glob(f"{KEYRING}_*.deb")):
            tree = self.directory / "unpacked"
            self.run("dpkg-deb", "--extract", package, tree)
            shown = ("gpg", "--batch", "--with-colons", "--show-keys")
            lines = self.run(*shown, tree / f"usr/share/keyrings/{KEYRING}.pgp").splitlines()
            version = self.run("dpkg-deb", "--field", package, "Version").strip()
            found[version] = [line.split(":")[9] for line in lines if line.startswith("fpr")]
        return found


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    (tmp_path / "packages").mkdir()
    with short_directory() as home:  # of the agent's socket
        made = Repository(tmp_path, home)
        made.add("1")
        yield made
        made.run("gpgconf", "--kill", "all")


def test_next_key_comes_with_a_keyring_package_of_a_higher_version(repository: Repository) -> None:
    old, new = repository.new_key("old"), repository.new_key("new")
    repository.build("--key", old)
    (first,) = repository.keyrings()
    before = {path: path.read_bytes() for path in repository.pool.iterdir()}

    repository.build("--key", old)
    assert repository.keyrings() == {first: [old]}  # the same again
    repository.build("--key", old, "--also-key", new)
    repository.build("--key", new)

    assert repository.keyrings() == {
        first: [old],
        f"{first}.1": [old, new],
        f"{first}.1.1": [new],
    }
    assert {path: path.read_bytes() for path in before} == before
    latest = repository.pool / f"{KEYRING}_{first}.1.1_all.deb"
    assert (repository.directory / f"apt/{KEYRING}.deb").read_bytes() == latest.read_bytes()


def test_indexes_of_the_last_build_are_kept_by_hash(repository: Repository) -> None:
    key = repository.new_key("release")
    repository.build("--key", key)
    first = set(repository.by_hash.iterdir())
    assert len(first) == 3
    stale = repository.by_hash / ("0" * 64)
    stale.touch()
    for path in (*first, stale):
        os.utime(path, (0, 0))  # a long time ago

    repository.add("2")
    repository.build("--key", key)

    second = set(repository.by_hash.iterdir())
    assert first < second
    assert len(second) == 6
    assert not stale.exists()
