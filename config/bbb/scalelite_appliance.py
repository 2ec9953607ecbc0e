#!/usr/bin/env python3
"""Hands the recordings of a BBB server over to the Scalelite appliance.

Runs on BBB servers with the Python that they have (3.6 or newer) and nothing else. Called for each
published format (`-m RECORD_ID`), and by hand or by a timer with `--flush`. The tar is kept in the
queue until the appliance has said that it has it; every run sends what an earlier one could not.

Configuration: see scalelite-appliance.conf beside this file.
"""

import argparse
import base64
import configparser
import contextlib
import fcntl
import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

CONFIG = "/etc/bigbluebutton/scalelite-appliance.conf"
DEFAULTS = {
    "published": "/var/bigbluebutton/published",
    "queue": "/var/bigbluebutton/recording/scalelite-appliance",
    "properties": "/etc/bigbluebutton/bbb-web.properties "
    "/usr/share/bbb-web/WEB-INF/classes/bigbluebutton.properties",
    "tries": "3",
    "pause_s": "10",
    "url": "",
    "spool": "",
    "server": "",
    "secret": "",
}
RECORD_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
NAMES = ".names"  # locked by who puts a tar into the queue or takes it out, for that moment only
TOKEN_S = 300
CONNECT_S = 10
ANSWER_S = 3600  # the appliance answers when everything is on its disk
AWAY = (502, 503, 504)  # of a proxy before the appliance, or of one that cannot take any tar now
SSH_FAILED = 255  # rsync(1) and ssh(1): no connection, or it was lost


class NotDelivered(Exception):
    """The tar stays in the queue; the text says why."""


class NotReached(NotDelivered):
    """The appliance is away, so the other tars stay in the queue, too."""

    status = 0  # of a proxy before it


def main(arguments=None):
    """Pack and send; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-m", "--meeting-id", help="internal meeting id of the recording")
    parser.add_argument("-f", "--format", help="ignored: all published formats are sent")
    parser.add_argument("--flush", action="store_true", help="send what is in the queue")
    parser.add_argument("--config", default=CONFIG)
    options = parser.parse_args(arguments)
    config = read_config(options.config)
    queue = Path(config["queue"])
    queue.mkdir(parents=True, exist_ok=True, mode=0o750)
    if options.meeting_id is not None:
        if not RECORD_ID.fullmatch(options.meeting_id):
            parser.error("not a recording's id")
        pack(Path(config["published"]), queue, options.meeting_id)
    elif not options.flush:
        parser.error("-m or --flush is needed")
    return deliver_all(config, queue)


def read_config(path):
    """Return the section [appliance] with the defaults."""
    parser = configparser.ConfigParser(defaults=DEFAULTS, interpolation=None)
    with open(path, encoding="utf-8") as file:
        parser.read_file(file)
    config = parser["appliance"]
    if bool(config["url"]) == bool(config["spool"]):
        sys.exit(f"{path}: exactly one of url and spool must be set")
    url = urlsplit(config["url"])
    if config["url"] and (url.scheme not in ("http", "https") or not url.hostname):
        sys.exit(f"{path}: url must be http://HOST or https://HOST, not {config['url']}")
    return config


def pack(published, queue, record_id):
    """Pack every published format of a recording; the tar appears in the queue as a whole."""
    formats = sorted(path.parent.name for path in published.glob(f"*/{record_id}") if path.is_dir())
    if not formats:
        print(f"{record_id}: nothing is published", file=sys.stderr)
        return
    part = queue / f".{record_id}.{os.getpid()}.part"
    members = [f"{name}/{record_id}" for name in formats]
    try:
        command = ["tar", "--create", "--file", str(part), "--directory", str(published)]
        subprocess.run([*command, *members], check=True)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        with locked(queue / NAMES):
            part.rename(queue / f"{record_id}.tar")
    finally:
        if part.exists():
            part.unlink()


def deliver_all(config, queue):
    """Send every tar of the queue, the oldest first; another run that does so is waited for."""
    failed = away = False
    with locked(queue / ".lock"):
        for tar in sorted(queue.glob("*.tar"), key=lambda path: path.stat().st_mtime):
            before = tar.stat()
            try:
                deliver(config, tar)
            except NotDelivered as error:
                print(f"{tar.name}: {error}; kept in {queue}", file=sys.stderr)
                failed = True
                # BBB's other scripts wait for this run, or for the lock. A status of a proxy may
                # be about this tar alone.
                if isinstance(error, NotReached) and (away or not error.status):
                    break
                away = isinstance(error, NotReached)
                continue
            away = False
            with locked(queue / NAMES):
                now = tar.stat()
                # Packed again meanwhile, with one more format: that one is sent by its own run.
                if (before.st_ino, before.st_mtime_ns) != (now.st_ino, now.st_mtime_ns):
                    continue
                tar.unlink()
            print(f"{tar.name}: delivered")
    return 1 if failed else 0


@contextlib.contextmanager
def locked(path):
    """Keep other runs out of the block."""
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def deliver(config, tar):
    """Send one tar, with some tries. Raises NotDelivered."""
    tries = config.getint("tries")
    for number in range(1, tries + 1):
        try:
            if config["url"]:
                upload(config, tar)
            else:
                hand_over(config["spool"], tar)
            return
        except NotDelivered as error:
            if number == tries:
                raise
            print(f"{tar.name}: {error}; trying again", file=sys.stderr)
            time.sleep(config.getfloat("pause_s") * number)


def upload(config, tar):
    """Send a tar by HTTP(S)."""
    record_id = tar.name[: -len(".tar")]
    url = urlsplit(config["url"])
    server, secret = identity(config)
    headers = {
        "Authorization": "Bearer " + make_token(server, secret, record_id),
        "Content-Type": "application/x-tar",
        "Content-Length": str(tar.stat().st_size),
    }
    if url.scheme == "https":
        context = ssl.create_default_context(cafile=config.get("ca_file"))
        connection = http.client.HTTPSConnection(url.netloc, timeout=CONNECT_S, context=context)
    else:
        connection = http.client.HTTPConnection(url.netloc, timeout=CONNECT_S)
    try:
        try:
            connection.connect()
        except OSError as error:
            raise NotReached(f"{type(error).__name__}: {error}") from None
        connection.sock.settimeout(ANSWER_S)
        with tar.open("rb") as body:
            path = "/scalelite/api/recordings/" + record_id
            try:
                connection.request("PUT", path, body=body, headers=headers)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before it had everything: the answer says why
            answer = connection.getresponse()
            text = answer.read(200).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from None
    finally:
        connection.close()
    if answer.status != 201:
        error = (NotReached if answer.status in AWAY else NotDelivered)(
            f"HTTP {answer.status}: {text}"
        )
        error.status = answer.status
        raise error


def identity(config):
    """Return how the appliance knows us: host (or the id that is configured) and secret."""
    found = {}
    for path in config["properties"].split():
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                for line in file:
                    key, _, value = line.strip().partition("=")
                    found.setdefault(key.strip(), value.strip())
    host = urlsplit(found.get("bigbluebutton.web.serverURL", "")).hostname
    server = config["server"] or host
    secret = config["secret"] or found.get("securitySalt")
    if not server or not secret:
        raise NotDelivered("neither the configuration nor bbb-web.properties has server and secret")
    return server, secret


def make_token(server, secret, record_id):
    """Make the JWT (HS256) that the appliance asks for."""
    expires = int(time.time()) + TOKEN_S
    claims = {"sub": server, "recordID": record_id, "exp": expires}
    parts = [{"alg": "HS256", "typ": "JWT"}, claims]
    signed = b".".join(encode(json.dumps(part).encode()) for part in parts)
    signature = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return (signed + b"." + encode(signature)).decode()


def encode(data):
    """Encode as a JWT does."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def hand_over(spool, tar):
    """Bring a tar into the spool, by rsync (`host:/path`, `user@host:/path`) or over a mount."""
    if ":" in spool:  # rsync writes under a temporary name with a dot, then renames
        done = subprocess.run(["rsync", "--times", str(tar), spool.rstrip("/") + "/"], check=False)
        if done.returncode:
            error = NotReached if done.returncode == SSH_FAILED else NotDelivered
            raise error(f"rsync ended with {done.returncode}")
        return
    if not Path(spool).is_dir():
        raise NotReached(f"{spool} is not there")
    part = Path(spool) / f".{tar.name}.{os.getpid()}.part"
    try:
        shutil.copyfile(str(tar), str(part))
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(Path(spool) / tar.name)
    except OSError as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from None
    finally:
        if part.exists():
            part.unlink()


if __name__ == "__main__":
    sys.exit(main())
