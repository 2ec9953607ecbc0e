"""A real Chromium without a window, for tests of what people see, and for screenshots.

One browser serves a whole file; a test sets what its visitor has: the width of the screen, light or
dark, the language, scripts on or off. All of that is emulated over the DevTools protocol, so it
takes effect with the next page. Chromium and its driver come from Debian.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_core_python.selenium import Axe
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
DRIVER = shutil.which("chromedriver") or "/usr/bin/chromedriver"
PHONE_PX = 600
"""Narrower screens are those of phones: they honour the page's viewport and report touch."""
PAGE_S = 40.0
_AXE = Axe().axe_script
_FIND_BARRIERS = """
const done = arguments[arguments.length - 1];
axe.run({resultTypes: ["violations"]}).then(
  found => done(found.violations.map(one => `${one.id}: ${one.nodes[0].html}`)),
  error => done([String(error)]),
);
"""
"""Every rule; what passes is not described, which takes most of the time."""
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--no-first-run",
    "--hide-scrollbars",
)


class Browser:
    """Chromium with one tab; `driver` is Selenium's, for everything that is not here."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._user_agent: str = driver.execute_script("return navigator.userAgent")

    def set_up(
        self,
        *,
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        still: bool = False,
        scripts: bool = True,
        language: str = "en",
    ) -> None:
        """Set what the visitor has; what is not given is the default.

        `width` and `height` are in CSS pixels, `language` is an Accept-Language header; `still`:
        the visitor wants no animations.
        """
        phone = width < PHONE_PX
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}
        self._tell("Emulation.setDeviceMetricsOverride", **size)
        self._tell("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        motion = {"name": "prefers-reduced-motion", "value": "reduce" if still else ""}
        self._tell("Emulation.setEmulatedMedia", features=[scheme, motion])
        self._tell("Emulation.setScriptExecutionDisabled", value=not scripts)
        agent = {"userAgent": self._user_agent, "acceptLanguage": language}
        self._tell("Emulation.setUserAgentOverride", **agent)

    def reset(self) -> None:
        """Forget the visitor: empty page, no cookies or storage, defaults, an empty log."""
        self.driver.get("about:blank")
        self._tell("Network.clearBrowserCookies")
        self._tell("Network.clearBrowserCache")
        self._tell("Storage.clearDataForOrigin", origin="*", storageTypes="all")
        self.set_up()
        self.take_log()

    def take_log(self) -> list[str]:
        """Return what the browser has complained about since the last time: errors and warnings."""
        entries = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [one["message"] for one in entries if one["level"] in ("WARNING", "SEVERE")]

    def wait_for_title(self, part: str, within_s: float = PAGE_S) -> None:
        """Wait until a part of the page's title is this. Raises TimeoutException."""
        WebDriverWait(self.driver, within_s, 0.05).until(lambda driver: part in driver.title)

    def overflow_px(self) -> int:
        """Return by how many pixels the page is wider than the screen."""
        script = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
        return int(self.driver.execute_script(script))

    def find_barriers(self) -> list[str]:
        """Return the rules of axe (accessibility) that the page breaks; scripts must be on."""
        if self.driver.execute_script("return !window.axe"):
            self.driver.execute_script(_AXE)
        return [str(one) for one in self.driver.execute_async_script(_FIND_BARRIERS)]

    def save_screenshot(self, path: Path) -> None:
        """Write what is visible as a PNG."""
        path.write_bytes(self.driver.get_screenshot_as_png())

    def _tell(self, command: str, **arguments: Any) -> None:
        self.driver.execute_cdp_cmd(command, arguments)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start Chromium, and end it. Certificates that nothing vouches for are accepted."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.accept_insecure_certs = True
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.set_page_load_timeout(PAGE_S)
        yield Browser(driver)
    finally:
        driver.quit()
