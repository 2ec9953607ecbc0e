"""The documents name existing commands, options, variables, keys, files and links."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.bbb import errors
from appliance.ctl.commands import build_parser
from appliance.settings.reading import KNOWN_NAMES
from tests.doubles.redis_layout import KINDS

ROOT = Path(__file__).resolve().parents[2]
GENERATED = {"configuration.md"}
FOR_DEVELOPERS = {"CONTRIBUTING.md", "architecture.md"}
"""Documents that name constants of the code as others name variables."""
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted(path for path in (ROOT / "docs").glob("*.md") if path.name not in GENERATED),
]
OTHER_NAMES = {
    *("BIGBLUEBUTTON_ENDPOINT", "BIGBLUEBUTTON_SECRET", "TCP_USER_TIMEOUT", "SCHED_IDLE"),
    *("BBB_GRAPHQL_MIDDLEWARE_ORIGIN", "HASURA_GRAPHQL_CORS_DOMAIN", "JDK_JAVA_OPTIONS"),
    *("APPLIANCE_COMMAND", "HASH_ALGO_FOR_HOOKS", "AWS_PROFILE"),
    *("NGINX_SSL", "SCALELITE_NGINX_EXTRA_OPTS", "SCALELITE_RECORDING_DIR"),
    *("APT_URL", "VCS_BROWSER", "VCS_GIT", "SCALE_POOL_PREFIX"),
}
"""Variables of BigBlueButton, Greenlight, the kernel, tests, the PHP client, AWS, releases,
Scalelite, scripts."""
PATH = re.compile(r"`((?:appliance|tests|config|docs|tools|benchmarks)/[\w./-]*)`")


def leaves(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, list[str]]]:
    """Yield each ctl command with its own options."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        found = [name for action in parser._actions for name in action.option_strings]
        yield " ".join(words), [name for name in found if name not in ("-h", "--help", "--json")]
    for group in groups:
        for word, child in group.choices.items():
            yield from leaves(child, (*words, word))


def test_every_ctl_command_is_described_with_its_options() -> None:
    text = (ROOT / "docs/administration.md").read_text()
    rows = dict(re.findall(r"^\| `([a-z -]+[a-z])(?=[ `])[^`]*` \| (.*) \|$", text, re.MULTILINE))
    commands = dict(leaves(build_parser()))

    assert set(rows) == set(commands)
    for command, options in commands.items():
        assert set(re.findall(r"`(--[a-z-]+)", rows[command])) == set(options), command


def test_every_redis_key_is_described() -> None:
    text = (ROOT / "docs/stores.md").read_text()
    described = {
        re.sub(r"\{[^}]*\}", "*", key)
        for cell in re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE)
        for key in re.findall(r"`([^`]+)`", cell)
    }

    for kind in KINDS:
        for key in keys_of(kind.pattern):
            assert key in described, kind.name


def keys_of(pattern: str) -> list[str]:
    """Return the keys of a pattern as the document writes them."""
    key = re.sub(r"\(\.[+*]\)", "*", pattern).removeprefix("appliance:")
    choice = re.search(r"\(\?:(.*)\)", key)
    if choice is None:
        return [key]
    return [key.replace(choice[0], one) for one in choice[1].split("|")]


@pytest.mark.parametrize(
    "path", [one for one in DOCUMENTS if one.name not in FOR_DEVELOPERS], ids=lambda path: path.name
)
def test_variables_that_are_named_exist(path: Path) -> None:
    named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`", path.read_text()))

    assert named - set(KNOWN_NAMES) - OTHER_NAMES == set()


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_files_and_links_that_are_named_exist(path: Path) -> None:
    text = path.read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    missing = [link for link in links if not (path.parent / link).exists()]
    missing += [name for name in PATH.findall(text) if not (ROOT / name).exists()]

    assert not missing


@pytest.mark.parametrize(
    "failure",
    [
        errors.NO_SERVER_AVAILABLE,
        errors.UNABLE_TO_CREATE,
        errors.UNABLE_TO_ACCESS_MEETING,
        errors.STORE_DOWN,
        errors.NO_VOICE_BRIDGE,
        errors.INTERNAL_ERROR,
    ],
    ids=lambda failure: failure.message,
)
def test_internal_error_is_in_the_troubleshooting(failure: errors.Failure) -> None:
    assert f"`{failure.message}`" in (ROOT / "docs/troubleshooting.md").read_text()
