"""`tools/screenshots.py`: take the pictures of docs/images from a running appliance.

Needs Chromium and its driver, Redis, and the packages of requirements/dev.in. Takes some seconds.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver.support.wait import WebDriverWait

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # run as a script: its packages are found from the root

from tests.doubles.appliance_client import ATTENDEE_PW  # noqa: E402
from tests.doubles.appliance_process import ApplianceProcess  # noqa: E402
from tests.doubles.bbb_process import bbb_servers  # noqa: E402
from tests.doubles.browser import Browser, open_browser  # noqa: E402
from tests.doubles.presentation import CHAT, presentation_files  # noqa: E402
from tests.doubles.recording_tars import recording_tar  # noqa: E402

IMAGES = ROOT / "docs" / "images"
READY = "return document.body.dataset.ready"
MAX_BYTES = 120_000
"""Of one picture, so that the repository stays small."""


def main() -> int:
    """Write all pictures; return the exit code."""
    IMAGES.mkdir(exist_ok=True)
    with open_browser() as browser:
        with open_pool() as appliance:
            take_join_pages(appliance, browser)
        with open_console_pool() as (base, token):
            take_console(base, token, browser)
        take_stored_pages(browser)
        take_recording(browser)
    too_large = [path for path in IMAGES.glob("*.png") if path.stat().st_size > MAX_BYTES]
    for path in too_large:
        print(f"screenshots: {path.name} has more than {MAX_BYTES} bytes", file=sys.stderr)
    return 1 if too_large else 0


@contextmanager
def open_pool() -> Iterator[ApplianceProcess]:
    """Run an appliance with one simulated server, which has a meeting but is disabled."""
    with (
        tempfile.TemporaryDirectory(prefix="screenshots-") as directory,
        bbb_servers(1) as (server,),
        ApplianceProcess(Path(directory), DB_DISABLED="true") as appliance,
    ):
        server_id = appliance.add_server(server)
        appliance.front.create("seminar")
        disabled = {"id": server_id, "server": {"state": "disable"}}  # its meetings stay
        appliance.control.post("updateServer", disabled)
        yield appliance


def take_join_pages(appliance: ApplianceProcess, browser: Browser) -> None:
    """Take the pages that people see whose join fails."""

    def take(name: str, meeting_id: str) -> None:
        join = {"meetingID": meeting_id, "fullName": "Ann", "password": ATTENDEE_PW}
        target = appliance.front.target("join", join)
        browser.driver.get(f"http://127.0.0.1:{appliance.front.port}{target}")
        browser.save_screenshot(IMAGES / f"{name}.png")

    browser.set_up(still=True, width=800, height=460)
    take("join-not-started", "lecture")
    browser.set_up(still=True, width=800, height=460, dark=True)
    take("join-moving-dark", "seminar")
    browser.set_up(still=True, width=360, height=640, language="de")
    take("join-not-started-phone-de", "lecture")
    browser.set_up(still=True, width=360, height=640, language="de", dark=True, scripts=False)
    take("join-moving-phone-de-dark", "seminar")


def take_recording(browser: Browser) -> None:
    """Take the plain page of a recording (docs/recordings.md)."""
    record_id = "rec-1"
    with tempfile.TemporaryDirectory(prefix="screenshots-") as directory:
        root = Path(directory)
        variables = {"POLL_INTERVAL": "600", "PLAYBACK_DIR": f"{root}/playback"}
        with ApplianceProcess(root, **variables) as appliance:
            name = "Biology 101: how cells divide"
            files = presentation_files(said=[one for one in CHAT if "<" not in one[1]])
            # Without thumbnails the slides themselves are shown.
            files = {key: one for key, one in files.items() if "/thumbnails/" not in key}
            tar = recording_tar(root, record_id, {"presentation": files}, name=name)
            (appliance.spool / ".moving").write_bytes(tar.read_bytes())
            (appliance.spool / ".moving").rename(appliance.spool / tar.name)
            appliance.wait_event("recording_imported", 60, recordings=[record_id])
            url = f"http://127.0.0.1:{appliance.front.port}/playback/presentation/2.3/{record_id}"
            for suffix, visitor in (
                ("", {"width": 1280, "height": 800}),
                ("-phone-dark", {"width": 360, "height": 780, "dark": True}),
            ):
                browser.reset()
                browser.set_up(still=True, **visitor)  # type: ignore[arg-type]
                browser.driver.get(url)
                wait = WebDriverWait(browser.driver, 40, 0.05)
                wait.until(lambda driver: driver.execute_script(READY))
                seek = "document.getElementById('webcams').currentTime = 3.8"
                browser.driver.execute_script(seek)
                time.sleep(1)  # until the picture is drawn
                browser.save_screenshot(IMAGES / f"recording{suffix}.png")


@contextmanager
def open_console_pool() -> Iterator[tuple[str, str]]:
    """Serve a made-up pool of 24 servers; give the console's address and a token."""
    command = [sys.executable, str(ROOT / "tests" / "doubles" / "console_pool.py"), "24"]
    environ = {**os.environ, "LOADBALANCER_SECRET": secrets.token_hex(20)}
    with subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        yield f"http://127.0.0.1:{found['port']}/scalelite/", found["token"]
        process.stdin.close()


def log_in(base: str, token: str, browser: Browser) -> Callable[..., None]:
    """Log in to a console, and return what takes a picture of one of its pages."""

    def take(name: str, page: str, **visitor: Any) -> None:
        browser.set_up(still=True, **visitor)
        browser.driver.get(base + page)
        browser.wait_for_title("Scalelite")
        browser.save_screenshot(IMAGES / f"console-{name}.png")

    browser.reset()
    browser.driver.get(base)
    browser.driver.find_element("id", "token").send_keys(token + "\n")
    browser.wait_for_title("Overview")
    return take


def take_stored_pages(browser: Browser) -> None:
    """Take the pages of the console that need a database (docs/console.md)."""
    with tempfile.TemporaryDirectory(prefix="screenshots-") as directory:
        root = Path(directory)
        variables = {"MULTITENANCY_ENABLED": "true", "BASE_URL": "127.0.0.1"}
        with ApplianceProcess(root, **variables) as appliance:
            control = appliance.control
            for name, most in (("school", "250"), ("college", "1200"), ("library", "")):
                tenant = {"name": name, "secrets": secrets.token_hex(20)}
                tenant_id = control.post("addTenant", {"tenant": tenant})["id"]
                limits = {"max_users": most, "max_recordings_gb": "50"}
                control.post("setTenantLimits", {"id": tenant_id, "limits": limits})
            for number, name in enumerate(("Physics 101", "Analysis II"), start=1):
                files = {"presentation": presentation_files()}
                tar = recording_tar(root, f"rec-{number}", files, name=name)
                (appliance.spool / ".moving").write_bytes(tar.read_bytes())
                (appliance.spool / ".moving").rename(appliance.spool / tar.name)
                appliance.wait_event("recording_imported", 60, recordings=[f"rec-{number}"])
            (appliance.spool / "failed").mkdir(exist_ok=True)
            (appliance.spool / "failed" / "rec-3.tar").write_bytes(b"no tar" * 200)
            (appliance.spool / "failed" / "rec-3.tar.error").write_text("not a tar header")
            token = control.post("addToken", {"name": "anna", "role": "admin"})["token"]
            base = f"http://127.0.0.1:{appliance.front.port}/scalelite/"
            take = log_in(base, token, browser)
            take("recordings", "recordings", width=1280, height=560)
            take("tenants", "tenants", width=1280, height=360)
            take("callbacks", "callbacks", width=1280, height=360)
            take("audit", "audit", width=1280, height=400)
            take("what-if", "what-if", width=1280, height=860)


def take_console(base: str, token: str, browser: Browser) -> None:
    """Take the pages of the console that show a pool (docs/console.md)."""
    take = log_in(base, token, browser)
    take("overview", "", width=1280, height=860)
    take("overview-phone-dark", "", width=360, height=780, dark=True)
    take("servers", "servers", width=1360, height=470)
    take("servers-dark", "servers", width=1360, height=470, dark=True)
    take("server", "servers/bbb2", width=1280, height=900)
    take("meetings", "meetings", width=1280, height=580)
    take("doctor", "doctor", width=1280, height=620)
    take("overview-de", "", width=1280, height=520, language="de")


if __name__ == "__main__":
    sys.exit(main())
