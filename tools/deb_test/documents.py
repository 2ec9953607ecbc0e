"""Types the commands of the documents in a guest, in their order, as an operator does.

A block of code is indented by four spaces (in a list by six), or fenced. A comment before it says
what it is, and readers of the page do not see it; a block without one is commands of a shell:

    <!-- settings -->        lines for /etc/default/scalelite-appliance
    <!-- not run: reason -->

A fenced block of another language than a shell's is not run. A block with lines that begin with
`$ ` shows commands with their output, in which `…` stands for anything, and a line that is only `…`
for any lines.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.doubles.bbb_process import bbb_servers
from tests.doubles.postgres_process import postgres_process
from tests.doubles.recording_tars import recording_tar
from tests.doubles.redis_processes import redis_process
from tests.doubles.s3 import KEY, KEY_ID, S3Server, serve_s3
from tests.doubles.scalelite_data import write_scalelite_data
from tests.doubles.scalelite_files import DUMP, make_scalelite_files
from tests.doubles.scalelite_place import ENVIRONMENT, SERVER_IDS
from tools.deb_test.configuration import try_configurations
from tools.deb_test.first_meeting import RECORDING as IMPORTED
from tools.deb_test.first_meeting import SLIDE
from tools.deb_test.packages import ROOT
from tools.deb_test.scene import CONFIGURATION, UNIT, Scene
from tools.deb_test.tree import PACKAGES

NOT_RUN, SETTINGS, COMMANDS, SESSION = "not run", "settings", "commands", "session"
_MARK = re.compile(r"<!-- (not run|settings)(?:: .+)? -->").fullmatch
_LIST = re.compile(r"(?:[-*]|\d+\.) ").match
_SHELLS = ("", "sh", "shell", "console")
_PROMPT = "$ "
_ANY = "…"
_PLACE = "/run/documents"
"""Keeps the directory and the variables of the shell from block to block."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code of a document."""

    line: int
    """Number of its first line."""
    kind: str
    lines: tuple[str, ...]


def read_blocks(text: str) -> Iterator[Block]:
    """Yield the blocks of a Markdown document. Pure."""
    lines = text.split("\n")
    mark, indent, number = "", 4, 0
    while number < len(lines):
        line, first = lines[number], number
        if line.startswith("```"):
            number = next(i for i in range(first + 1, len(lines)) if lines[i].startswith("```"))
            if line.strip("`") not in _SHELLS:
                mark = NOT_RUN
            yield _make_block(first + 2, mark, lines[first + 1 : number])
            mark, number = "", number + 1
        elif line.startswith(" " * indent) and (first == 0 or not lines[first - 1].strip()):
            while number < len(lines) and (
                lines[number].startswith(" " * indent) or not lines[number].strip()
            ):
                number += 1
            found = [one[indent:] for one in lines[first:number]]
            yield _make_block(first + 1, mark, found)
            mark = ""
        else:
            number += 1
            found_mark = _MARK(line.strip())
            if line.strip():
                mark = found_mark[1] if found_mark else ""
                indent = indent if line.startswith(" ") else 6 if _LIST(line) else 4


def _make_block(line: int, mark: str, lines: Sequence[str]) -> Block:
    kept = textwrap.dedent("\n".join(lines)).rstrip().split("\n")
    is_session = any(one.startswith(_PROMPT) for one in kept)
    return Block(line, mark or (SESSION if is_session else COMMANDS), tuple(kept))


def split_session(lines: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Return the commands of a session, each with the lines that it prints. Pure."""
    steps: list[tuple[str, list[str]]] = []
    for line in lines:
        if line.startswith(_PROMPT):
            steps.append((line.removeprefix(_PROMPT), []))
        elif line.startswith("> "):  # the shell's prompt for the rest of a command
            command, printed = steps[-1]
            steps[-1] = (f"{command}\n{line.removeprefix('> ')}", printed)
        else:
            steps[-1][1].append(line)
    return steps


def read_settings(lines: Iterable[str]) -> dict[str, str]:
    """Return the variables of a block of settings. Pure.

    Only whole lines are comments, as for systemd.
    """
    given = (line.strip() for line in lines)
    return dict(line.split("=", 1) for line in given if line and not line.startswith("#"))


def is_printed(expected: Sequence[str], output: str) -> bool:
    """Return whether an output is the one of a document. Pure."""
    form = "\n".join(line.rstrip() for line in expected).strip()
    parts = [
        r"(?:.*\n)*?" if part.strip() == _ANY else re.escape(part).replace(_ANY, ".*?")
        for part in (form + "\n").splitlines(keepends=True)
    ]
    found = "\n".join(line.rstrip() for line in output.strip().split("\n"))
    return re.fullmatch("".join(parts), found + "\n") is not None


class Reader:
    """An operator who follows a document in a guest."""

    def __init__(self, scene: Scene, changes: Sequence[tuple[str, str]]) -> None:
        """`changes`: patterns and what stands for them here, such as the address of a server."""
        self._scene = scene
        self._changes = changes

    def follow(self, name: str, sections: Sequence[str] = ()) -> int:
        """Do everything that a document says, or these sections; return the number of blocks.

        Raises AssertionError: a command fails, or prints something else.
        """
        text = (ROOT / name).read_text()
        skipped = [_section_at(text, block.line) not in sections for block in read_blocks(text)]
        done = 0
        self._scene.machine.shell(f"mkdir -p {_PLACE}; echo cd /root >{_PLACE}/state")
        for block, skip in zip(read_blocks(text), skipped, strict=True):
            if block.kind == NOT_RUN or (sections and skip):
                continue
            done += 1
            where = f"{name}, line {block.line}"
            if block.kind == SETTINGS:
                self._scene.edit(**read_settings(map(self._change, block.lines)))
                # 78: a value is invalid; what they name may be made by the next commands.
                self._type("scalelite-appliance config check >/dev/null || test $? != 78", where)
            elif block.kind == COMMANDS:
                self._type("\n".join(block.lines), where)
            else:
                for command, printed in split_session(block.lines):
                    output = self._type(command, where)
                    expected = [self._change(one) for one in printed]
                    assert is_printed(expected, output), f"{where}: {command}\nprints:\n{output}"
        return done

    def _change(self, text: str) -> str:
        for pattern, here in self._changes:
            text = re.sub(pattern, here, text, flags=re.MULTILINE)
        return text

    def _type(self, commands: str, where: str) -> str:
        """Run commands in the shell that the ones before have left; return what they print."""
        script = (
            f". {_PLACE}/state\n{self._change(commands)}\n"
            f"{{ set | grep -E '^[a-z_]+=' || true; echo \"cd '$PWD'\"; }} >{_PLACE}/state\n"
        )
        try:
            return self._scene.machine.run("bash", "-eu", "-c", script)
        except RuntimeError as error:
            raise AssertionError(f"{where}: {commands}\n{error}") from None


def _section_at(text: str, line: int) -> str:
    """Return the heading above a line."""
    above = text.split("\n")[:line]
    headings = [one.lstrip("# ") for one in above if re.match(r"##+ ", one)]
    return headings[-1] if headings else ""


@dataclass(frozen=True, slots=True)
class Document:
    """What is followed of a document, and what is set before."""

    name: str
    sections: tuple[str, ...] = ()
    """Empty: all of them."""
    settings: tuple[tuple[str, str], ...] = ()
    has_server: bool = False
    """Whether there is a server in the pool before."""


DOCUMENTS = (
    Document("README.md", sections=("Install",)),
    Document("docs/installation.md"),
    Document("docs/upgrade.md"),
    Document("docs/backup.md"),
    Document("docs/tls.md"),
    Document("docs/behind-nginx.md"),
    # The ids of servers are not known before.
    Document("docs/administration.md", settings=(("SERVER_ID_IS_HOSTNAME", "true"),)),
    Document("docs/recordings.md", settings=(("RECORDING_RETENTION_DAYS", "365"),)),
    Document("docs/metrics.md"),
    Document("docs/stores.md"),
    Document("docs/troubleshooting.md"),
    Document("docs/several-machines.md"),
    Document("docs/callbacks.md"),
    Document("docs/console.md"),
    Document("docs/dial-in.md", settings=(("FSAPI_PASSWORD", "PASSWORD"),), has_server=True),
    Document("docs/tenants.md", settings=(("MULTITENANCY_ENABLED", "true"),)),
)
# docs/first-hour.md, object-storage.md and migration.md are followed in functions of their own.
RECORDING = "0123456789abcdef0123456789abcdef01234567-1764000000000"
"""The recording that docs/first-hour.md makes."""
_APT = (
    "apt-get --yes --quiet --no-install-recommends --allow-downgrades "
    "-o Dpkg::Options::=--force-confold -o Dpkg::Use-Pty=0 "
)
_LINEAGE = "/etc/letsencrypt/live/bbb.example.org"
_CERTBOT = (
    f"(umask 077; mkdir -p {_LINEAGE}; cd {_LINEAGE}; openssl req -quiet -x509 -newkey rsa:2048 "
    "-nodes -days 20 -subj /CN=bbb.example.org -keyout privkey.pem -out fullchain.pem)"
)


def changes_of(scene: Scene, package: Path) -> list[tuple[str, str]]:
    """Return what stands here for the names of the documents: packages, a server, the Internet."""
    server = scene.servers[0]
    base = server.url.removesuffix("/bigbluebutton/api")
    host = re.sub(r"https?://|:\d+$", "", base)
    return [
        (r"\./scalelite-appliance_\S+_all\.deb", f"{PACKAGES}/{package.name}"),
        (r"^apt install (?:nginx|certbot)$", "true"),
        (r"^apt ", _APT),
        (r"^certbot .*$", _CERTBOT),
        (r"https://scalelite\.example\.com(?=/fsapi)", "http://127.0.0.1:3000"),
        # There is no terminal that could be asked.
        (r"(privacy erase --(?!.*--dry-run).*)$", r"\1 --yes"),
        (r"\bSETTING_ID\b", "$(scalelite-appliance ctl tenant-settings --json | jq -r '.[0].id')"),
        (r"^editor .*$", "true"),
        (r"\bssh \S+ (?:'[^']*'|\w+)", "true"),
        (r"https://bbb1\.example\.(?:org|com)(?=/bigbluebutton)", base),
        (r"(?<=/api[ ,])SECRET", server.secret),
        (r"^secret = SECRET", f"secret = {server.secret}"),
        (r"^server = bbb1\.example\.org", f"server = {host}"),
        (r"(?<=\[)ID(?=\])", host),
        (r"(ctl servers [a-z]+ )ID\b", rf"\g<1>{host}"),
    ]


def follow_documents(scene: Scene, package: Path) -> None:
    """Follow the first hour on a new machine, then the other documents, each from the beginning."""
    machine = scene.machine
    reader = Reader(scene, changes_of(scene, package))
    with scene.step("docs/first-hour.md is followed on a new machine"):
        scene.install(package)
        scene.use_secret()
        scene.wait_serving()
        configuration = machine.path(CONFIGURATION).read_text()
        assert reader.follow("docs/first-hour.md") > 5
    reset(scene, configuration)
    try_configurations(scene)
    follow_object_storage(scene, package, configuration)
    scene.install("jq")  # docs/administration.md
    machine.shell("useradd --create-home alice; systemctl unmask nginx")
    machine.shell("rm -f /etc/nginx/sites-enabled/default")
    for document in DOCUMENTS:
        with scene.step(f"{document.name} is followed"):
            reset(scene, configuration, document.settings)
            if document.has_server:
                scene.ctl("servers", "add", scene.servers[0].url, scene.servers[0].secret)
            reader.follow(document.name, document.sections)


def follow_object_storage(scene: Scene, package: Path, configuration: str) -> None:
    """Follow one document with an S3 server beside the guest, and the recording of first-hour."""
    with serve_s3() as s3, scene.step("docs/object-storage.md is followed, with an S3 server"):
        bucket = s3.make_bucket()
        reset(scene, configuration, [("S3_ENDPOINT_URL", s3.url), ("S3_ADDRESSING", "path")])
        changes = [
            (r"^editor (/etc/scalelite-appliance/s3\.secret)$", rf"printf %s {KEY} >\1"),
            (r"(?<=S3_BUCKET_NAME=).*$", bucket),
            (r"(?<=AWS_ACCESS_KEY_ID=).*$", KEY_ID),
            (r"\b[0-9a-f]{40}-\d{13}\b", RECORDING),
            # It is on the disk again at the end, so look before.
            (r"^(.*move --to disk .*)$", rf"curl -sf 127.0.0.1:3000/presentation/{RECORDING}/\n\1"),
        ]
        reader = Reader(scene, [*changes, *changes_of(scene, package)])
        assert reader.follow("docs/object-storage.md") > 4
        assert scene.machine.path(f"/var/bigbluebutton/published/presentation/{RECORDING}").is_dir()
        import_into_bucket(scene, s3, bucket)
    reset(scene, configuration)


def import_into_bucket(scene: Scene, s3: S3Server, bucket: str) -> None:
    """Import a recording, and check that the process that uploads gives way to all others."""
    machine = scene.machine
    with TemporaryDirectory() as directory:
        tar = recording_tar(Path(directory), IMPORTED, {"presentation": {"1.svg": SLIDE}})
        machine.path(f"/root/{tar.name}").write_bytes(tar.read_bytes())
    machine.run("mv", f"/root/{tar.name}", "/var/bigbluebutton/spool/")
    scene.wait_recordings(RECORDING, IMPORTED)
    assert f"published/presentation/{IMPORTED}/1.svg" in s3.keys(bucket)
    # Written so that the shell that looks does not find itself.
    found = machine.shell("chrt --all-tasks --pid $(pgrep --full 'objects[.]worker')")
    policies = [line for line in found.splitlines() if "policy" in line]
    assert policies, found
    assert all("SCHED_IDLE" in line for line in policies), found


def follow_migration(scene: Scene, package: Path) -> None:
    """Follow one document on a machine without the package, beside the stores of a Scalelite."""
    machine = scene.machine
    with (
        redis_process() as redis,
        postgres_process("the-password-of-the-test") as postgres,
        bbb_servers(len(SERVER_IDS)) as servers,
        scene.step("docs/migration.md is followed, from Scalelite's stores and back"),
    ):
        postgres.start()
        postgres.sql(DUMP.read_text(), "scalelite")
        write_scalelite_data(
            redis.socket_path, "scalelite", dict(zip(SERVER_IDS, servers, strict=True))
        )
        stores = {"REDIS_URL": redis.tcp_url, "REDIS_NAMESPACE": "scalelite"}
        environ = {**ENVIRONMENT, **stores, "DATABASE_URL": postgres.url}
        lines = "".join(f"{name}={value}\n" for name, value in environ.items())
        machine.path("/etc/default/scalelite").write_text(lines)
        make_scalelite_files(machine.path("/var/bigbluebutton"))
        machine.path("/var/bigbluebutton/recording/scalelite").mkdir(parents=True)
        machine.run("chown", "-R", "1000:2000", "/var/bigbluebutton")
        reader = Reader(scene, changes_of(scene, package))
        assert reader.follow("docs/migration.md") > 9
        assert machine.show(UNIT, "UnitFileState") == "enabled"
        assert not machine.is_active(UNIT)  # it was handed back


def follow_backup(scene: Scene, package: Path) -> None:
    """Follow one document, for `--quick`."""
    with scene.step("docs/backup.md is followed"):
        Reader(scene, changes_of(scene, package)).follow("docs/backup.md", ("Back up",))


def reset(scene: Scene, configuration: str, settings: Sequence[tuple[str, str]] = ()) -> None:
    """Undo what a document has changed: configuration, drop-ins, servers."""
    machine = scene.machine
    machine.shell(f"rm -rf /etc/systemd/system/{UNIT}.service.d; systemctl daemon-reload")
    machine.run("systemctl", "stop", "nginx")
    machine.path(CONFIGURATION).write_text(configuration)
    scene.configure(**dict(settings))
    scene.wait_serving()
    listed = scene.ctl("servers", "list")
    for server_id in re.findall(r"^id: (.+)$", listed, re.MULTILINE):
        scene.ctl("servers", "remove", server_id, "--force")
        scene.ctl("servers", "forget", server_id)
    for server in scene.servers:
        server.forget_meetings()
